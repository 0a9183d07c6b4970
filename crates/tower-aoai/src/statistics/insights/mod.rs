//! What the last minutes and hours tell.

mod advice;
mod trend;

use std::{fmt, sync::Arc};

use serde::Serialize;
use tokio::time::Instant;

pub use self::{
    advice::Recommendation,
    trend::{Direction, Trend},
};
use super::{
    Activity,
    activity::share,
    handles::StackHandles,
    meter::{Meter, Reserved, sum},
    snapshot::EndpointSnapshot,
};
use trend::ahead;

/// Fewer calls say nothing about shares.
pub(crate) const ENOUGH_CALLS: u64 = 30;

/// Fewer answers say nothing about the 99th of a hundred.
pub(crate) const ENOUGH_OUTPUTS: u64 = 100;

/// What the last minutes and hours of a stack tell, with the figures behind it; where there are too few, that is said, and
/// nothing is recommended.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Insights {
    /// Calls that have ended in the last hour.
    pub calls: u64,
    /// What there is too little of to say anything.
    pub too_little: Vec<String>,
    /// How things change: over minutes, and over hours.
    pub trends: Vec<Trend>,
    /// The most that there was.
    pub peaks: Peaks,
    /// The share of the last hour's calls that waited, from 0 to 1.
    pub waited_share: f64,
    /// How long these did, in seconds.
    pub mean_wait_seconds: f64,
    /// The share of the last hour's prompts that were truncated.
    pub truncated_share: f64,
    /// The share of the last hour's calls that left a provisioned deployment for another one.
    pub spilled_share: f64,
    /// The share of the last hour's attempts that the server refused for its quota.
    pub throttled_share: f64,
    /// How much of what is reserved for outputs is used, by model: most calls first.
    pub reservations: Vec<Reservation>,
    /// What will come in the next minutes.
    pub forecast: Forecast,
    /// What to do about it.
    pub recommendations: Vec<Recommendation>,
}

/// The most that there was in the last 90 minutes and 48 hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Peaks {
    /// Calls in one minute.
    pub calls_per_minute: u64,
    /// Tokens used in one minute.
    pub tokens_per_minute: u64,
    /// Calls in one hour.
    pub calls_per_hour: u64,
    /// Of an endpoint's quota, the most that was in use within the 90 minutes.
    pub quota_share: f64,
    /// Calls under way at once, within the 90 minutes.
    pub in_flight: u64,
}

/// What is reserved for the outputs of one model, and used: of the calls of the last hour that asked for at most so much
/// and told their usage.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reservation {
    /// The model.
    pub model: Arc<str>,
    /// Calls.
    pub calls: u64,
    /// The mean of what they asked for, in tokens.
    pub mean_reserved: f64,
    /// The mean of what they got, in tokens.
    pub mean_used: f64,
    /// What was reserved over what was used.
    pub times_used: f64,
    /// What 99 of a hundred did not exceed, in tokens, of the last half to whole hour.
    pub p99_used: u64,
    /// The longest.
    pub max_used: u64,
    /// The share that was as long as it was allowed to be.
    pub cut_share: f64,
    /// The mean of their prompts, in tokens.
    pub mean_prompt: f64,
}

/// What will come if things go on as they did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// So many minutes ahead.
    pub minutes_ahead: u64,
    /// Calls a minute then, by a straight line through the last 15 minutes; `null` with fewer than 5.
    pub calls_per_minute: Option<f64>,
    /// Tokens a minute then, by the same.
    pub tokens_per_minute: Option<f64>,
    /// Each endpoint's quota a minute from now, by what was asked of it in the last 30 s.
    pub quotas: Vec<QuotaForecast>,
}

/// What will be asked of a quota.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QuotaForecast {
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// Tokens that will be in their window, or wanted there.
    pub tokens_wanted: u64,
    /// What it holds; `null` without a limit.
    pub tokens_limit: Option<u64>,
    /// The fuller of tokens and requests; above 1 calls will wait.
    pub share: Option<f64>,
}

/// Minutes ahead that are foretold.
const AHEAD: u64 = 5;

impl Insights {
    pub(crate) fn of(handles: &StackHandles, meter: &Meter, endpoints: &[EndpointSnapshot], now: Instant) -> Self {
        let hour = meter.last_minutes(now, 60);
        let reservations = reservations(meter, now);
        let mut too_little = Vec::new();
        if hour.calls < ENOUGH_CALLS {
            too_little.push(format!("{} calls in the last hour: shares need {ENOUGH_CALLS}", hour.calls));
        }
        let reserving: u64 = reservations.iter().map(|reservation| reservation.calls).sum();
        if reserving < ENOUGH_OUTPUTS {
            too_little.push(format!(
                "{reserving} answers in the last hour to calls that limit their output: advice on that needs {ENOUGH_OUTPUTS}"
            ));
        }
        let mut trends = trend::over_minutes(meter, now);
        trends.extend(trend::over_hours(meter, now));
        if trends.is_empty() {
            too_little.push("less than 10 minutes: trends need as many".to_owned());
        }
        let mut insights = Self {
            calls: hour.calls,
            too_little,
            trends,
            peaks: Peaks::of(meter, now),
            waited_share: hour.share(hour.waited),
            mean_wait_seconds: if hour.waited == 0 { 0.0 } else { hour.waited_seconds / hour.waited as f64 },
            truncated_share: hour.truncated_share(),
            spilled_share: hour.share(hour.spilled),
            throttled_share: share(hour.throttled, hour.attempts.max(hour.throttled)),
            reservations,
            forecast: Forecast::of(handles, meter, now),
            recommendations: Vec::new(),
        };
        insights.recommendations = advice::on(&insights, &hour, endpoints);
        insights
    }
}

impl Peaks {
    fn of(meter: &Meter, now: Instant) -> Self {
        let minutes: Vec<Activity> = meter.minutes.last(now, usize::MAX).collect();
        let most = |count: fn(&Activity) -> u64| minutes.iter().map(count).max().unwrap_or(0);
        Self {
            calls_per_minute: most(|minute| minute.calls),
            tokens_per_minute: most(|minute| minute.tokens.input + minute.tokens.output),
            calls_per_hour: meter.hours.last(now, usize::MAX).map(|hour| hour.calls).max().unwrap_or(0),
            quota_share: sum(minutes.iter().copied()).peak_quota,
            in_flight: most(|minute| minute.peak_in_flight),
        }
    }
}

fn reservations(meter: &Meter, now: Instant) -> Vec<Reservation> {
    let mut all: Vec<_> = meter
        .outputs()
        .filter_map(|(model, outputs)| {
            let of_hour = outputs.minutes.last(now, 60).fold(Reserved::default(), |sum, minute| Reserved {
                calls: sum.calls + minute.calls,
                input: sum.input.saturating_add(minute.input),
                reserved: sum.reserved.saturating_add(minute.reserved),
                used: sum.used.saturating_add(minute.used),
                cut: sum.cut + minute.cut,
            });
            let lengths = outputs.used.spread(now, 1.0)?;
            (of_hour.calls > 0).then(|| Reservation {
                model: Arc::clone(model),
                calls: of_hour.calls,
                mean_reserved: share(of_hour.reserved, of_hour.calls),
                mean_used: share(of_hour.used, of_hour.calls),
                times_used: of_hour.reserved as f64 / of_hour.used.max(1) as f64,
                p99_used: lengths.p99 as u64,
                max_used: lengths.max as u64,
                cut_share: share(of_hour.cut, of_hour.calls),
                mean_prompt: share(of_hour.input, of_hour.calls),
            })
        })
        .collect();
    all.sort_by(|one, other| other.calls.cmp(&one.calls).then_with(|| one.model.cmp(&other.model)));
    all
}

impl Forecast {
    fn of(handles: &StackHandles, meter: &Meter, now: Instant) -> Self {
        let quotas = handles.endpoints().into_iter().filter_map(|endpoint| {
            let forecast = endpoint.bucket.as_ref()?.forecast(super::meter::MINUTE);
            Some(QuotaForecast {
                endpoint: Arc::clone(&endpoint.name),
                tokens_wanted: forecast.tokens_wanted,
                tokens_limit: Some(forecast.tokens_limit).filter(|limit| *limit > 0),
                share: forecast.share(),
            })
        });
        let of = |figure: fn(&Activity) -> f64| ahead(meter, now, AHEAD, figure);
        Self {
            minutes_ahead: AHEAD,
            calls_per_minute: of(|minute| minute.calls as f64),
            tokens_per_minute: of(|minute| (minute.tokens.input + minute.tokens.output) as f64),
            quotas: quotas.collect(),
        }
    }
}

/// A paragraph for people.
impl fmt::Display for Insights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        writeln!(
            f,
            "{} calls in the last hour: {} waited ({:.1} s each), {} spilled, {} of the prompts truncated, {} of the attempts throttled",
            self.calls,
            percent(self.waited_share),
            self.mean_wait_seconds,
            percent(self.spilled_share),
            percent(self.truncated_share),
            percent(self.throttled_share),
        )?;
        let Peaks { calls_per_minute, tokens_per_minute, quota_share, in_flight, .. } = self.peaks;
        writeln!(
            f,
            "at most {calls_per_minute} calls and {tokens_per_minute} tokens a minute, {in_flight} calls at once, {} of a quota",
            percent(quota_share)
        )?;
        self.trends
            .iter()
            .filter(|trend| trend.direction != Direction::Steady)
            .try_for_each(|trend| writeln!(f, "{trend}"))?;
        if let Some(calls) = self.forecast.calls_per_minute {
            writeln!(f, "in {} minutes about {calls:.0} calls a minute, if this goes on", self.forecast.minutes_ahead)?;
        }
        self.recommendations.iter().try_for_each(|recommendation| writeln!(f, "-> {recommendation}"))?;
        self.too_little.iter().try_for_each(|what| writeln!(f, "too little to say more: {what}"))
    }
}
