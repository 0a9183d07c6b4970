//! When a circuit opens, for how long, and what closes it again.

use std::time::Duration;

use crate::{InvalidPolicy, window::WINDOW_PARTS};

/// When a circuit opens, for how long, and what closes it again.
///
/// | setting | default |
/// |---|---|
/// | [`consecutive_failures`](Self::consecutive_failures) | 5 |
/// | [`failure_ratio`](Self::failure_ratio) | 0.5 |
/// | [`slow_first_bytes`](Self::slow_first_bytes) | off |
/// | [`window`](Self::window) | 30 s |
/// | [`min_calls`](Self::min_calls) | 10 |
/// | [`break_time`](Self::break_time), [`break_cap`](Self::break_cap) | 5 s, doubling up to 60 s |
/// | [`jitter`](Self::jitter) | up to half of a break is taken off |
/// | [`probes`](Self::probes) | 1 at a time |
/// | [`successes_to_close`](Self::successes_to_close) | 1 |
/// | [`probe_lease`](Self::probe_lease) | 30 s |
/// | [`probe_proof`](Self::probe_proof) | the first byte |
/// | [`hold_throttled`](Self::hold_throttled) | off |
///
/// Failures are outcomes that speak against the endpoint's health
/// ([`Outcome::is_unhealthy`](tower_aoai_core::Outcome::is_unhealthy)), successes those that are
/// [`Outcome::Success`](tower_aoai_core::Outcome::Success); all others, a 429 among them, count as neither.
///
/// What is set is checked when the policy becomes a layer
/// ([`CircuitBreakerLayer::of`](crate::CircuitBreakerLayer::of)).
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct CircuitPolicy {
    pub(crate) consecutive_failures: Option<u32>,
    pub(crate) failure_ratio: Option<f64>,
    pub(crate) slow: Option<SlowFirstBytes>,
    pub(crate) window: Duration,
    pub(crate) min_calls: u32,
    pub(crate) break_time: Duration,
    pub(crate) break_cap: Duration,
    pub(crate) jitter: f64,
    pub(crate) probes: u32,
    pub(crate) successes_to_close: u32,
    pub(crate) probe_lease: Duration,
    pub(crate) probe_proof: ProbeProof,
    pub(crate) hold_throttled: HoldThrottled,
}

/// Which answers are slow, and how many of them are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SlowFirstBytes {
    pub(crate) threshold: Duration,
    pub(crate) ratio: f64,
}

/// Whether the server's hints shut the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldThrottled {
    No,
    /// Only where there is a hint.
    Hinted,
    /// So long where there is none.
    Always(Duration),
}

/// When a probe has shown that the endpoint is well again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProbeProof {
    /// When the head of a good answer comes: connection and queue are well. If its stream breaks later, that is a
    /// failure like any other, and the next break goes on doubling.
    ///
    /// A stream may last minutes; until it ends the others would be refused.
    #[default]
    FirstByte,
    /// When its body has ended well.
    End,
}

/// More calls in a second than any one process sends: a `min_calls` that needs more is never reached.
const MOST_CALLS_PER_SECOND: f64 = 100_000.0;

/// Shorter windows have parts shorter than a millisecond, the tick of tokio's clock.
const SHORTEST_WINDOW: Duration = Duration::from_millis(WINDOW_PARTS);

impl CircuitPolicy {
    /// The defaults: for an endpoint that is asked now and then, and whose callers know what to do with a refusal. Where
    /// they can only wait for it, [`alone`](Self::alone) is better; where another one stands in,
    /// [`below_balancer`](Self::below_balancer).
    pub fn new() -> Self {
        Self {
            consecutive_failures: Some(5),
            failure_ratio: Some(0.5),
            slow: None,
            window: Duration::from_secs(30),
            min_calls: 10,
            break_time: Duration::from_secs(5),
            break_cap: Duration::from_secs(60),
            jitter: 0.5,
            probes: 1,
            successes_to_close: 1,
            probe_lease: Duration::from_secs(30),
            probe_proof: ProbeProof::FirstByte,
            hold_throttled: HoldThrottled::No,
        }
    }

    /// The defaults below a balancer: breaks and leases of at most 10 s, so that an endpoint's traffic is back within
    /// 10 s of its recovery.
    ///
    /// A probe that fails costs little there: the balancer has another endpoint for it. With breaks of up to 60 s, more
    /// than half of all outages of a minute are noticed to be over later than that.
    pub fn below_balancer() -> Self {
        let longest = Duration::from_secs(10);
        Self::new().break_cap(longest).probe_lease(longest)
    }

    /// The defaults, but breaks from 1 s to 2 s, and 16 probes at a time: for an endpoint that nothing stands in for, below
    /// callers who try again.
    ///
    /// A call that is kept away has nowhere else to go: it waits, and often longer than the outage lasts. So breaks are
    /// short, and many calls may find out that they are over, for one answer may take half a minute.
    pub fn alone() -> Self {
        Self::new().break_time(Duration::from_secs(1)).break_cap(Duration::from_secs(2)).probes(16)
    }

    /// Opens after so many failures with no success among them. `None`: not for that. Default: 5.
    ///
    /// However far apart they are; outcomes that are neither success nor failure neither count nor interrupt.
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.consecutive_failures = failures.into();
        self
    }

    /// Opens when failures are this share of the successes and failures in the [window](Self::window), if there are at
    /// least [`min_calls`](Self::min_calls) of them. Above 0, at most 1. `None`: not for that. Default: 0.5.
    pub fn failure_ratio(mut self, share: impl Into<Option<f64>>) -> Self {
        self.failure_ratio = share.into();
        self
    }

    /// Opens when this share of the answers in the [window](Self::window) had their head later than `threshold` after
    /// the send, if there are at least [`min_calls`](Self::min_calls). The share is above 0, at most 1. Default: off.
    ///
    /// For streams, whose head comes with, or before, the first token. The head of an answer that is not streamed comes
    /// with its last token, and a long answer is no slow endpoint. A probe that is slow has failed.
    ///
    /// The time runs from the send that [`ObserveLayer`](tower_aoai_core::ObserveLayer) stamps; without one below, from
    /// the call, with whatever it waits for below this layer.
    pub fn slow_first_bytes(mut self, threshold: Duration, share: f64) -> Self {
        self.slow = Some(SlowFirstBytes { threshold, ratio: share });
        self
    }

    /// How far back the shares look. At least 10 ms. Default: 30 s.
    ///
    /// What is younger always counts, what is older by a tenth of it never does; so the same outcomes in the same order
    /// lead to the same decision at any speed.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How many calls a share needs to say anything. Default: 10.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
        self
    }

    /// The first break of an outage; each further one is twice as long, up to the [cap](Self::break_cap). Default: 5 s.
    pub fn break_time(mut self, time: Duration) -> Self {
        self.break_time = time;
        self
    }

    /// The longest break. Default: 60 s; [below a balancer](Self::below_balancer) 10 s, [alone](Self::alone) 2 s.
    ///
    /// Where the server itself said in its failures how long to wait (`Retry-After` with a 503), a break is never
    /// shorter than that, the cap notwithstanding.
    pub fn break_cap(mut self, time: Duration) -> Self {
        self.break_cap = time;
        self
    }

    /// Every break of exactly this length: without doubling, without jitter.
    pub fn fixed_break(self, time: Duration) -> Self {
        self.break_time(time).break_cap(time).jitter(0.0)
    }

    /// The share of a break that chance may take off, so that the breakers of many processes do not probe as one. From
    /// 0 to 1. Default: 0.5.
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// How many probes are under way at the most while the circuit is half-open; all other calls are refused.
    /// Default: 1.
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// How many probes must succeed, without a failed or throttled one among them, for the circuit to close.
    /// Default: 1.
    pub fn successes_to_close(mut self, successes: u32) -> Self {
        self.successes_to_close = successes;
        self
    }

    /// For how long a probe that says nothing keeps others from probing. Default: 30 s;
    /// [below a balancer](Self::below_balancer) 10 s.
    ///
    /// When it is over, the next call probes in its stead; what the first one says later still counts, if the circuit is
    /// still as it left it.
    pub fn probe_lease(mut self, time: Duration) -> Self {
        self.probe_lease = time;
        self
    }

    /// When a probe has succeeded. Default: [`ProbeProof::FirstByte`].
    pub fn probe_proof(mut self, proof: ProbeProof) -> Self {
        self.probe_proof = proof;
        self
    }

    /// Refuses calls while the server has asked to wait: until the hint of a 429, or of a 503, is over. Default: off.
    ///
    /// For a breaker without a token bucket below, which keeps the gate better: there, calls wait in line. A 429 is no
    /// failure and opens no circuit; calls are refused with
    /// [`Reason::QuotaSpent`](tower_aoai_core::Reason::QuotaSpent). A later, earlier-ending hint never shortens the wait,
    /// and no hint is clipped.
    pub fn hold_throttled(mut self) -> Self {
        self.hold_throttled = HoldThrottled::Hinted;
        self
    }

    /// As [`hold_throttled`](Self::hold_throttled), and for `time` where a 429 does not say how long.
    pub fn hold_throttled_for(mut self, time: Duration) -> Self {
        self.hold_throttled = HoldThrottled::Always(time);
        self
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), InvalidPolicy> {
        self.check_rules()?;
        if self.break_time.is_zero() {
            return Err(InvalidPolicy::Zero("break_time"));
        }
        if self.break_time > self.break_cap {
            return Err(InvalidPolicy::BreakAboveCap { break_time: self.break_time, break_cap: self.break_cap });
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(InvalidPolicy::Jitter(self.jitter));
        }
        if self.probes == 0 {
            return Err(InvalidPolicy::Zero("probes"));
        }
        if self.successes_to_close == 0 {
            return Err(InvalidPolicy::Zero("successes_to_close"));
        }
        if self.probe_lease.is_zero() {
            return Err(InvalidPolicy::Zero("probe_lease"));
        }
        if self.hold_throttled == HoldThrottled::Always(Duration::ZERO) {
            return Err(InvalidPolicy::Zero("hold_throttled_for"));
        }
        Ok(())
    }

    fn check_rules(&self) -> Result<(), InvalidPolicy> {
        if self.consecutive_failures == Some(0) {
            return Err(InvalidPolicy::Zero("consecutive_failures"));
        }
        let ratios = [("failure_ratio", self.failure_ratio), ("slow_first_bytes", self.slow.map(|slow| slow.ratio))];
        for (setting, ratio) in ratios {
            if let Some(ratio) = ratio.filter(|ratio| !(*ratio > 0.0 && *ratio <= 1.0)) {
                return Err(InvalidPolicy::Ratio { setting, ratio });
            }
        }
        if self.slow.is_some_and(|slow| slow.threshold.is_zero()) {
            return Err(InvalidPolicy::Zero("slow_first_bytes"));
        }
        if self.failure_ratio.is_some() || self.slow.is_some() {
            return self.check_window();
        }
        if self.consecutive_failures.is_none() && self.hold_throttled == HoldThrottled::No {
            return Err(InvalidPolicy::NeverOpens);
        }
        Ok(())
    }

    fn check_window(&self) -> Result<(), InvalidPolicy> {
        if self.window < SHORTEST_WINDOW {
            return Err(InvalidPolicy::ShortWindow { window: self.window, least: SHORTEST_WINDOW });
        }
        if self.min_calls == 0 {
            return Err(InvalidPolicy::Zero("min_calls"));
        }
        let most = self.window.as_secs_f64() * MOST_CALLS_PER_SECOND;
        if f64::from(self.min_calls) > most {
            return Err(InvalidPolicy::NeverFills {
                min_calls: self.min_calls,
                window: self.window,
                most: most as u32,
            });
        }
        Ok(())
    }
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        Self::new()
    }
}
