//! What threads see of a circuit.

use std::{
    sync::{atomic::AtomicU64, mpsc},
    thread,
};

use super::*;
use crate::CircuitBreakerLayer;

const FAILED: Finding = Finding::Unhealthy(None);

fn circuit(policy: CircuitPolicy) -> Circuit {
    policy.check().expect("a valid policy");
    Circuit::new(policy, false)
}

/// Runs `work` in a thread while the state's lock is taken, and says whether it came to its end meanwhile.
fn runs_without_the_lock(circuit: &Circuit, patience: Duration, work: impl FnOnce() + Send) -> bool {
    let (done, wait) = mpsc::channel();
    thread::scope(|scope| {
        let lock = circuit.state.breaker.lock();
        scope.spawn(move || {
            work();
            // Nobody listens any more if it took too long.
            let _ = done.send(());
        });
        let is_done = wait.recv_timeout(patience).is_ok();
        drop(lock);
        is_done
    })
}

#[test]
fn b8_closed_lets_calls_through_and_answers_the_balancer_without_a_lock() {
    let circuit = circuit(CircuitPolicy::new());
    let context = CallContext::new(tower_aoai_core::Call::default(), Instant::now());
    assert!(runs_without_the_lock(&circuit, Duration::from_secs(60), || {
        circuit.admit().expect("closed");
        circuit.state.admission(&context, context.now());
        circuit.state.load();
        assert!(!circuit.state.is_shut(Instant::now));
    }));
    circuit.change(|breaker| breaker.trip(Instant::now(), None));
    let asks = || drop(circuit.admit());
    assert!(!runs_without_the_lock(&circuit, Duration::from_millis(100), asks), "this test can tell");
}

#[test]
fn b8_the_door_is_shut_as_soon_as_the_circuit_is() {
    let circuit = circuit(CircuitPolicy::new().hold_throttled());
    let now = Instant::now();
    for generation in 0..3 {
        let (stamp, read) = circuit.admit().expect("closed");
        assert_eq!((stamp, read), (Stamp::closed(2 * generation), None));
        circuit.change(|breaker| breaker.trip(now, None));
        circuit.admit().expect_err("open");
        circuit.change(|breaker| breaker.reset(now));
    }
    let (stamp, _) = circuit.admit().expect("closed");
    circuit.finish(now, stamp, Finding::Throttled(Some(now + Duration::from_secs(3_600))));
    circuit.admit().expect_err("throttled");
}

/// Four threads, calls of every end, while the circuit opens and closes as fast as it can.
#[test]
fn b1_b3_threads_never_have_more_probes_than_allowed() {
    const PROBES: u32 = 3;
    let policy = CircuitPolicy::new()
        .fixed_break(Duration::from_nanos(1))
        .probes(PROBES)
        .successes_to_close(7)
        .probe_lease(Duration::from_secs(3_600))
        .probe_proof(crate::ProbeProof::End);
    let circuit = circuit(policy);
    let most = AtomicUsize::new(0);
    let (passed, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for seed in 0..4 {
            let (circuit, most, passed, refused) = (&circuit, &most, &passed, &refused);
            scope.spawn(move || {
                let dice = Generator::seeded(seed);
                for _ in 0..20_000 {
                    let Ok((stamp, _)) = circuit.admit() else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                        continue;
                    };
                    passed.fetch_add(1, Ordering::Relaxed);
                    if stamp.is_probe() {
                        let now = Instant::now();
                        most.fetch_max(circuit.state.look(|breaker| breaker.probes_under_way(now)), Ordering::Relaxed);
                    }
                    thread::yield_now();
                    let finding = match (dice.fraction() * 10.0) as u32 {
                        0..4 => Finding::Healthy,
                        4..8 => FAILED,
                        _ => Finding::Neither,
                    };
                    circuit.finish(Instant::now(), stamp, finding);
                }
            });
        }
    });
    let now = Instant::now();
    assert!(most.into_inner() <= PROBES as usize);
    assert_eq!(circuit.state.look(|breaker| breaker.probes_under_way(now)), 0, "every place was given back");
    let counts = circuit.state.look(Breaker::counts);
    assert!(counts.opened > 10, "{counts:?}");
    assert_eq!(passed.into_inner() + refused.into_inner(), 80_000);
}

#[test]
fn a_listener_sees_the_latest_change_whoever_tells_first() {
    let circuit = circuit(CircuitPolicy::new());
    let mut changes = circuit.state.changes();
    let now = Instant::now();
    let mut told = Vec::new();
    for _ in 0..3 {
        let mut breaker = circuit.state.breaker.lock();
        breaker.trip(now, None);
        breaker.reset(now);
        told.extend(breaker.take_news());
    }
    // As if the thread that made the first change came last.
    for change in told.iter().rev() {
        circuit.tell(*change);
    }
    assert_eq!(*changes.borrow_and_update(), told.last().copied());
}

#[test]
fn two_layers_of_one_clone_have_one_state_and_two_values_two() {
    let same = |one: &CircuitBreakerLayer, other: &CircuitBreakerLayer| {
        use tower_aoai_core::Asked;
        std::ptr::addr_eq(Arc::as_ptr(&one.availability()), Arc::as_ptr(&other.availability()))
    };
    let layer = CircuitBreakerLayer::new();
    assert!(same(&layer, &layer.clone().name("changed afterwards").seed(1)));
    assert!(!same(&layer, &CircuitBreakerLayer::new()));
}
