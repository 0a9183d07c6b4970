//! Hours, days and months, by the calendar of UTC.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime};

/// A length of time by which spend is summed and budgets are renewed; all of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// An hour, from its full hour on.
    Hour,
    /// A day, from midnight on.
    Day,
    /// A month of the calendar.
    Month,
    /// All of time: never renewed.
    Total,
}

/// One hour, day or month, or all of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    period: Period,
    /// Seconds since 1970; 0 for all of time.
    start: u64,
}

impl Period {
    pub(crate) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Month, Self::Total];

    /// The hour, the day, … in which an instant lies. What lies before 1970 counts as then, what lies after the year
    /// 9999 as in its last month.
    #[must_use]
    pub fn at(self, at: SystemTime) -> Span {
        self.of(at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    pub(crate) fn of(self, seconds: u64) -> Span {
        let start = match self {
            Self::Hour => seconds - seconds % HOUR,
            Self::Day => seconds - seconds % DAY,
            Self::Month => month_start(seconds),
            Self::Total => 0,
        };
        Span { period: self, start }
    }

    /// `hour`, `day`, `month` or `total`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }
}

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

fn date(seconds: u64) -> Date {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, OffsetDateTime::date)
}

fn month_start(seconds: u64) -> u64 {
    let date = date(seconds);
    seconds_of(date.replace_day(1).unwrap_or(date))
}

fn seconds_of(date: Date) -> u64 {
    u64::try_from(date.midnight().assume_utc().unix_timestamp()).unwrap_or(0)
}

impl Span {
    /// What kind of span it is.
    #[must_use]
    pub const fn period(self) -> Period {
        self.period
    }

    /// When it begins.
    #[must_use]
    pub fn start(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.start)
    }

    /// When it is over; never, for all of time.
    #[must_use]
    pub fn end(self) -> Option<SystemTime> {
        let end = match self.period {
            Period::Hour => self.start + HOUR,
            Period::Day => self.start + DAY,
            Period::Month => {
                let first = date(self.start);
                let year = if first.month() == Month::December { first.year() + 1 } else { first.year() };
                Date::from_calendar_date(year, first.month().next(), 1).map_or(u64::MAX >> 1, seconds_of)
            }
            Period::Total => return None,
        };
        UNIX_EPOCH.checked_add(Duration::from_secs(end))
    }

    pub(crate) const fn start_seconds(self) -> u64 {
        self.start
    }
}

/// `2026-11`, `2026-11-19`, `2026-11-19 14:00`, or `total`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = date(self.start);
        let (year, month) = (day.year(), u8::from(day.month()));
        match self.period {
            Period::Total => f.pad("total"),
            Period::Month => f.pad(&format!("{year:04}-{month:02}")),
            Period::Day => f.pad(&format!("{year:04}-{month:02}-{:02}", day.day())),
            Period::Hour => {
                let hour = self.start % DAY / HOUR;
                f.pad(&format!("{year:04}-{month:02}-{:02} {hour:02}:00", day.day()))
            }
        }
    }
}

/// Says what time it is on the wall, in seconds since 1970. tokio's clock cannot: it knows no calendar.
#[derive(Clone)]
pub(crate) struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    pub(crate) fn new(clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(clock))
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_leap_day_belongs_to_february_and_december_ends_in_the_next_year() {
        // 2028-02-29 23:59:59
        let leap = at(1_835_481_599);
        assert_eq!(Period::Day.at(leap).to_string(), "2028-02-29");
        assert_eq!(Period::Month.at(leap).end(), Some(at(1_835_481_600)));
        assert_eq!(Period::Hour.at(leap).to_string(), "2028-02-29 23:00");
        let december = Period::Month.at(at(1_798_700_000));
        assert_eq!(december.to_string(), "2026-12");
        assert_eq!(Period::Month.at(december.end().unwrap()).to_string(), "2027-01");
        assert_eq!((Period::Total.at(leap).to_string().as_str(), Period::Total.at(leap).end()), ("total", None));
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_its_span(seconds in 0..u64::MAX / 4) {
            for period in Period::ALL {
                let span = period.of(seconds);
                prop_assert!(span.start_seconds() <= seconds);
                prop_assert_eq!(period.of(span.start_seconds()), span);
                if let (Some(end), true) = (span.end(), seconds < 250_000_000_000) {
                    prop_assert!(at(seconds) < end);
                    prop_assert!(period.at(end) > span);
                }
            }
        }
    }
}
