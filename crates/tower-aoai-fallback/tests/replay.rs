//! Bursts against a provisioned deployment with a standard one behind it: what patience saves. The long form, on recorded
//! traffic, is the example `spill`.

use tower_aoai_fallback::Patience;

#[path = "support/replay.rs"]
mod replay;

use replay::{Policy, Report};

async fn run(load: f64, policy: Policy) -> Report {
    replay::replay(&replay::bursts(120, 20, 40, 3), load, policy, 256, 3).await
}

#[tokio::test(start_paused = true)]
async fn g7_patience_saves_what_spilling_costs_and_misses_no_deadline() {
    for load in [0.7, 0.9] {
        let native = run(load, Policy::FirstRefusal).await;
        let interactive = run(load, Policy::Patient(Patience::INTERACTIVE)).await;
        let batch = run(load, Policy::Patient(Patience::Unlimited)).await;
        assert!(native.spend > 0.0, "the bursts are larger than what it takes");
        assert!(interactive.spend <= native.spend, "load {load}: {interactive:?} against {native:?}");
        assert!(batch.spend <= native.spend / 2.0, "load {load}: {batch:?} against {native:?}");
        assert!(interactive.in_time >= native.in_time && batch.in_time >= native.in_time, "load {load}");
        assert!(batch.utilisation > native.utilisation);
        assert!(interactive.refused * 10 < native.refused, "who would spill anyway does not knock");
    }
}
