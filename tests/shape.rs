//! The whole stack, composed: that its parts fit in this order, what each sees, and that nothing is left behind
//! wherever it is dropped.

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn, timeout::TimeoutLayer, util::BoxCloneSyncService,
};
use tower_aoai::{
    balance::{BalanceLayer, InvalidMembers, Member},
    circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer},
    context_window::ContextWindowLayer,
    core::{
        Admission, Asked, AttemptTimeoutLayer, Availability, CallContext, DeadlineLayer, Error, IncludeUsageLayer,
        Load, ObserveLayer, PrepareLayer, Reason, Rejected, RequestBody, Served,
    },
    cost::{CostHandle, CostLayer},
    endpoint::{BaseUrl, EndpointLayer, Token},
    fallback::{FallbackLayer, Leg},
    retry_after::{RetryAfterLayer, RetryPolicy},
    token_bucket::{TokenBucketHandle, TokenBucketLayer},
};
use tower_aoai_simulator::{Deployment, Latency, Simulator};
use tower_http::trace::TraceLayer;

type Stack = BoxCloneSyncService<Request<Full<Bytes>>, Response<BoxBody<Bytes, Error>>, Error>;

/// What the layers of a stack hold.
#[derive(Clone, Default)]
struct Handles {
    breakers: Vec<CircuitBreakerHandle>,
    buckets: Vec<TokenBucketHandle>,
    cost: CostHandle,
}

impl Handles {
    fn assert_nothing_is_held(&self, when: &str) {
        assert!(self.breakers.iter().all(|breaker| breaker.snapshot().in_flight == 0), "a permit is left {when}");
        assert!(self.buckets.iter().all(|bucket| bucket.snapshot().in_flight == 0), "a reservation is left {when}");
        assert_eq!(self.cost.snapshot().open, 0, "a booking is left {when}");
    }
}

/// Two legs of three members each, a tower layer and a tower-http layer between the gates, erased once at the edge.
fn stack<S, B>(leaf: S) -> (Stack, Handles)
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut handles = Handles::default();
    let base: BaseUrl = "http://localhost".parse().expect("a base URL");
    let endpoint = EndpointLayer::new(base).classic("2024-10-21").expect("an api-version");
    let mut leg = |name: &'static str, policy: RetryPolicy| {
        let members = BalanceLayer::from_fn(["eastus", "westus", "sweden"], |region| {
            let (breaker, bucket) = (CircuitBreakerLayer::new(), TokenBucketLayer::new());
            handles.breakers.push(breaker.handle());
            handles.buckets.push(bucket.handle());
            Member::new(region)
                .asked(breaker)
                .layer(TimeoutLayer::new(Duration::from_secs(90)))
                .asked(bucket)
                .layer(TraceLayer::new_for_http())
                .layer(endpoint.clone().credential(Token::api_key("test-key").expect("a key")))
                .layer(IncludeUsageLayer::new())
                .layer(ObserveLayer::new())
                .layer(AttemptTimeoutLayer::new().first_byte(Duration::from_secs(60)).idle(Duration::from_secs(30)))
        });
        let retry = RetryAfterLayer::new(policy.no_jitter());
        Leg::new(name, ServiceBuilder::new().layer(retry).layer(members.expect("valid members")).into_inner())
    };
    let legs = [leg("ptu", RetryPolicy::new().max_attempts(2)), leg("standard", RetryPolicy::new())];
    let cost = CostLayer::new();
    handles.cost = cost.handle();
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(BodyExt::boxed))
        .layer(PrepareLayer::new())
        .layer(ContextWindowLayer::new())
        .layer(cost)
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .layer(FallbackLayer::new(legs).expect("two legs"))
        .service(leaf);
    (BoxCloneSyncService::new(service), handles)
}

fn chat(stream: bool) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"Say it."}}],"max_tokens":20,"stream":{stream}}}"#
    );
    Request::post("http://localhost/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .header("content-type", "application/json")
        .header("api-key", "test-key")
        .body(Full::from(body))
        .expect("a valid request")
}

fn simulator() -> Simulator {
    Simulator::builder()
        .seed(7)
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(100_000).requests_per_minute(600))
        .latency(Latency::typical())
        .build()
}

fn answer(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a valid status");
    response
}

fn throttled(millis: u64) -> Response<Full<Bytes>> {
    let mut response = answer(429, r#"{"error":{"code":"429","message":"Rate limit is exceeded."}}"#);
    response.headers_mut().insert("retry-after-ms", millis.into());
    response
}

#[test]
fn t5_the_stack_and_its_bodies_are_send_sync_clone_and_static() {
    fn service<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn body<T: Send + Sync + 'static>(_: &T) {}
    let (stack, _) = stack(simulator());
    service(&stack);
    body(&Response::new(BoxBody::<Bytes, Error>::default()));
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_through_and_says_who_served_it() {
    let (stack, handles) = stack(simulator());
    let response = stack.oneshot(chat(false)).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let served = response.extensions().get::<Served>().expect("served").clone();
    assert_eq!((served.leg.as_deref(), served.tier, served.attempts), (Some("ptu"), Some(0), 1));
    let endpoint = served.endpoint.expect("an endpoint");
    assert!(["eastus", "westus", "sweden"].contains(&&*endpoint), "{endpoint}");
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    assert!(body.starts_with(b"{"), "{body:?}");
    handles.assert_nothing_is_held("after an answer");
}

#[tokio::test(start_paused = true)]
async fn retries_stay_in_a_leg_and_the_fallback_goes_to_the_next() {
    let (leaf, mut mock) = tower_test::mock::pair::<Request<RequestBody>, Response<Full<Bytes>>>();
    let (stack, handles) = stack(leaf);
    let mut call = task::spawn(stack.oneshot(chat(false)));
    for attempt in 1..=3 {
        assert_pending!(call.poll());
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_pending!(call.poll());
        let (request, respond) = mock.next_request().await.expect("a request");
        let context = request.extensions().get::<CallContext>().expect("a context").clone();
        assert_eq!(context.attempt_count(), attempt, "the attempt under way counts");
        assert!(context.retries_owned());
        assert!(context.deadline().is_some());
        respond.send_response(if attempt < 3 { throttled(500) } else { answer(200, "{}") });
    }
    let response = call.await.expect("an answer");
    let served = response.extensions().get::<Served>().expect("served").clone();
    assert_eq!((served.leg.as_deref(), served.attempts), (Some("standard"), 3));
    assert_eq!(served.waited, Duration::ZERO, "another endpoint at once in the first leg, none before the second");
    drop(response);
    handles.assert_nothing_is_held("after a fallback");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_ours_comes_up_as_itself_through_foreign_layers() {
    let refusing = service_fn(|_: Request<RequestBody>| async {
        Err::<Response<Full<Bytes>>, _>(Error::from(Rejected::new(Reason::QueueFull, "innermost")))
    });
    let (stack, handles) = stack(refusing);
    let error = stack.oneshot(chat(false)).await.expect_err("refused");
    assert_eq!(
        error.rejected().map(|rejected| (rejected.reason(), rejected.by())),
        Some((Reason::QueueFull, "innermost"))
    );
    handles.assert_nothing_is_held("after a refusal");
}

/// Polls until the call has an answer or was polled so many times, letting time pass in between.
async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut call = task::spawn(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = call.poll() {
            return Some(output);
        }
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn t5_nothing_is_held_wherever_the_future_is_dropped() {
    for polls in 0.. {
        let simulator = simulator();
        simulator.script("gpt-4o").then(tower_aoai_simulator::Scripted::rate_limited(Duration::from_millis(100)));
        let (stack, handles) = stack(simulator);
        let answered = poll_times(stack.oneshot(chat(true)), polls).await;
        let is_over = answered.is_some();
        drop(answered);
        handles.assert_nothing_is_held(&format!("after {polls} polls"));
        if is_over {
            assert!(polls > 3, "the call had await points to be dropped at");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t5_nothing_is_held_wherever_the_body_is_dropped() {
    for frames in 0.. {
        let (stack, handles) = stack(simulator());
        let mut body = stack.oneshot(chat(true)).await.expect("an answer").into_body();
        let held: usize = handles.buckets.iter().map(|bucket| bucket.snapshot().in_flight).sum();
        assert_eq!(held, 1, "a streamed call is in flight until its last byte");
        let mut is_over = false;
        for _ in 0..frames {
            match body.frame().await {
                Some(frame) => drop(frame.expect("a whole stream")),
                None => is_over = true,
            }
        }
        drop(body);
        handles.assert_nothing_is_held(&format!("after {frames} frames"));
        if is_over {
            assert!(frames > 3, "the stream had frames to be dropped between");
            break;
        }
    }
}

/// A user's own gate.
#[derive(Clone, Copy, Debug)]
struct Gate(Admission);

impl Availability for Gate {
    fn admission(&self, _: &CallContext, from: Instant) -> Admission {
        match self.0 {
            Admission::At(at) => Admission::At(at.max(from)),
            shut @ Admission::Shut(_) => shut,
        }
    }

    fn load(&self) -> Load {
        Load::default()
    }
}

impl Asked for Gate {
    fn availability(&self) -> Arc<dyn Availability> {
        Arc::new(*self)
    }
}

impl<S> Layer<S> for Gate {
    type Service = S;

    fn layer(&self, inner: S) -> S {
        inner
    }
}

#[tokio::test(start_paused = true)]
async fn the_balancer_asks_the_gates_and_refuses_with_the_earliest_instant() {
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    let leaf = service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, Error>(answer(200, "{}")) });
    let serve = |gates: [Admission; 3]| {
        let names = ["a", "b", "c"].into_iter().zip(gates);
        let balance = BalanceLayer::from_fn(names, |(name, gate)| Member::new(name).asked(Gate(gate)));
        let mut request = chat(false);
        let context = CallContext::of(&mut request).clone();
        let call = balance.expect("valid members").layer(leaf).oneshot(request);
        async move { call.await.map(|_| context.served().endpoint.expect("an endpoint")) }
    };
    let chosen = serve([Admission::Shut(None), Admission::At(later), Admission::At(now)]).await.expect("c is open");
    assert_eq!(&*chosen, "c");
    let refused = serve([Admission::Shut(Some(later)), Admission::Shut(None), Admission::Shut(Some(later))]).await;
    let refused = refused.expect_err("all are shut");
    assert_eq!(refused.rejected().and_then(Rejected::opens_at), Some(later));
}

#[test]
fn two_members_with_one_state_are_refused() {
    let breaker = CircuitBreakerLayer::new();
    let members = ["a", "b"].map(|name| Member::new(name).asked(breaker.clone()));
    assert!(matches!(BalanceLayer::new(members), Err(InvalidMembers::SharedState(name)) if &*name == "b"));
}

#[test]
fn t1_the_layers_that_choose_or_wait_are_always_ready() {
    let (leaf, _mock) = tower_test::mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    let retry = RetryAfterLayer::default();
    let bucket = TokenBucketLayer::new();
    let mut retry = retry.layer(leaf.clone());
    let mut bucket = bucket.layer(leaf);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let ready = |poll: Poll<Result<(), Error>>| matches!(poll, Poll::Ready(Ok(())));
    assert!(ready(Service::<Request<Full<Bytes>>>::poll_ready(&mut retry, &mut cx)));
    assert!(ready(Service::<Request<Full<Bytes>>>::poll_ready(&mut bucket, &mut cx)));
}
