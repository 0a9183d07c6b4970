//! What the cache promises, over mocks and over the simulator.
#![cfg(feature = "cache")]

use std::{
    collections::VecDeque,
    future::{Future, poll_fn, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{future::join_all, stream};
use http::{Request, Response, StatusCode, Uri};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_aoai::{
    cache::{AnswerBody, CACHE_HEADER, CacheLayer, CacheStatus, OnFailure},
    core::{CallContext, Error, RequestBody, Served, Tenant, Timeout},
};

type Body = Full<Bytes>;
type Answer = Response<BoxBody<Bytes, BoxError>>;
type Answered = Result<Response<AnswerBody<BoxBody<Bytes, BoxError>>>, Error>;

const EMBED: &str = "https://r.openai.azure.com/openai/v1/embeddings";
const CHAT: &str = "https://r.openai.azure.com/openai/v1/chat/completions";

fn post(uri: &str, body: &str) -> Request<Body> {
    Request::post(uri).body(Body::from(body.to_owned())).expect("a request")
}

fn embed(input: &str) -> Request<Body> {
    post(EMBED, &format!(r#"{{"model":"small","input":"{input}"}}"#))
}

fn boxed(body: impl Into<Bytes>) -> BoxBody<Bytes, BoxError> {
    Full::new(body.into()).map_err(Into::into).boxed()
}

/// Answers, one after the other, as its plan says; after that, 200.
#[derive(Clone, Default)]
struct Leaf {
    plan: Arc<Mutex<VecDeque<Step>>>,
    takes: Duration,
    sent: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

enum Step {
    Status(u16),
    Reset,
    /// The body fails after its first frame.
    Broken,
    Stream,
}

/// Marks a send as under way until it is dropped.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Leaf {
    fn slow(millis: u64) -> Self {
        Self { takes: Duration::from_millis(millis), ..Self::default() }
    }

    fn then(self, step: Step) -> Self {
        self.plan.lock().push_back(step);
        self
    }

    fn sent(&self) -> usize {
        self.sent.load(Relaxed)
    }

    fn service(
        &self,
    ) -> impl Service<Request<Body>, Response = Answer, Error = BoxError, Future: Send> + Clone + use<> {
        let leaf = self.clone();
        service_fn(move |_: Request<Body>| {
            let leaf = leaf.clone();
            async move {
                let number = leaf.sent.fetch_add(1, Relaxed);
                leaf.most.fetch_max(leaf.now.fetch_add(1, Relaxed) + 1, Relaxed);
                let _under_way = UnderWay(Arc::clone(&leaf.now));
                let step = leaf.plan.lock().pop_front();
                sleep(leaf.takes).await;
                let mut response = Response::new(boxed(format!("answer {number}")));
                let headers = response.headers_mut();
                headers.insert("content-type", http::HeaderValue::from_static("application/json"));
                headers.insert("x-ratelimit-remaining-tokens", http::HeaderValue::from_static("7"));
                match step {
                    None => {}
                    Some(Step::Status(status)) => *response.status_mut() = StatusCode::from_u16(status)?,
                    Some(Step::Reset) => return Err("connection reset".into()),
                    Some(Step::Broken) => {
                        let frames = [Ok(Frame::data("half".into())), Err(BoxError::from("cut"))];
                        *response.body_mut() = StreamBody::new(stream::iter(frames)).boxed();
                    }
                    Some(Step::Stream) => {
                        let kind = http::HeaderValue::from_static("text/event-stream; charset=utf-8");
                        response.headers_mut().insert("content-type", kind);
                    }
                }
                Ok(response)
            }
        })
    }
}

async fn text(answer: Answered) -> String {
    let body = answer.expect("an answer").into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

fn status_of<B>(response: &Response<B>) -> Option<CacheStatus> {
    let status = response.extensions().get().copied();
    let header = response.headers().get(CACHE_HEADER).map(http::HeaderValue::as_bytes);
    assert_eq!(header, status.map(|status: CacheStatus| status.name().as_bytes()));
    status
}

#[tokio::test(start_paused = true)]
async fn the_same_request_is_sent_once_and_the_second_answer_says_that_it_is_kept() {
    let leaf = Leaf::default();
    let layer = CacheLayer::new();
    let service = layer.layer(leaf.service());
    let first = service.clone().oneshot(embed("a")).await.unwrap();
    assert_eq!(status_of(&first), Some(CacheStatus::Miss));
    assert!(first.headers().contains_key("x-ratelimit-remaining-tokens"));
    assert_eq!(text(Ok(first)).await, "answer 0");
    sleep(Duration::from_millis(61_500)).await;
    let second = service.clone().oneshot(embed("a")).await.unwrap();
    assert_eq!(status_of(&second), Some(CacheStatus::Hit));
    assert_eq!(second.headers()["age"], "61");
    assert_eq!(second.headers()["content-type"], "application/json");
    assert!(!second.headers().contains_key("x-ratelimit-remaining-tokens"), "that was another call's");
    let served = second.extensions().get::<Served>().unwrap().clone();
    assert_eq!((served.from_cache, served.attempts), (true, 0));
    assert_eq!(second.body().size_hint().exact(), Some(8));
    assert_eq!(text(Ok(second)).await, "answer 0");
    assert_eq!(leaf.sent(), 1);
    let counts = layer.handle().snapshot();
    assert_eq!((counts.hits, counts.misses, counts.entries, counts.hit_rate()), (1, 1, 1, Some(0.5)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_time_and_no_longer() {
    let leaf = Leaf::default();
    let layer = CacheLayer::new().ttl(Duration::from_secs(10));
    let service = layer.layer(leaf.service());
    assert_eq!(text(service.clone().oneshot(embed("a")).await).await, "answer 0");
    sleep(Duration::from_millis(9_999)).await;
    assert_eq!(text(service.clone().oneshot(embed("a")).await).await, "answer 0");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(text(service.clone().oneshot(embed("a")).await).await, "answer 1");
    assert_eq!(layer.handle().snapshot().expired, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_repeatable_is_sent_each_time() {
    let no_store = |word: &str| {
        let mut request = embed("a");
        request.headers_mut().insert("cache-control", word.parse().unwrap());
        request
    };
    let cases = [
        (post(CHAT, r#"{"messages":[],"temperature":0}"#), 1),
        (post(CHAT, r#"{"messages":[],"temperature":0.0}"#), 1),
        (post(CHAT, r#"{"messages":[]}"#), 2),
        (post(CHAT, r#"{"messages":[],"temperature":null}"#), 2),
        (post(CHAT, r#"{"messages":[],"temperature":0.1}"#), 2),
        (post(CHAT, r#"{"messages":[],"temperature":0,"stream":true}"#), 2),
        (post("/openai/v1/responses", r#"{"input":"a","temperature":0}"#), 2),
        (post(EMBED, "no JSON"), 2),
        (post("/openai/v1/files", r#"{"input":"a"}"#), 2),
        (no_store("no-cache"), 2),
        (no_store("max-age=0, No-Store"), 2),
    ];
    for (request, sends) in cases {
        let shown = format!("{request:?}");
        let leaf = Leaf::default();
        let layer = CacheLayer::new();
        let service = layer.layer(leaf.service());
        for _ in 0..2 {
            assert_eq!(service.clone().oneshot(request.clone()).await.unwrap().status(), 200);
        }
        assert_eq!(leaf.sent(), sends, "{shown}");
        assert_eq!(layer.handle().snapshot().bypassed, if sends == 2 { 2 } else { 0 }, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cached_can_be_said_but_streams_never_are() {
    let leaf = Leaf::default();
    let service = CacheLayer::new().when(|_, _| true).layer(leaf.service());
    for request in [post(CHAT, r#"{"messages":[]}"#), post(CHAT, r#"{"messages":[],"stream":true}"#)] {
        for _ in 0..2 {
            assert!(service.clone().oneshot(request.clone()).await.is_ok());
        }
    }
    assert_eq!(leaf.sent(), 1 + 2);
}

#[tokio::test(start_paused = true)]
async fn others_have_a_cache_of_their_own() {
    let tenant = |name: &str| {
        let mut request = embed("a");
        CallContext::of(&mut request).set_tenant(Some(Tenant::named(name)));
        request
    };
    let with_key = |key: &str| {
        let mut request = embed("a");
        request.headers_mut().insert("api-key", key.parse().unwrap());
        request
    };
    let requests = [
        embed("a"),
        embed("b"),
        tenant("acme"),
        tenant("umbrella"),
        with_key("1"),
        with_key("2"),
        post("https://s.openai.azure.com/openai/v1/embeddings", r#"{"model":"small","input":"a"}"#),
        post(EMBED, r#"{"model":"large","input":"a"}"#),
    ];
    let leaf = Leaf::default();
    let service = CacheLayer::new().layer(leaf.service());
    for round in 0..2 {
        for (number, request) in requests.iter().enumerate() {
            let answer = text(service.clone().oneshot(request.clone()).await).await;
            assert_eq!(answer, format!("answer {number}"), "round {round}");
        }
    }
    assert_eq!(leaf.sent(), requests.len());
}

#[tokio::test(start_paused = true)]
async fn only_a_whole_200_is_kept_and_all_else_is_passed_on() {
    for step in [Step::Status(201), Step::Status(429), Step::Status(500), Step::Reset, Step::Broken, Step::Stream] {
        let leaf = Leaf::default().then(step);
        let layer = CacheLayer::new();
        let service = layer.layer(leaf.service());
        let first = service.clone().oneshot(embed("a")).await;
        let first = first.map(|response| response.status().as_u16());
        assert_eq!(layer.handle().snapshot().entries, 0, "{first:?}");
        assert_eq!(text(service.clone().oneshot(embed("a")).await).await, "answer 1", "{first:?}");
        assert_eq!(text(service.clone().oneshot(embed("a")).await).await, "answer 1", "{first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_long_is_passed_on_whole_and_not_kept() {
    for length in [99, 100, 101, 5_000] {
        let whole = "x".repeat(length);
        let service = service_fn(|_: Request<Body>| {
            let frames: Vec<_> = whole.as_bytes().chunks(30).map(Bytes::copy_from_slice).collect();
            let frames = stream::iter(frames.into_iter().map(|frame| Ok::<_, BoxError>(Frame::data(frame))));
            async { Ok::<_, BoxError>(Response::new(StreamBody::new(frames))) }
        });
        let layer = CacheLayer::new().max_answer_bytes(100);
        let answer = layer.layer(service).oneshot(embed("a")).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), whole.as_bytes());
        let counts = layer.handle().snapshot();
        assert_eq!((counts.entries, counts.unfit), if length <= 100 { (1, 0) } else { (0, 1) });
    }
}

#[tokio::test(start_paused = true)]
async fn of_those_who_ask_the_same_at_once_one_is_sent() {
    let leaf = Leaf::slow(100);
    let layer = CacheLayer::new();
    let service = layer.layer(leaf.service());
    let start = Instant::now();
    let answers = join_all((0..50).map(|_| service.clone().oneshot(embed("a")))).await;
    assert_eq!(Instant::now() - start, Duration::from_millis(100));
    assert_eq!(leaf.sent(), 1);
    let shared = answers.iter().flatten().filter(|answer| status_of(answer) == Some(CacheStatus::Shared)).count();
    assert_eq!(shared, 49);
    for answer in answers {
        let served = answer.as_ref().unwrap().extensions().get::<Served>();
        assert!(served.is_none_or(|served| served.from_cache));
        assert_eq!(text(answer).await, "answer 0");
    }
    let counts = layer.handle().snapshot();
    assert_eq!((counts.misses, counts.shared, counts.in_flight, counts.following), (1, 49, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_leader_who_goes_away_hands_over_to_the_eldest_follower() {
    let leaf = Leaf::slow(100);
    let service = CacheLayer::new().layer(leaf.service());
    let mut leader = Box::pin(service.clone().oneshot(embed("a")));
    assert!(poll_once(leader.as_mut()).await.is_none());
    let mut eldest = Box::pin(service.clone().oneshot(embed("a")));
    assert!(poll_once(eldest.as_mut()).await.is_none());
    let youngest = tokio::spawn(service.clone().oneshot(embed("a")));
    sleep(Duration::from_millis(50)).await;
    drop(leader);
    let eldest = eldest.await;
    assert_eq!(status_of(eldest.as_ref().unwrap()), Some(CacheStatus::Miss));
    assert_eq!(text(eldest).await, "answer 1");
    assert_eq!(text(youngest.await.unwrap()).await, "answer 1");
    assert_eq!(leaf.sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_reaches_a_follower_who_has_just_gone_goes_on_to_the_next() {
    let leaf = Leaf::slow(100);
    let layer = CacheLayer::new();
    let service = layer.layer(leaf.service());
    let mut calls: Vec<_> = (0..5).map(|_| Box::pin(service.clone().oneshot(embed("a")))).collect();
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).await.is_none());
    }
    let last = calls.pop().unwrap();
    // Each hands the lead to the next, who drops it unread.
    drop(calls);
    assert_eq!(text(last.await).await, "answer 1");
    assert_eq!((layer.handle().snapshot().in_flight, layer.handle().snapshot().following), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_leader_is_not_kept_and_each_follower_sends() {
    for step in [Step::Reset, Step::Status(500), Step::Broken] {
        let leaf = Leaf::slow(100).then(step);
        let layer = CacheLayer::new();
        let service = layer.layer(leaf.service());
        let start = Instant::now();
        let answers = join_all((0..4).map(|_| service.clone().oneshot(embed("a")))).await;
        assert_eq!(Instant::now() - start, Duration::from_millis(200), "all at once");
        assert!(answers[0].as_ref().map_or(true, |answer| answer.status() == 500));
        for answer in answers.into_iter().skip(1) {
            assert!(text(answer).await.starts_with("answer"));
        }
        assert_eq!(leaf.sent(), 4);
        assert_eq!(layer.handle().snapshot().misses, 4);
        assert_eq!(layer.handle().snapshot().entries, 1, "a follower's answer is kept");
    }
}

#[tokio::test(start_paused = true)]
async fn or_followers_share_the_failure_which_still_is_not_kept() {
    let leaf = Leaf::slow(100).then(Step::Reset).then(Step::Status(429));
    let layer = CacheLayer::new().on_failure(OnFailure::Share);
    let service = layer.layer(leaf.service());
    let errors = join_all((0..3).map(|_| service.clone().oneshot(embed("a")))).await;
    assert!(errors.iter().all(|error| matches!(error, Err(Error::Transport(_)))));
    let refused = join_all((0..3).map(|_| service.clone().oneshot(embed("a")))).await;
    for refused in refused {
        let refused = refused.unwrap();
        assert_eq!(refused.status(), 429);
        assert!(refused.headers().contains_key("x-ratelimit-remaining-tokens"), "what it says of waiting is told");
        assert_eq!(text(Ok(refused)).await, "answer 1");
    }
    assert_eq!(leaf.sent(), 2);
    assert_eq!(text(service.oneshot(embed("a")).await).await, "answer 2");
}

#[tokio::test(start_paused = true)]
async fn followers_are_bounded_and_those_beyond_are_sent() {
    let leaf = Leaf::slow(100);
    let layer = CacheLayer::new().max_followers(2);
    let service = layer.layer(leaf.service());
    let answers = join_all((0..5).map(|_| service.clone().oneshot(embed("a")))).await;
    assert_eq!(answers.iter().flatten().count(), 5);
    assert_eq!(leaf.sent(), 1 + 2);
    // Those who went away have left their places.
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(service.clone().oneshot(embed("b")))).collect();
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).await.is_none());
    }
    let leader = calls.remove(0);
    drop(calls);
    assert_eq!(layer.handle().snapshot().following, 0);
    let followers = (0..2).map(|_| service.clone().oneshot(embed("b")));
    let (_, followers) = tokio::join!(leader, join_all(followers));
    assert!(followers.iter().flatten().all(|answer| status_of(answer) == Some(CacheStatus::Shared)));
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_no_longer_than_its_patience_or_its_deadline() {
    let leaf = Leaf::slow(10_000);
    let layer = CacheLayer::new().follow_for(Duration::from_secs(3));
    let service = layer.layer(leaf.service());
    let start = Instant::now();
    let mut hurried = embed("a");
    CallContext::of(&mut hurried).tighten_deadline(start + Duration::from_secs(1));
    let [leader, follower, hurried] = [embed("a"), embed("a"), hurried].map(|request| {
        let call = service.clone().oneshot(request);
        async move { (call.await, Instant::now() - start) }
    });
    let (leader, follower, hurried) = tokio::join!(leader, follower, hurried);
    assert_eq!((text(leader.0).await.as_str(), leader.1.as_secs()), ("answer 0", 10));
    assert_eq!((text(follower.0).await.as_str(), follower.1.as_secs()), ("answer 1", 13));
    assert_eq!(hurried.0.unwrap_err().timeout(), Some(Timeout::Deadline));
    assert_eq!(hurried.1.as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn emptied_it_keeps_nothing_that_was_asked_for_before() {
    let leaf = Leaf::slow(100);
    let layer = CacheLayer::new();
    let handle = layer.handle();
    let service = layer.layer(leaf.service());
    assert!(service.clone().oneshot(embed("a")).await.is_ok());
    let under_way = tokio::spawn(service.clone().oneshot(embed("b")));
    sleep(Duration::from_millis(50)).await;
    handle.clear();
    assert!(under_way.await.unwrap().is_ok());
    assert_eq!((handle.snapshot().entries, handle.snapshot().bytes), (0, 0));
    handle.reset();
    assert_eq!(handle.snapshot().misses, 0);
    assert!(service.clone().oneshot(embed("b")).await.is_ok());
    assert_eq!((leaf.sent(), handle.snapshot().misses, handle.snapshot().entries), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn t9_off_passes_through_with_the_same_type() {
    let leaf = Leaf::default();
    let layers = [CacheLayer::off(), CacheLayer::off().ttl(Duration::from_secs(1)), CacheLayer::new()];
    let mut sends = Vec::new();
    for layer in layers {
        let before = leaf.sent();
        for _ in 0..2 {
            let answer = layer.layer(leaf.service()).oneshot(embed("a")).await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        sends.push(leaf.sent() - before);
    }
    assert_eq!(sends, [2, 2, 1]);
    assert_eq!(CacheLayer::off().handle().snapshot().misses, 0);
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_and_their_clones_share_what_is_kept() {
    let leaf = Leaf::default();
    let layer = CacheLayer::new();
    for service in [layer.layer(leaf.service()), layer.clone().layer(leaf.service())] {
        assert_eq!(text(service.clone().oneshot(embed("a")).await).await, "answer 0");
    }
}

#[test]
fn nothing_secret_is_shown_and_everything_is_send_and_sync() {
    fn check<T: Send + Sync + std::fmt::Debug>(value: &T) -> String {
        format!("{value:?}")
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    let layer = CacheLayer::new();
    let (mock, _handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let mut service = layer.layer(mock);
    let mut request = embed("my secret prompt");
    request.headers_mut().insert("api-key", http::HeaderValue::from_static("my secret key"));
    let shown = [check(&layer), check(&layer.handle()), check(&service), format!("{:?}", service.call(request))];
    assert!(shown.iter().all(|text| !text.contains("secret")), "{shown:?}");
}

#[tokio::test(start_paused = true)]
#[cfg(all(feature = "cost", feature = "token-bucket"))]
async fn a_hit_books_no_spend_no_tokens_and_no_quota() {
    use tower::ServiceBuilder;
    use tower_aoai::{
        core::{ObserveLayer, PrepareLayer},
        cost::CostLayer,
        token_bucket::{Quota, TokenBucketLayer},
    };
    use tower_aoai_simulator::{Deployment, Simulator};

    let simulator = Simulator::builder().deployment(Deployment::standard("text-embedding-3-small")).build();
    let cost = CostLayer::new();
    let bucket = TokenBucketLayer::of(Quota::standard(100_000));
    let (books, quota) = (cost.handle(), bucket.handle());
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(CacheLayer::new())
        .layer(cost)
        .layer(bucket)
        .layer(ObserveLayer::new())
        .service(simulator.clone());
    let mut served = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let request = post("/openai/v1/embeddings", r#"{"model":"text-embedding-3-small","input":"Hello, world"}"#);
        let response = service.clone().oneshot(request).await.unwrap();
        served.push(response.extensions().get::<Served>().unwrap().clone());
        response.into_body().collect().await.unwrap();
        seen.push(format!("{:?} {:?}", books.snapshot(), quota.snapshot()));
    }
    assert_eq!(
        served.iter().map(|served| (served.from_cache, served.attempts)).collect::<Vec<_>>(),
        [(false, 1), (true, 0), (true, 0)]
    );
    assert_eq!(simulator.journal().len(), 1);
    assert_eq!(seen[1], seen[0]);
    assert_eq!(seen[2], seen[0]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_a_layer_above_has_changed_is_another_request() {
    let leaf = Leaf::default();
    let inner = leaf.service();
    let service = CacheLayer::new().layer(service_fn(move |request: Request<RequestBody>| {
        inner.clone().oneshot(request.map(|body| Body::new(body.to_bytes())))
    }));
    let with = |text: &'static str| {
        let mut body = RequestBody::from(r#"{"model":"small","input":"a"}"#);
        body.replace(25..28, text).unwrap();
        Request::post(EMBED).body(body).unwrap()
    };
    for (request, expected) in [(with("\"a\""), "answer 0"), (with("\"b\""), "answer 1"), (with("\"a\""), "answer 0")] {
        assert_eq!(text(service.clone().oneshot(request).await).await, expected);
    }
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Callers come, ask for one of three things, and some go away again.
    #[test]
    fn nobody_is_stranded_and_no_two_sends_of_one_thing_overlap_whoever_goes_away(
        callers in proptest::collection::vec((0_u64..200, 0_usize..3, proptest::option::of(0_u64..200)), 1..40),
    ) {
        run(async {
            let leaves = [(); 3].map(|()| Leaf::slow(70));
            let services: Vec<_> = leaves.iter().map(Leaf::service).collect();
            let layer = CacheLayer::new().ttl(Duration::from_millis(100));
            let service = layer.layer(service_fn(move |request: Request<Body>| {
                let which: usize = request.headers()["which"].to_str().unwrap().parse().unwrap();
                services[which].clone().oneshot(request)
            }));
            let calls = callers.iter().map(|&(comes, which, leaves_after)| {
                let service = service.clone();
                async move {
                    sleep(Duration::from_millis(comes)).await;
                    let mut request = embed("a");
                    request.headers_mut().insert("which", which.into());
                    let call = service.oneshot(request);
                    let patience = leaves_after.map_or(Duration::from_secs(3600), Duration::from_millis);
                    let answered = tokio::time::timeout(patience, call).await;
                    (leaves_after.is_none(), answered.map(|answer| answer.map(|_| ())))
                }
            });
            for (stays, answered) in join_all(calls).await {
                prop_assert!(!stays || matches!(answered, Ok(Ok(()))), "{answered:?}");
            }
            for leaf in &leaves {
                prop_assert!(leaf.most.load(Relaxed) <= 1, "one flight at a time");
                prop_assert_eq!(leaf.now.load(Relaxed), 0);
            }
            let counts = layer.handle().snapshot();
            prop_assert_eq!((counts.in_flight, counts.following), (0, 0));
            Ok(())
        })?;
    }

    #[test]
    fn no_more_is_held_than_allowed_and_what_is_held_is_right(
        lengths in proptest::collection::vec((0_usize..12, 0_usize..5_000), 1..60),
        most in 2_000_u64..20_000,
    ) {
        run(async {
            let layer = CacheLayer::new().max_bytes(most);
            let service = layer.layer(service_fn(|request: Request<Body>| async move {
                let body = request.into_body().collect().await?.to_bytes();
                let length = body.iter().filter(|byte| **byte == b'x').count();
                Ok::<_, BoxError>(Response::new(Body::from("y".repeat(length))))
            }));
            for (who, length) in lengths {
                let request = embed(&format!("{who} {}", "x".repeat(length)));
                let answer = service.clone().oneshot(request).await.expect("an answer");
                prop_assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes().len(), length);
                let held = layer.handle().snapshot();
                prop_assert!(held.bytes <= most, "{held:?}");
            }
            Ok(())
        })?;
    }
}

#[test]
fn what_does_not_fit_makes_room() {
    run(async {
        let layer = CacheLayer::new().max_bytes(10_000);
        let service = layer.layer(Leaf::default().service());
        for number in 0..40 {
            assert!(service.clone().oneshot(embed(&number.to_string())).await.is_ok());
        }
        let held = layer.handle().snapshot();
        assert!(held.entries > 3 && held.evicted > 20, "{held:?}");
    });
}

/// Tells when the memory is free that slices were taken of.
struct Buffer(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.1.fetch_add(1, Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_keeps_no_buffer_of_a_connection() {
    let freed = Arc::new(AtomicUsize::new(0));
    let read = {
        let freed = Arc::clone(&freed);
        move |text: &str| Bytes::from_owner(Buffer(text.as_bytes().to_vec(), Arc::clone(&freed)))
    };
    let answer = read.clone();
    let leaf = service_fn(move |_: Request<Body>| {
        let mut response = Response::new(boxed(answer(r#"{"data":[]}"#)));
        let kind = http::HeaderValue::from_maybe_shared(answer("application/json")).expect("a value");
        response.headers_mut().insert("content-type", kind);
        ready(Ok::<_, BoxError>(response))
    });
    let layer = CacheLayer::new();
    let mut service = layer.layer(leaf);
    let mut request = Request::new(Body::new(read(r#"{"model":"small","input":"a"}"#)));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = Uri::from_maybe_shared(read(EMBED)).expect("an address");
    let key = http::HeaderValue::from_maybe_shared(read("0123456789abcdef")).expect("a value");
    request.headers_mut().insert("api-key", key);
    assert_eq!(text(service.call(request).await).await, r#"{"data":[]}"#);
    assert_eq!((layer.handle().snapshot().entries, freed.load(Relaxed)), (1, 5), "all are free");
    let mut same = embed("a");
    same.headers_mut().insert("api-key", http::HeaderValue::from_static("0123456789abcdef"));
    let hit = service.call(same).await.expect("an answer");
    assert_eq!(
        (status_of(&hit), &hit.headers()["content-type"]),
        (Some(CacheStatus::Hit), &"application/json".parse().unwrap())
    );
}

#[tokio::test(start_paused = true)]
async fn long_headers_count_as_what_is_held() {
    let layer = CacheLayer::new().max_bytes(256 << 10);
    let service = layer.layer(Leaf::default().service());
    for number in 0..50 {
        let mut request = embed("a");
        let token = format!("Bearer {number}{}", "x".repeat(20_000));
        request.headers_mut().insert("authorization", token.parse().expect("a value"));
        assert!(service.clone().oneshot(request).await.is_ok());
    }
    let kept = layer.handle().snapshot();
    assert!(kept.entries > 0 && kept.entries < 13, "{kept:?}");
}
