//! What others are told of a circuit.

use std::time::Duration;

use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};
use tower::Layer;
use tower_aoai_circuit_breaker::{ChangeReason, CircuitState};

mod support;

use support::{BREAK, answers, call, chat, exact, layer, state};

#[tokio::test(start_paused = true)]
async fn the_handle_shows_state_counts_and_the_last_change() {
    let layer = layer(exact());
    let handle = layer.handle();
    let fresh = handle.snapshot();
    assert_eq!((fresh.state, fresh.last_change), (CircuitState::Closed, None));
    let (good, bad) = (layer.layer(answers(200)), layer.layer(answers(500)));
    call(&good, chat(false)).await.expect("an answer");
    call(&bad, chat(false)).await.expect("an answer");
    let now = handle.snapshot();
    assert_eq!((now.window_successes, now.window_failures, now.consecutive_failures), (1, 1, 1));
    let start = Instant::now();
    for _ in 0..4 {
        call(&bad, chat(false)).await.expect("an answer");
    }
    call(&bad, chat(false)).await.expect_err("open");
    let now = handle.snapshot();
    let change = now.last_change.expect("it opened");
    assert_eq!((change.sequence, change.at, change.from), (1, start, CircuitState::Closed));
    assert_eq!((change.to, change.reason), (now.state, ChangeReason::ConsecutiveFailures(5)));
    assert_eq!(change.reason.to_string(), "5 failures without a success");
    assert_eq!((now.healthy, now.unhealthy, now.opened, now.refused), (1, 5, 1, 1));
    assert_eq!((now.window_failures, now.consecutive_failures), (0, 0), "of the closed circuit");

    tokio::time::sleep(BREAK).await;
    assert_eq!(state(&handle), "half_open", "what a call will find, though none has come");
    call(&good, chat(false)).await.expect("a probe");
    assert_eq!((state(&handle), handle.snapshot().probes), ("closed", 1));
    handle.reset();
    assert_eq!((handle.snapshot().healthy, handle.snapshot().opened), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn by_hand_it_opens_for_good_or_for_a_while() {
    let layer = layer(exact());
    let handle = layer.handle();
    let service = layer.layer(answers(200));
    handle.trip();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    call(&service, chat(false)).await.expect_err("open");
    handle.reset();
    call(&service, chat(false)).await.expect("an answer");
    handle.trip_for(BREAK);
    call(&service, chat(false)).await.expect_err("open");
    tokio::time::sleep(BREAK).await;
    call(&service, chat(false)).await.expect("a probe");
    assert_eq!(state(&handle), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_slow_listener_misses_what_lies_between_and_never_the_latest() {
    let layer = layer(exact());
    let handle = layer.handle();
    handle.trip();
    let mut changes = handle.changes();
    assert_eq!(changes.latest().map(|change| change.reason), Some(ChangeReason::Tripped));
    let mut waiting = task::spawn(async { changes.changed().await });
    assert_pending!(waiting.poll(), "that is not new");
    for _ in 0..1_000 {
        handle.reset();
        handle.trip_for(BREAK);
    }
    assert!(waiting.is_woken());
    let change = assert_ready!(waiting.poll()).expect("a change");
    assert_eq!((change.sequence, change.reason), (2_001, ChangeReason::Tripped));
    drop(waiting);
    handle.reset();
    drop((handle, layer));
    assert_eq!(changes.changed().await.map(|change| change.reason), Some(ChangeReason::Reset), "not lost");
    assert_eq!(changes.changed().await, None);
}
