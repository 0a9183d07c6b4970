//! Durations as servers write them.

use std::time::Duration;

use tokio::time::Instant;

/// The longest wait that is believed: 136 years, so that it can be added to any instant without overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// The instant so much later, and never more than 136 years later: a limit may be set to "never", and an instant cannot
/// lie as far as a [`Duration`] is long.
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_aoai_core::later;
///
/// let now = Instant::now();
/// assert_eq!(later(now, Duration::from_millis(43)), now + Duration::from_millis(43));
/// assert_eq!(later(now, Duration::MAX), now + Duration::from_secs(u32::MAX.into()));
/// ```
#[must_use]
pub fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait.min(LONGEST)).unwrap_or(now)
}

/// A number of `unit`s, whole or with a fraction; exact for whole numbers.
///
/// `None` for what is no number, negative, not finite, or longer than [`LONGEST`].
pub(crate) fn count_of(unit: Duration, number: &str) -> Option<Duration> {
    let duration = if let Ok(whole) = number.parse::<u32>() {
        unit.checked_mul(whole)?
    } else if let Ok(whole) = number.parse::<u64>() {
        // Past u32 only units below a second can stay within the longest wait.
        let nanos = unit.as_nanos().checked_mul(u128::from(whole))?;
        from_nanos(nanos)?
    } else {
        let number = number.parse::<f64>().ok()?;
        Duration::try_from_secs_f64(number * unit.as_secs_f64()).ok()?
    };
    (duration <= LONGEST).then_some(duration)
}

/// So many nanoseconds; `None` if they are more than [`LONGEST`].
pub(crate) fn from_nanos(nanos: u128) -> Option<Duration> {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u32::try_from(nanos / SECOND).ok()?;
    let rest = u32::try_from(nanos % SECOND).ok()?;
    Some(Duration::new(u64::from(seconds), rest))
}

/// Reads a time as servers and people write it: a bare number of seconds (Azure's `30`), or numbers with units (OpenAI's
/// `6m0s`, `17ms`, `1h2m3.5s`; ns, us, ms, s, m, h, d, or the English words).
///
/// `None` for what is no time, negative, or longer than 136 years.
///
/// ```
/// use std::time::Duration;
/// use tower_aoai_core::parse_duration;
///
/// assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
/// assert_eq!(parse_duration("soon"), None);
/// ```
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Some(bare) = count_of(Duration::from_secs(1), text) {
        return Some(bare);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = first_part(rest)?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty() && total <= LONGEST).then_some(total)
}

/// A number and its unit, without a space between, and what follows.
fn first_part(text: &str) -> Option<(Duration, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    Some((count_of(unit_of(unit)?, number)?, rest))
}

/// A unit of time: short (`ms`, `s`, `m`, `h`, `d`) or an English word, in the singular or plural.
pub(crate) fn unit_of(word: &str) -> Option<Duration> {
    const UNITS: [(&[&str], Duration); 7] = [
        (&["ns"], Duration::from_nanos(1)),
        (&["us", "µs"], Duration::from_micros(1)),
        (&["ms", "msec", "millisecond", "milliseconds"], Duration::from_millis(1)),
        (&["s", "sec", "secs", "second", "seconds"], Duration::from_secs(1)),
        (&["m", "min", "mins", "minute", "minutes"], Duration::from_secs(60)),
        (&["h", "hr", "hrs", "hour", "hours"], Duration::from_secs(3_600)),
        (&["d", "day", "days"], Duration::from_secs(86_400)),
    ];
    UNITS.iter().find_map(|(names, unit)| names.iter().any(|name| name.eq_ignore_ascii_case(word)).then_some(*unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_both_dialects() {
        let millis = |ms| Some(Duration::from_millis(ms));
        for (text, expected) in [
            ("30", millis(30_000)),
            ("0", millis(0)),
            ("1.5", millis(1_500)),
            (" 7 ", millis(7_000)),
            ("6m0s", millis(360_000)),
            ("17ms", millis(17)),
            ("1h2m3.5s", millis(3_723_500)),
            ("1d", millis(86_400_000)),
            ("", None),
            ("-1", None),
            ("nan", None),
            ("inf", None),
            ("1e300", None),
            ("m", None),
            ("5 parsecs", None),
            ("6m0", None),
            ("99999999999h", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }
}
