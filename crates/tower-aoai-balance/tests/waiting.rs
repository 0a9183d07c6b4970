//! Calls that wait because a member's stack is not ready, while the others are shut.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_aoai_balance::{BalanceLayer, Member, Strategy};
use tower_aoai_core::{Admission, Reason, Rejected};

mod support;

use support::{Gate, Log, NameLayer, answer, answering, assert_nothing_is_held, chat};

const SECOND: Duration = Duration::from_secs(1);

/// A member with this gate, and one that is never ready.
macro_rules! beside_one_never_ready {
    ($gate:expr) => {{
        let members = [("gated", $gate, 1), ("never", Gate::open(), 0)].map(|(name, gate, places)| {
            Member::new(name).layer(ConcurrencyLimitLayer::new(places)).asked(gate).layer(NameLayer(name))
        });
        BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin)
    }};
}

#[tokio::test(start_paused = true)]
async fn a_member_that_refused_is_asked_again_when_it_said_that_it_would_open() {
    let (log, opens) = (Log::default(), Instant::now() + SECOND);
    let gate = Gate::liar(Rejected::new(Reason::CircuitOpen, "gate").until(opens));
    let layer = beside_one_never_ready!(gate.clone());
    let call = layer.layer(answering(&log, |_| answer(200))).oneshot(chat());
    tokio::spawn(async move {
        sleep(SECOND).await;
        gate.refuse(None);
    });
    let response = timeout(10 * SECOND, call).await.expect("it does not wait for ever");
    assert_eq!(response.expect("an answer").status(), 200);
    assert!(Instant::now() - opens < SECOND / 10, "{:?}", Instant::now() - opens);
    assert_eq!(log.all(), ["gated"]);
    assert_nothing_is_held(&layer.handle(), "in the end");
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_opens_later_than_it_said_is_not_asked_a_thousand_times_a_second() {
    let log = Log::default();
    let gate = Gate::new(Admission::Shut(Some(Instant::now())));
    let service = beside_one_never_ready!(gate.clone()).layer(answering(&log, |_| answer(200)));
    let waited = timeout(60 * SECOND, service.oneshot(chat())).await;
    assert!(waited.is_err(), "nobody is ready");
    assert!(gate.asked() < 2_000, "{} times in a minute", gate.asked());
    assert!(log.all().is_empty());
}
