//! The invariants of a circuit, and the faults of other breakers, without any HTTP.

use proptest::prelude::*;
use tower_aoai_core::{Hint, HintSource, Outcome, Scope};

use super::*;

mod interleavings;

const BREAK: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(30);
const MS: Duration = Duration::from_millis(1);

/// Draws nothing off a break.
const LONGEST: fn() -> f64 = || 0.0;

/// A breaker and a clock.
struct Rig {
    breaker: Breaker,
    now: Instant,
}

fn rig(policy: CircuitPolicy) -> Rig {
    policy.check().expect("a valid policy");
    let now = Instant::now();
    Rig { breaker: Breaker::new(policy, now), now }
}

impl Rig {
    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&mut self) -> Result<Stamp, Refusal> {
        self.breaker.admit(self.now)
    }

    fn enter(&mut self) -> Stamp {
        self.admit().expect("let through")
    }

    fn refused_until(&mut self) -> Option<Instant> {
        self.admit().expect_err("refused").until
    }

    fn finish(&mut self, stamp: Stamp, finding: Finding) {
        self.breaker.finish(self.now, stamp, finding, LONGEST);
    }

    fn first_byte(&mut self, stamp: Stamp) -> Stamp {
        self.breaker.first_byte(self.now, stamp, false, LONGEST)
    }

    fn call(&mut self, finding: Finding) {
        let stamp = self.enter();
        self.finish(stamp, finding);
    }

    fn calls(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.call(finding));
    }

    fn state(&self) -> CircuitState {
        self.breaker.state(self.now)
    }

    fn is_open(&self) -> bool {
        matches!(self.state(), CircuitState::Open { .. })
    }

    /// Opens it by failures, and says until when.
    fn open(&mut self) -> Instant {
        self.calls([FAILED; 5]);
        self.state().until().expect("open until an instant")
    }

    /// Opens it, and waits until it takes probes.
    fn half_open(&mut self) {
        self.now = self.open();
    }

    fn reasons(&mut self) -> Vec<&'static str> {
        self.breaker.take_news().iter().map(|change| change.reason.name()).collect()
    }
}

const FAILED: Finding = Finding::Unhealthy(None);

fn exact() -> CircuitPolicy {
    CircuitPolicy::new().jitter(0.0)
}

/// Opens for the share of failures alone.
fn by_ratio() -> CircuitPolicy {
    exact().consecutive_failures(None)
}

#[test]
fn b1_half_open_admits_exactly_k() {
    for k in [1, 2, 5] {
        let mut rig = rig(exact().probes(k).successes_to_close(k + 1));
        rig.half_open();
        let mut probes: Vec<_> = (0..k).map(|_| rig.enter()).collect();
        assert!(probes.iter().all(|probe| probe.is_probe()));
        let by_then = |rig: &Rig| rig.breaker.entry(rig.now).expect_err("full").until;
        assert_eq!(by_then(&rig), Some(rig.now + LEASE), "one too many");
        // Each verdict makes room for one.
        let decided = probes.remove(0);
        rig.finish(decided, Finding::Healthy);
        rig.enter();
        rig.admit().expect_err("again one too many");
        assert_eq!(rig.breaker.probes_under_way(rig.now), k as usize);
    }
}

#[test]
fn b2_a_lost_probe_shuts_nobody_out_for_longer_than_its_lease() {
    let mut rig = rig(exact().probe_lease(LEASE));
    rig.half_open();
    let lost = rig.enter();
    rig.pass(LEASE - MS);
    let until = rig.refused_until();
    rig.pass(MS);
    assert_eq!(until, Some(rig.now));
    let second = rig.enter();
    rig.admit().expect_err("its place is taken");
    rig.finish(second, Finding::Healthy);
    assert_eq!(rig.state(), CircuitState::Closed);
    rig.finish(lost, FAILED);
    assert_eq!((rig.state(), rig.breaker.counts().stale), (CircuitState::Closed, 1));
}

/// Else callers who wait for the instant of their refusal would stay away for a whole lease.
#[test]
fn who_is_refused_for_a_probe_asks_again_after_as_long_as_it_has_taken_so_far() {
    let mut rig = rig(exact());
    rig.half_open();
    let begun = rig.now;
    rig.enter();
    let mut waits = Vec::new();
    loop {
        let until = rig.refused_until().expect("an instant");
        waits.push((until - rig.now).as_millis());
        rig.now = until;
        if until == begun + LEASE {
            break;
        }
    }
    assert_eq!(waits, [100, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 4_400]);
    assert!(rig.enter().is_probe(), "the lease is over");
}

#[test]
fn b5_a_probe_under_way_shortens_no_gate() {
    let mut rig = rig(exact());
    rig.half_open();
    let expired = rig.enter();
    rig.pass(LEASE);
    rig.enter();
    let gate = Some(rig.now + 2 * LEASE);
    rig.finish(expired, Finding::Throttled(gate));
    assert_eq!(rig.refused_until(), gate);
}

#[test]
fn b2_answers_slower_than_the_lease_still_close_the_circuit() {
    let mut rig = rig(exact());
    rig.half_open();
    let slow = rig.enter();
    rig.pass(2 * LEASE);
    let other = rig.enter();
    rig.finish(slow, Finding::Healthy);
    assert_eq!(rig.state(), CircuitState::Closed, "else a model that thinks for long would never be back");
    rig.finish(other, Finding::Healthy);
}

#[test]
fn b2_the_end_of_an_expired_probe_frees_nobody_elses_place() {
    let mut rig = rig(exact());
    rig.half_open();
    let expired = rig.enter();
    rig.pass(LEASE);
    rig.enter();
    rig.finish(expired, Finding::Neither);
    rig.admit().expect_err("the second probe is still under way");
}

/// tower-resilience decides a half-open circuit by calls of an earlier state, both ways.
#[test]
fn b3_stale_results_decide_nothing() {
    for finding in [Finding::Healthy, FAILED, Finding::Throttled(None), Finding::Neither] {
        let mut rig = rig(exact().hold_throttled_for(BREAK));
        let early = rig.enter();
        rig.half_open();
        let probe = rig.enter();
        rig.reasons();
        rig.finish(early, finding);
        let early = rig.first_byte(early);
        rig.finish(early, finding);
        assert!(rig.reasons().is_empty(), "{finding:?} of a call from before");
        assert_eq!(rig.state(), CircuitState::HalfOpen);
        rig.admit().expect_err("the probe is still under way");
        rig.finish(probe, Finding::Healthy);
        assert_eq!(rig.state(), CircuitState::Closed);
    }
}

#[test]
fn b3_a_probe_of_an_earlier_outage_is_stale_in_the_next() {
    let mut rig = rig(exact().probes(2));
    rig.half_open();
    let (first, second) = (rig.enter(), rig.enter());
    rig.finish(first, FAILED);
    rig.now = rig.state().until().expect("open");
    let probe = rig.enter();
    rig.finish(second, Finding::Healthy);
    assert_eq!(rig.state(), CircuitState::HalfOpen);
    rig.finish(probe, Finding::Healthy);
    assert_eq!(rig.state(), CircuitState::Closed);
}

#[test]
fn b4_open_never_admits_before_until_and_does_then() {
    let mut rig = rig(exact());
    let start = rig.now;
    let until = rig.open();
    assert_eq!(until, start + BREAK);
    for at in [start, start + BREAK / 2, until - Duration::from_nanos(1)] {
        rig.now = at;
        let refusal = rig.admit().expect_err("open");
        assert_eq!((refusal.reason, refusal.until), (Reason::CircuitOpen, Some(until)));
    }
    rig.now = until;
    assert!(rig.enter().is_probe());
}

#[test]
fn b4_a_clock_read_earlier_by_another_thread_turns_nothing_back() {
    let mut rig = rig(exact());
    let start = rig.now;
    rig.pass(BREAK);
    let until = rig.open();
    rig.breaker.admit(start).expect_err("open");
    rig.now = until;
    let probe = rig.enter();
    rig.breaker.finish(start, probe, FAILED, LONGEST);
    assert_eq!(rig.state().until(), Some(until + 2 * BREAK), "from the latest reading on");
}

#[test]
fn b5_a_gate_is_never_shortened() {
    let mut rig = rig(exact().hold_throttled_for(BREAK));
    let start = rig.now;
    let stamps: Vec<_> = (0..4).map(|_| rig.enter()).collect();
    let long = start + Duration::from_secs(60);
    for (stamp, until) in stamps.into_iter().zip([Some(start + BREAK), Some(long), Some(start + MS), None]) {
        rig.finish(stamp, Finding::Throttled(until));
    }
    assert_eq!(rig.refused_until(), Some(long));
    assert_eq!(rig.reasons(), ["server_asked_to_wait"], "one event, not one for each answer");
    rig.now = long;
    assert!(!rig.enter().is_probe(), "a throttled endpoint needs no probe");
    assert_eq!(rig.reasons(), ["wait_over"]);
}

#[test]
fn b5_neither_a_break_nor_a_trip_shortens_it() {
    let mut rig = rig(exact().hold_throttled());
    let long = rig.now + Duration::from_secs(60);
    let stamps: Vec<_> = (0..6).map(|_| rig.enter()).collect();
    for (number, stamp) in stamps.into_iter().enumerate() {
        rig.finish(stamp, if number == 0 { Finding::Throttled(Some(long)) } else { FAILED });
    }
    assert_eq!(rig.state(), CircuitState::Open { until: Some(long) });

    let mut rig = self::rig(exact().hold_throttled());
    let long = rig.now + Duration::from_secs(60);
    rig.call(Finding::Throttled(Some(long)));
    rig.breaker.trip(rig.now, Some(BREAK));
    assert_eq!(rig.state(), CircuitState::Open { until: Some(long) });
}

#[test]
fn b6_throttled_answers_never_open_it() {
    for policy in [exact(), exact().hold_throttled(), exact().failure_ratio(0.01).min_calls(1)] {
        let mut rig = rig(policy);
        for number in 0..1_000 {
            let hint = (number % 2 == 0).then(|| rig.now + BREAK);
            if let Ok(stamp) = rig.admit() {
                rig.finish(stamp, Finding::Throttled(hint));
            }
            rig.pass(Duration::from_secs(1));
        }
        assert_eq!(rig.breaker.counts().opened, 0);
    }
}

#[test]
fn a_429_shuts_no_gate_unless_asked_to() {
    let mut rig = rig(exact());
    let hint = Some(rig.now + BREAK);
    rig.call(Finding::Throttled(hint));
    rig.call(Finding::Throttled(None));
    assert_eq!(rig.state(), CircuitState::Closed);
    let mut rig = self::rig(exact().hold_throttled());
    rig.call(Finding::Throttled(None));
    assert_eq!(rig.state(), CircuitState::Closed, "without a hint");
}

#[test]
fn b7_the_same_outcomes_lead_to_the_same_decision_at_any_speed() {
    // Trips with the 12th outcome: 6 of 12.
    let outcomes = [true, true, true, true, true, true, false, false, false, false, false, false];
    for (numerator, origin) in (0..=100).flat_map(|gap| [0, 1_234, 2_999].map(|origin| (gap, origin))) {
        let mut rig = rig(by_ratio());
        rig.pass(Duration::from_millis(origin));
        let gap = Duration::from_secs(30) * numerator / 1_100;
        for (number, is_good) in outcomes.into_iter().enumerate() {
            assert!(!rig.is_open(), "after {number} at a gap of {gap:?}");
            rig.call(if is_good { Finding::Healthy } else { FAILED });
            rig.pass(gap);
        }
        assert_eq!(rig.breaker.counts().opened, 1, "at a gap of {gap:?}");
    }
}

#[test]
fn b10_a_cancelled_probe_decides_nothing_and_frees_its_place() {
    let mut rig = rig(exact());
    rig.half_open();
    rig.reasons();
    for _ in 0..3 {
        let probe = rig.enter();
        rig.reasons();
        // Polly closes here.
        rig.finish(probe, Finding::Neither);
        assert_eq!((rig.state(), rig.reasons()), (CircuitState::HalfOpen, vec![]));
    }
    assert_eq!(rig.breaker.probes_under_way(rig.now), 0);
}

/// tower-resilience's window of 100 needs 10,000 failures here: it never forgets.
#[test]
fn ten_thousand_successes_do_not_outweigh_the_outage_that_follows() {
    let mut rig = rig(by_ratio());
    for _ in 0..10_000 {
        rig.call(Finding::Healthy);
        rig.pass(10 * MS);
    }
    let mut failures = 0;
    while !rig.is_open() {
        rig.call(FAILED);
        rig.pass(10 * MS);
        failures += 1;
        assert!(failures < 10_000);
    }
    // 30 s of successes are 3,000: as many failures as half of a window make half of it.
    assert!((1_500..=1_650).contains(&failures), "{failures}");
    let mut rig = self::rig(exact());
    rig.calls([Finding::Healthy; 10_000]);
    rig.open();
}

#[test]
fn it_opens_for_failures_in_a_row_with_neither_kind_between_them() {
    let mut rig = rig(exact().failure_ratio(None));
    let throttled = Finding::Throttled(None);
    rig.calls([FAILED, FAILED, FAILED, FAILED, Finding::Healthy, FAILED, throttled, FAILED, FAILED, FAILED]);
    rig.call(Finding::Neither);
    assert!(!rig.is_open());
    rig.call(FAILED);
    assert!(rig.is_open());
    assert_eq!(rig.reasons(), ["consecutive_failures"]);
}

#[test]
fn a_share_of_failures_says_nothing_below_the_least_number_of_calls() {
    let mut rig = rig(by_ratio());
    rig.calls([FAILED; 9]);
    assert!(!rig.is_open());
    rig.call(FAILED);
    assert!(rig.is_open());
    assert_eq!(
        rig.breaker.last_change().map(|change| change.reason),
        Some(ChangeReason::FailureRatio { failures: 10, calls: 10 })
    );
}

#[test]
fn breaks_double_up_to_the_cap_and_begin_anew_once_it_is_well() {
    let mut rig = rig(exact());
    rig.half_open();
    let mut breaks = Vec::new();
    for _ in 0..6 {
        rig.call(FAILED);
        let until = rig.state().until().expect("open");
        breaks.push((until - rig.now).as_secs());
        rig.now = until;
    }
    assert_eq!(breaks, [10, 20, 40, 60, 60, 60]);
    rig.call(Finding::Healthy);
    assert_eq!(rig.open(), rig.now + BREAK);
}

#[test]
fn jitter_takes_off_no_more_than_its_share() {
    for (draw, expected) in [(0.0, 5_000), (0.5, 3_750), (1.0, 2_500), (f64::MAX, 2_500), (-1.0, 5_000)] {
        let mut rig = rig(CircuitPolicy::new());
        for _ in 0..5 {
            let stamp = rig.enter();
            rig.breaker.finish(rig.now, stamp, FAILED, || draw);
        }
        assert_eq!(rig.state().until(), Some(rig.now + Duration::from_millis(expected)));
    }
}

#[test]
fn a_minute_of_recovery_three_successes_and_five_failures_can_be_said() {
    let minute = Duration::from_secs(60);
    let policy =
        CircuitPolicy::new().consecutive_failures(5).failure_ratio(None).fixed_break(minute).successes_to_close(3);
    let mut rig = rig(policy);
    for _ in 0..3 {
        let until = rig.open();
        assert_eq!(until, rig.now + minute);
        rig.now = until;
        rig.calls([Finding::Healthy, Finding::Healthy]);
        assert_eq!(rig.state(), CircuitState::HalfOpen);
        rig.call(FAILED);
        assert_eq!(rig.state().until(), Some(rig.now + minute), "every time as long");
        rig.pass(minute);
        rig.calls([Finding::Healthy, Finding::Healthy, Finding::Healthy]);
        assert_eq!(rig.state(), CircuitState::Closed);
    }
}

#[test]
fn a_break_is_no_shorter_than_the_failures_asked_for() {
    let mut rig = rig(exact());
    let asked = rig.now + Duration::from_secs(90);
    rig.call(Finding::Unhealthy(Some(asked)));
    rig.calls([FAILED; 4]);
    assert_eq!(rig.state(), CircuitState::Open { until: Some(asked) }, "above the cap, too");
    rig.now = asked;
    let asked = rig.now + Duration::from_secs(120);
    rig.call(Finding::Unhealthy(Some(asked)));
    assert_eq!(rig.state(), CircuitState::Open { until: Some(asked) }, "a probe's, too");
}

#[test]
fn a_failure_that_says_how_long_shuts_the_gate_where_gates_are_held() {
    let mut rig = rig(exact().hold_throttled());
    let asked = rig.now + BREAK;
    rig.call(Finding::Unhealthy(Some(asked)));
    assert_eq!(rig.state(), CircuitState::Throttled { until: asked });
    assert_eq!(rig.breaker.consecutive_failures(), 1, "and is a failure all the same");
}

#[test]
fn a_throttled_probe_waits_and_never_closes() {
    for (hint, wait) in [(Some(Duration::from_secs(20)), Duration::from_secs(20)), (None, BREAK)] {
        let mut rig = rig(exact().successes_to_close(2));
        rig.half_open();
        rig.call(Finding::Healthy);
        let hint = hint.map(|hint| rig.now + hint);
        rig.reasons();
        rig.call(Finding::Throttled(hint));
        let until = rig.now + wait;
        assert_eq!((rig.state(), rig.reasons()), (CircuitState::Throttled { until }, vec!["probe_throttled"]));
        assert_eq!(rig.refused_until(), Some(until));
        rig.now = until;
        assert_eq!(rig.state(), CircuitState::HalfOpen);
        rig.call(Finding::Healthy);
        assert_eq!(rig.state(), CircuitState::HalfOpen, "the success before it no longer counts");
        rig.call(Finding::Healthy);
        assert_eq!(rig.state(), CircuitState::Closed);
        assert_eq!(rig.breaker.counts().opened, 1, "and no longer break either");
    }
}

#[test]
fn a_probes_first_byte_closes_and_its_broken_stream_is_one_failure() {
    let mut rig = rig(exact());
    rig.half_open();
    let probe = rig.enter();
    let rest = rig.first_byte(probe);
    assert_eq!(rig.state(), CircuitState::Closed);
    rig.finish(rest, FAILED);
    assert_eq!((rig.state(), rig.breaker.consecutive_failures()), (CircuitState::Closed, 1));
    rig.calls([FAILED; 4]);
    assert_eq!(rig.state().until(), Some(rig.now + 2 * BREAK), "it never was well: the next break is longer");
    rig.pass(2 * BREAK);
    let probe = rig.enter();
    let rest = rig.first_byte(probe);
    rig.finish(rest, Finding::Healthy);
    assert_eq!(rig.open(), rig.now + BREAK, "it was well");
}

#[test]
fn a_proven_probe_that_breaks_while_others_are_awaited_has_failed() {
    let mut rig = rig(exact().successes_to_close(3));
    rig.half_open();
    let probe = rig.enter();
    let rest = rig.first_byte(probe);
    assert_eq!(rig.state(), CircuitState::HalfOpen);
    let second = rig.enter();
    rig.finish(second, Finding::Healthy);
    rig.finish(rest, FAILED);
    assert!(rig.is_open());
}

#[test]
fn a_probe_counts_once_however_it_goes_on() {
    let mut rig = rig(exact().successes_to_close(2));
    rig.half_open();
    let probe = rig.enter();
    let rest = rig.first_byte(probe);
    let rest = rig.first_byte(rest);
    rig.finish(rest, Finding::Healthy);
    assert_eq!(rig.state(), CircuitState::HalfOpen);
}

#[test]
fn a_probe_may_have_to_prove_itself_to_the_end() {
    let mut rig = rig(exact().probe_proof(ProbeProof::End));
    rig.half_open();
    let probe = rig.enter();
    let rest = rig.first_byte(probe);
    assert_eq!(rig.state(), CircuitState::HalfOpen);
    rig.admit().expect_err("it is still under way");
    rig.finish(rest, FAILED);
    assert_eq!(rig.state().until(), Some(rig.now + 2 * BREAK));
}

#[test]
fn it_opens_for_slow_first_bytes_and_a_slow_probe_has_failed() {
    let mut rig = rig(exact().slow_first_bytes(MS, 0.5));
    let begin = |rig: &mut Rig, is_slow| {
        let stamp = rig.enter();
        rig.breaker.first_byte(rig.now, stamp, is_slow, LONGEST)
    };
    for number in 0..9 {
        let stamp = begin(&mut rig, number % 2 == 0);
        rig.finish(stamp, Finding::Healthy);
    }
    assert!(!rig.is_open(), "5 of 9");
    begin(&mut rig, true);
    assert_eq!(
        rig.breaker.last_change().map(|change| change.reason),
        Some(ChangeReason::SlowFirstBytes { slow: 6, answers: 10 })
    );
    rig.pass(BREAK);
    begin(&mut rig, true);
    assert_eq!(rig.state().until(), Some(rig.now + 2 * BREAK));
    rig.pass(2 * BREAK);
    begin(&mut rig, false);
    assert_eq!(rig.state(), CircuitState::Closed);
}

#[test]
fn by_hand_it_opens_and_closes_at_once() {
    let mut rig = rig(exact());
    let under_way = rig.enter();
    rig.breaker.trip(rig.now, None);
    rig.pass(Duration::from_secs(1_000_000));
    assert_eq!(rig.admit(), Err(Refusal { reason: Reason::CircuitOpen, until: None }));
    rig.finish(under_way, Finding::Healthy);
    assert_eq!(rig.state(), CircuitState::Open { until: None });

    rig.breaker.trip(rig.now, Some(BREAK));
    assert_eq!(rig.refused_until(), Some(rig.now + BREAK));
    rig.pass(BREAK);
    assert!(rig.enter().is_probe());

    rig.breaker.reset(rig.now);
    assert_eq!((rig.state(), rig.breaker.counts()), (CircuitState::Closed, Counts::default()));
    assert!(!rig.enter().is_probe());
    assert_eq!(rig.reasons(), ["tripped", "tripped", "break_over", "reset"]);

    let mut rig = self::rig(exact().hold_throttled_for(BREAK));
    rig.call(Finding::Throttled(None));
    rig.breaker.reset(rig.now);
    rig.enter();
    assert_eq!(rig.reasons(), ["server_asked_to_wait", "reset"]);
}

#[test]
fn a_hint_of_zero_says_no_more_than_none() {
    let hint = |after| Some(Hint { after, source: HintSource::RetryAfterMs });
    let now = Instant::now();
    let of = |after| Finding::of(Outcome::Throttled { hint: hint(after), scope: Scope::Unknown }, now);
    assert_eq!(of(Duration::ZERO), Finding::Throttled(None));
    assert_eq!(of(MS), Finding::Throttled(Some(now + MS)));
}

#[test]
fn hints_beyond_the_clock_are_very_long_waits() {
    let now = Instant::now();
    assert!(later(now, Duration::MAX) > now + Duration::from_secs(86_400));
    let mut rig = rig(exact().fixed_break(Duration::MAX));
    assert!(rig.open() > rig.now + Duration::from_secs(86_400));
}

proptest! {
    /// No wait is longer than the policy and the server's own words make it.
    #[test]
    fn every_break_is_within_its_bounds(failed_probes in 0u32..200, draw in 0.0f64..1.0, base in 1u64..100_000) {
        let base = Duration::from_millis(base);
        let cap = base * 7;
        let mut rig = rig(CircuitPolicy::new().break_time(base).break_cap(cap));
        for _ in 0..5 {
            let stamp = rig.enter();
            rig.breaker.finish(rig.now, stamp, FAILED, || draw);
        }
        for probe in 0..failed_probes {
            let longest = (base * (1 << probe.min(3))).min(cap);
            let until = rig.state().until().expect("open");
            prop_assert!(until - rig.now <= longest);
            prop_assert!(until - rig.now >= longest / 2);
            rig.now = until;
            let stamp = rig.enter();
            rig.breaker.finish(rig.now, stamp, FAILED, || draw);
        }
    }
}
