//! What becomes of callers who wait for the instant that a refusal names.

use http_body_util::BodyExt;
use tokio::{task::JoinSet, time::Instant};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_aoai_core::{ObserveLayer, PrepareLayer};
use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy};
use tower_aoai_simulator::Scripted;

mod support;

use support::{chat, exact, half_open, layer, simulator};

/// The lease of a probe is how long it is believed in, and no time to wait for one that answers in half a second.
#[tokio::test(start_paused = true)]
async fn callers_who_try_again_are_back_soon_after_the_probe_is() {
    let layer = layer(exact());
    let server = simulator();
    server.script("gpt-4o").times(5, &Scripted::plain_text_503());
    half_open(&layer.handle(), &layer.layer(server.clone())).await;
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(RetryAfterLayer::new(RetryPolicy::new()))
        .layer(layer)
        .layer(ObserveLayer::new())
        .service(server);
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let call = service.clone().oneshot(chat(true));
        calls.spawn(async move {
            assert_eq!(call.await.expect("an answer").status(), 200);
            Instant::now() - start
        });
    }
    let took = calls.join_all().await;
    let (first, last) = (took.iter().min().copied(), took.iter().max().copied());
    assert!(last < first.map(|first| 4 * first), "the probe took {first:?}, the last one {last:?}");
}

/// A retry layer judges by the head where nobody observes; the breaker sees the body as well.
#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_a_failure_whatever_a_layer_above_made_of_its_head() {
    let layer = layer(exact());
    let server = simulator();
    server.script("gpt-4o").times(5, &Scripted::cut_after(3));
    let stack = ServiceBuilder::new().layer(PrepareLayer::new()).layer(RetryAfterLayer::new(RetryPolicy::new()));
    let service = stack.layer(layer.clone()).service(server);
    for _ in 0..5 {
        let response = service.clone().oneshot(chat(true)).await.expect("an answer");
        response.into_body().collect().await.expect_err("cut");
    }
    let now = layer.handle().snapshot();
    assert_eq!((now.healthy, now.unhealthy, now.state.name()), (0, 5, "open"));
}
