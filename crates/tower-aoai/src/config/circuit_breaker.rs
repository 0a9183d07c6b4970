//! When calls are kept from an endpoint that fails.

use std::time::Duration;

use super::{
    Limit,
    read::words,
    setting::{Setting, give_way, section},
};
use crate::circuit_breaker::ProbeProof;

section! {
    /// When an endpoint's circuit opens, for how long, and what closes it again.
    pub struct CircuitBreakerConfig {
        /// Whether there is one. Default true.
        pub enabled: Option<bool>,
        /// It opens after so many failures with no success among them; `"unlimited"`: not for that. Default 5.
        pub consecutive_failures: Option<Limit<u32>>,
        /// It opens when failures are this share of the calls in the window; `"unlimited"`: not for that. Default 0.5.
        pub failure_ratio: Option<Limit<f64>>,
        /// It opens when this share of the answers begins too late. Default: not for that.
        pub slow_first_bytes: Option<SlowFirstBytes>,
        /// How far back the shares look. Default 30 s.
        pub window: Option<Duration>,
        /// How many calls a share needs to say anything. Default 10.
        pub min_calls: Option<u32>,
        /// The first break; each further one is twice as long. Default 5 s; where no other endpoint stands in, 1 s; or
        /// the longest break if that is shorter.
        pub break_time: Option<Duration>,
        /// The longest break. Default 10 s; where no other endpoint stands in 2 s, or 60 s if the first break is said.
        pub break_cap: Option<Duration>,
        /// The share of a break that chance may take off. Default 0.5.
        pub jitter: Option<f64>,
        /// How many probes are under way at the most while it is half-open. Default 1; where no other endpoint stands in,
        /// 16.
        pub probes: Option<u32>,
        /// How many must succeed for it to close. Default 1.
        pub successes_to_close: Option<u32>,
        /// For how long a probe that says nothing keeps others from probing. Default 30 s; where another endpoint stands
        /// in, 10 s.
        pub probe_lease: Option<Duration>,
        /// When a probe has succeeded. Default at its first byte.
        pub probe_proof: Option<ProbeProof>,
    }
}

impl CircuitBreakerConfig {
    /// Takes what is missing here from there; of the two lengths of a break, the one that is taken gives way to the one
    /// that is said.
    pub(super) fn take_from(&mut self, usual: &Self) {
        let said = (self.break_time, self.break_cap);
        self.fill(usual);
        give_way(said, &mut self.break_time, &mut self.break_cap);
    }
}

section! {
    /// Answers that begin too late.
    pub struct SlowFirstBytes {
        /// Later than so long after the send. Required.
        pub threshold: Option<Duration>,
        /// And so many of them, as a share of all. Default 0.5.
        pub share: Option<f64>,
    }
}

words!(ProbeProof { "first-byte" => Self::FirstByte, "end" => Self::End });
