//! What the layers promise to a stack: readiness, clones, and one record of each, wherever a call is dropped.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready_err, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_aoai::{
    balance::{BalanceLayer, Member},
    core::{
        DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, Outcome, PrepareLayer, Reason, Rejected, RequestBody,
    },
    endpoint::{Credential, CredentialError, EndpointLayer, Token, TokenCache, TokenFuture},
    fallback::{FallbackLayer, Leg},
    retry_after::{RetryAfterLayer, RetryPolicy},
    telemetry::{AttemptTelemetryLayer, CallEnding, CallTelemetryLayer},
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};
use tower_test::mock::Spawn;

use crate::support::{Kept, Plain, call, chat, simulator};

/// What may happen to a call, by number.
fn script(server: &Simulator, what: u8) {
    let scripted = match what {
        0 => return,
        1 => Scripted::rate_limited(Duration::from_secs(1)),
        2 => Scripted::refused_stream(Duration::from_secs(1)),
        3 => Scripted::cut_after(2),
        4 => Scripted::status(503),
        5 => Scripted::hang(),
        _ => Scripted::stall_after(1),
    };
    server.script("gpt-4o").then(scripted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A call that is polled and read so often, and then dropped, is told of once, and so is each of its attempts.
    #[test]
    fn t5_a_call_dropped_anywhere_is_told_of_once(what in 0_u8..7, stream: bool, polls in 0_usize..60, frames in 0_usize..12) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let (kept, server) = (Arc::new(Kept::default()), simulator());
            script(&server, what);
            let mut service = ServiceBuilder::new()
                .layer(PrepareLayer::new())
                .layer(CallTelemetryLayer::new().recorder(kept.clone()))
                .layer(DeadlineLayer::new(Duration::from_secs(8)))
                .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(1)))
                .layer(AttemptTelemetryLayer::new("eastus").recorder(kept.clone()))
                .layer(IncludeUsageLayer::new())
                .layer(ObserveLayer::new())
                .service(server);
            ServiceExt::<Request<Plain>>::ready(&mut service).await.expect("ready");
            let mut future = task::spawn(service.call(chat(stream)));
            let mut answer = None;
            for _ in 0..polls {
                if let Poll::Ready(result) = future.poll() {
                    answer = Some(result);
                    break;
                }
                tokio::time::advance(Duration::from_millis(200)).await;
            }
            if let Some(Ok(response)) = answer {
                let mut body = Box::pin(response.into_body());
                let mut read = 0;
                for _ in 0..polls {
                    match body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())) {
                        Poll::Ready(Some(Ok(_))) if read < frames => read += 1,
                        Poll::Ready(_) => break,
                        Poll::Pending => tokio::time::advance(Duration::from_millis(200)).await,
                    }
                }
            }
            drop(future);
            let [calls, (begun, told)] = kept.begun_and_told();
            // The door calls nothing before it is polled.
            let expected = usize::from(polls > 0);
            assert_eq!((calls, begun), ((expected, expected), told));
            assert!(begun <= 2 && kept.attempts().iter().filter(|attempt| attempt.is_sent).count() == begun);
        });
    }
}

/// Panics unless it is called when, and only when, this very instance was ready.
#[derive(Debug, Default)]
struct Strict(bool);

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Plain>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called without being ready");
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test(start_paused = true)]
async fn t1_the_instance_that_was_ready_is_the_one_that_is_called() {
    let kept = Arc::new(Kept::default());
    let layers = ServiceBuilder::new()
        .layer(CallTelemetryLayer::new().recorder(kept.clone()))
        .layer(AttemptTelemetryLayer::new("eastus").recorder(kept.clone()));
    let mut service = layers.service(Strict::default());
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(Service::<Request<Plain>>::poll_ready(&mut service, &mut context).is_ready());
        let clone = service.clone();
        service.call(chat(false)).await.expect("an answer");
        clone.oneshot(chat(false)).await.expect("an answer");
    }
    assert_eq!(kept.begun_and_told(), [(6, 6), (6, 6)], "clones tell the same recorder");
}

#[tokio::test(start_paused = true)]
async fn t3_readiness_is_the_inner_services_own() {
    let layers = ServiceBuilder::new()
        .layer(CallTelemetryLayer::new())
        .layer(AttemptTelemetryLayer::new("eastus"))
        .layer(ConcurrencyLimitLayer::new(1));
    let mut one = Spawn::new(layers.service(tower::service_fn(|_: Request<Plain>| async {
        Ok::<_, Infallible>(Response::new(Plain::default()))
    })));
    let mut other = one.clone();
    assert!(one.poll_ready::<Request<Plain>>().is_ready());
    assert_pending!(other.poll_ready::<Request<Plain>>());
    drop(one);
    assert!(other.is_woken() && other.poll_ready::<Request<Plain>>().is_ready());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_flattened_and_no_call() {
    let kept = Arc::new(Kept::default());
    let layers = ServiceBuilder::new()
        .layer(CallTelemetryLayer::new().recorder(kept.clone()))
        .layer(AttemptTelemetryLayer::new("eastus").recorder(kept.clone()));
    let (mut mock, mut handle) =
        tower_test::mock::spawn_layer::<Request<Plain>, Response<Plain>, _>(layers.into_inner());
    handle.send_error(Rejected::new(Reason::ShuttingDown, "test"));
    let error: Error = assert_ready_err!(mock.poll_ready());
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::ShuttingDown));
    kept.assert_all_told(0, "not called");
}

#[tokio::test(start_paused = true)]
async fn off_they_tell_of_nothing_and_change_no_type() {
    let kept = Arc::new(Kept::default());
    for is_on in [true, false] {
        let (calls, attempts) = if is_on {
            (CallTelemetryLayer::new(), AttemptTelemetryLayer::new("eastus"))
        } else {
            (CallTelemetryLayer::off(), AttemptTelemetryLayer::off())
        };
        let calls = calls.recorder(kept.clone()).long_wait(Duration::ZERO);
        let service = calls.layer(attempts.recorder(kept.clone()).layer(simulator()));
        call(&service, chat(true)).await.expect("an answer");
        assert_eq!(kept.begun_and_told(), [(1, 1), (1, 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_that_takes_the_place_of_another_is_an_attempt_of_its_own() {
    let server = Simulator::builder().api_key("new").deployment(Deployment::standard("gpt-4o")).build();
    let tokens = TokenCache::new(Rotating::default());
    let kept = Arc::new(Kept::default());
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new().recorder(kept.clone()))
        .layer(
            EndpointLayer::new("https://r.openai.azure.com".parse().expect("an address"))
                .classic("2024-10-21")
                .expect("a version")
                .token_cache(tokens),
        )
        .layer(AttemptTelemetryLayer::new("eastus").recorder(kept.clone()))
        .layer(ObserveLayer::new())
        .service(server);
    assert_eq!(call(&service, chat(false)).await.expect("an answer"), 200);
    kept.assert_all_told(1, "both sends");
    let outcomes: Vec<_> = kept.attempts().iter().map(|attempt| (attempt.outcome, attempt.resends)).collect();
    assert_eq!(outcomes, [(Outcome::Misconfigured, 0), (Outcome::Success, 1)]);
    assert_eq!(kept.attempts()[1].resent_after, Some(Outcome::Misconfigured));
    let record = kept.call();
    assert_eq!((record.ending, record.attempts, record.retries), (CallEnding::Answered, 2, 1));
}

/// An old key once, then a new one.
#[derive(Debug, Default)]
struct Rotating(AtomicBool);

impl Credential for Rotating {
    fn token(&self) -> TokenFuture {
        let key = if self.0.swap(true, Relaxed) { "new" } else { "old" };
        Box::pin(async move { Token::api_key(key).map_err(CredentialError::new) })
    }
}

#[tokio::test(start_paused = true)]
async fn legs_and_endpoints_are_told_by_name_and_a_spill_is_no_retry() {
    let kept = Arc::new(Kept::default());
    let servers = ["ptu", "east", "west"].map(|_| simulator());
    let [ptu, east, west] = &servers;
    let down = Scripted::status(503);
    ptu.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(30)));
    east.script("gpt-4o").times(9, &down);
    west.script("gpt-4o").then(down);
    let attempts = |name: &str| AttemptTelemetryLayer::new(name).recorder(kept.clone());
    let member = |name: &'static str, server: &Simulator| {
        let server = server.clone();
        Member::new(name).layer(attempts(name)).layer(ObserveLayer::new()).layer(tower::layer::layer_fn(
            move |_: ()| ServiceExt::<Request<RequestBody>>::map_err(server.clone(), Error::flatten),
        ))
    };
    let leg = |name: &'static str, members: Vec<_>| {
        let retry = RetryAfterLayer::new(RetryPolicy::new().max_retries(3));
        Leg::new(name, (retry, BalanceLayer::new(members).expect("members").seed(1)))
    };
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CallTelemetryLayer::new().recorder(kept.clone()))
        .layer(
            FallbackLayer::new([
                leg("reserved", vec![member("ptu", ptu)]).provisioned().max_wait(Duration::from_secs(1)),
                leg("standard", vec![member("east", east), member("west", west)]),
            ])
            .expect("legs"),
        )
        .service(());
    assert_eq!(call(&service, chat(false)).await.expect("an answer"), 200);
    kept.assert_all_told(1, "all");
    let record = kept.call();
    let attempts = kept.attempts();
    let legs: Vec<_> = attempts.iter().map(|attempt| attempt.leg.as_deref().unwrap_or_default()).collect();
    assert_eq!((legs[0], &*attempts[0].endpoint), ("reserved", "ptu"));
    assert!(legs[1..].iter().all(|leg| *leg == "standard") && legs.len() >= 3, "{legs:?}");
    assert_eq!(record.attempts as usize, attempts.len());
    assert_eq!(record.retries as usize, attempts.len() - 2, "the first send into the other leg is none");
    assert_eq!(record.served.spilled_from.as_deref(), Some("reserved"));
    assert_eq!(record.served.endpoint.as_deref(), Some("west"));
}

#[test]
fn everything_may_go_to_another_thread_and_be_shown() {
    fn assert_all<T: Send + Sync + std::fmt::Debug>(_: &T) {}
    let layers = (CallTelemetryLayer::new(), AttemptTelemetryLayer::new("eastus"), ObserveLayer::new());
    assert_all(&layers);
    let mut service = layers.layer(simulator());
    assert_all(&service);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let future = service.call(chat(false));
        assert_all(&future);
        assert_all(future.await.expect("an answer").body());
    });
}
