//! Calls, ends, cancellations and time in any order, beside a slow and simple circuit that remembers everything.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::*;

const PROBES: u32 = 2;
const TO_CLOSE: u32 = 3;
const IN_A_ROW: usize = 4;
const LEAST: usize = 6;
const CAP: Duration = Duration::from_secs(20);

fn policy(holds: bool) -> CircuitPolicy {
    let policy = exact()
        .consecutive_failures(IN_A_ROW as u32)
        .min_calls(LEAST as u32)
        .break_cap(CAP)
        .probes(PROBES)
        .probe_lease(LEASE)
        .successes_to_close(TO_CLOSE);
    if holds { policy.hold_throttled() } else { policy }
}

#[derive(Debug, Clone)]
enum Step {
    Pass(Duration),
    Admit,
    /// The head of the call of this number, modulo those under way.
    FirstByte(usize),
    Finish(usize, End),
    Trip(Option<Duration>),
    Reset,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Good,
    Bad(Option<Duration>),
    Throttled(Option<Duration>),
    Cancelled,
}

/// A call under way, as the model sees it.
#[derive(Debug, Clone, Copy)]
struct Call {
    episode: usize,
    /// When it went as a probe.
    probe: Option<Duration>,
    has_proven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Closed,
    Open(Option<Duration>),
    HalfOpen,
}

/// Times are since the start. Nothing is ever forgotten.
#[derive(Debug, Clone)]
struct Model {
    holds: bool,
    now: Duration,
    mode: Mode,
    /// Modes so far.
    episode: usize,
    /// Results of the closed episode, with their times.
    results: Vec<(Duration, bool)>,
    proven: u32,
    gate: Option<Duration>,
    asked: Option<Duration>,
    breaks: u32,
    calls: BTreeMap<usize, Call>,
    admitted: usize,
    /// What became of the last admission; refused until when.
    admission: Result<(), Option<Duration>>,
}

impl Model {
    fn key(&self, number: usize) -> Option<usize> {
        let keys: Vec<_> = self.calls.keys().copied().collect();
        (!keys.is_empty()).then(|| keys[number % keys.len()])
    }

    fn enter(&mut self, mode: Mode) {
        self.mode = mode;
        self.episode += 1;
        self.results.clear();
        self.proven = 0;
        self.asked = None;
        if mode != Mode::Closed || !self.holds {
            self.gate = None;
        }
    }

    fn open(&mut self) {
        let time = (0..self.breaks).fold(BREAK, |time, _| (time * 2).min(CAP));
        self.breaks += 1;
        let until = Some(self.now + time).max(self.asked).max(self.gate);
        self.enter(Mode::Open(until));
    }

    /// Leases that run.
    fn leases(&self) -> Vec<Duration> {
        let probes = self.calls.values().filter(|call| call.episode == self.episode && !call.has_proven);
        probes.filter_map(|call| call.probe).map(|at| at + LEASE).filter(|ends| *ends > self.now).collect()
    }

    fn admit(&mut self) {
        self.admission = Ok(());
        match self.mode {
            Mode::Open(None) => self.admission = Err(None),
            Mode::Open(Some(until)) if until > self.now => self.admission = Err(Some(until)),
            _ => {}
        }
        if self.mode == Mode::HalfOpen {
            let leases = self.leases();
            if let Some(ends) = leases.iter().min().filter(|_| leases.len() >= PROBES as usize) {
                // As long again as it has taken, within its lease.
                let taken = self.now + LEASE - *ends;
                let until = (self.now + taken.max(100 * MS)).min(*ends);
                self.admission = Err(self.gate.max(Some(until)));
            }
        }
        if self.admission.is_ok()
            && let Some(gate) = self.gate.filter(|gate| *gate > self.now)
        {
            self.admission = Err(Some(gate));
        }
        if self.admission.is_err() {
            return;
        }
        self.gate = None;
        if matches!(self.mode, Mode::Open(_)) {
            self.enter(Mode::HalfOpen);
        }
        let probe = (self.mode == Mode::HalfOpen).then_some(self.now);
        self.calls.insert(self.admitted, Call { episode: self.episode, probe, has_proven: false });
        self.admitted += 1;
    }

    fn prove(&mut self) -> bool {
        self.proven += 1;
        let closes = self.proven == TO_CLOSE;
        if closes {
            self.enter(Mode::Closed);
        }
        closes
    }

    fn first_byte(&mut self, key: usize) {
        let call = self.calls[&key];
        if call.episode != self.episode || self.mode != Mode::HalfOpen || call.has_proven {
            return;
        }
        let next = if self.prove() {
            // From now on an ordinary call of the closed circuit.
            Call { episode: self.episode, probe: None, has_proven: false }
        } else {
            Call { has_proven: true, ..call }
        };
        self.calls.insert(key, next);
    }

    fn shut(&mut self, until: Option<Duration>) {
        self.gate = self.gate.max(until.filter(|until| *until > self.now));
    }

    fn finish(&mut self, key: usize, end: End) {
        let Some(call) = self.calls.remove(&key) else { return };
        if call.episode != self.episode {
            return;
        }
        let at = |hint: Option<Duration>| hint.map(|hint| self.now + hint);
        match (self.mode, end) {
            (_, End::Cancelled) | (Mode::Open(_), _) => {}
            (Mode::Closed, End::Good) => {
                self.breaks = 0;
                self.results.push((self.now, true));
            }
            (Mode::Closed, End::Bad(hint)) => {
                let until = at(hint);
                self.asked = self.asked.max(until);
                if self.holds {
                    self.shut(until);
                }
                self.results.push((self.now, false));
                if self.is_failing() {
                    self.open();
                }
            }
            (Mode::Closed, End::Throttled(hint)) => {
                if self.holds {
                    self.shut(at(hint));
                }
            }
            (Mode::HalfOpen, End::Good) => {
                if !call.has_proven && self.prove() {
                    self.breaks = 0;
                }
            }
            (Mode::HalfOpen, End::Bad(hint)) => {
                self.asked = self.asked.max(at(hint));
                self.open();
            }
            (Mode::HalfOpen, End::Throttled(hint)) => {
                self.proven = 0;
                let until = at(Some(hint.unwrap_or(BREAK)));
                self.shut(until);
            }
        }
    }

    fn is_failing(&self) -> bool {
        let in_a_row = self.results.iter().rev().take_while(|(_, is_good)| !is_good).count();
        let part = |at: Duration| at.as_millis() / 3_000;
        let young: Vec<_> = self.results.iter().filter(|(at, _)| part(*at) + 10 >= part(self.now)).collect();
        let failures = young.iter().filter(|(_, is_good)| !is_good).count();
        in_a_row >= IN_A_ROW || (young.len() >= LEAST && 2 * failures >= young.len())
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        any::<bool>()
            .prop_map(|holds| Self {
                holds,
                now: Duration::ZERO,
                mode: Mode::Closed,
                episode: 0,
                results: Vec::new(),
                proven: 0,
                gate: None,
                asked: None,
                breaks: 0,
                calls: BTreeMap::new(),
                admitted: 0,
                admission: Ok(()),
            })
            .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let time = || (0u64..15_000).prop_map(Duration::from_millis);
        let hint = || prop::option::of((1u64..40_000).prop_map(Duration::from_millis));
        let end = prop_oneof![
            3 => Just(End::Good),
            4 => Just(End::Bad(None)),
            1 => hint().prop_map(End::Bad),
            1 => hint().prop_map(End::Throttled),
            1 => Just(End::Cancelled),
        ];
        prop_oneof![
            3 => time().prop_map(Step::Pass),
            8 => Just(Step::Admit),
            2 => any::<usize>().prop_map(Step::FirstByte),
            8 => (any::<usize>(), end).prop_map(|(number, end)| Step::Finish(number, end)),
            1 => prop::option::of(time()).prop_map(Step::Trip),
            1 => Just(Step::Reset),
        ]
        .boxed()
    }

    fn apply(mut model: Self, step: &Step) -> Self {
        match *step {
            Step::Pass(time) => model.now += time,
            Step::Admit => model.admit(),
            Step::FirstByte(number) => {
                if let Some(key) = model.key(number) {
                    model.first_byte(key);
                }
            }
            Step::Finish(number, end) => {
                if let Some(key) = model.key(number) {
                    model.finish(key, end);
                }
            }
            Step::Trip(time) => {
                let until = time.map(|time| Some(model.now + time).max(model.gate).unwrap_or_default());
                model.enter(Mode::Open(until));
            }
            Step::Reset => {
                model.enter(Mode::Closed);
                model.gate = None;
                model.breaks = 0;
            }
        }
        model
    }
}

struct Subject {
    rig: Rig,
    start: Instant,
    calls: BTreeMap<usize, Stamp>,
    admitted: usize,
}

impl Subject {
    fn key(&self, number: usize) -> Option<usize> {
        let keys: Vec<_> = self.calls.keys().copied().collect();
        (!keys.is_empty()).then(|| keys[number % keys.len()])
    }
}

impl StateMachineTest for Subject {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        let rig = rig(policy(model.holds));
        let start = rig.now;
        Self { rig, start, calls: BTreeMap::new(), admitted: 0 }
    }

    fn apply(mut subject: Self, model: &Model, step: Step) -> Self {
        let rig = &mut subject.rig;
        match step {
            Step::Pass(time) => rig.pass(time),
            Step::Admit => match rig.admit() {
                Ok(stamp) => {
                    assert_eq!(model.admission, Ok(()));
                    subject.calls.insert(subject.admitted, stamp);
                    subject.admitted += 1;
                }
                Err(refusal) => {
                    let until = refusal.until.map(|until| until - subject.start);
                    assert_eq!(model.admission, Err(until));
                    // B2: refused, but never for ever, nor without an instant, unless by hand.
                    assert!(until.is_none_or(|until| until > model.now));
                }
            },
            Step::FirstByte(number) => {
                if let Some(key) = subject.key(number) {
                    let stamp = subject.calls[&key];
                    let stamp = subject.rig.first_byte(stamp);
                    subject.calls.insert(key, stamp);
                }
            }
            Step::Finish(number, end) => {
                if let Some(key) = subject.key(number) {
                    let stamp = subject.calls.remove(&key).expect("under way");
                    let rig = &mut subject.rig;
                    let at = |hint: Option<Duration>| hint.map(|hint| rig.now + hint);
                    let finding = match end {
                        End::Good => Finding::Healthy,
                        End::Bad(hint) => Finding::Unhealthy(at(hint)),
                        End::Throttled(hint) => Finding::Throttled(at(hint)),
                        End::Cancelled => Finding::Neither,
                    };
                    rig.finish(stamp, finding);
                }
            }
            Step::Trip(time) => rig.breaker.trip(rig.now, time),
            Step::Reset => rig.breaker.reset(rig.now),
        }
        subject
    }

    fn check_invariants(subject: &Self, model: &Model) {
        let Self { rig, start, .. } = subject;
        let gate = model.gate.filter(|gate| *gate > model.now);
        let expected = match (model.mode, gate) {
            (Mode::Open(None), _) => CircuitState::Open { until: None },
            (Mode::Open(Some(until)), _) if until > model.now => CircuitState::Open { until: Some(*start + until) },
            (Mode::Closed | Mode::HalfOpen, Some(gate)) => CircuitState::Throttled { until: *start + gate },
            (Mode::Closed, None) => CircuitState::Closed,
            (Mode::HalfOpen | Mode::Open(_), _) => CircuitState::HalfOpen,
        };
        assert_eq!(rig.state(), expected);
        let under_way = if model.mode == Mode::HalfOpen { model.leases().len() } else { 0 };
        assert!(under_way <= PROBES as usize);
        assert_eq!(rig.breaker.probes_under_way(rig.now), under_way);
        if rig.breaker.open_door().is_some() {
            assert_eq!(rig.state(), CircuitState::Closed, "B8: the door stands open only where nobody has to ask");
        }
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn b1_b2_b3_b4_b5_b6_b10_as_a_circuit_that_remembers_everything(sequential 1..120 => Subject);
}
