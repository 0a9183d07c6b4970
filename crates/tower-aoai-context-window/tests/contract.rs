//! What the layer promises to a stack: readiness, drops, what is seen above and below, what is counted.

mod support;

use std::{
    convert::Infallible,
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::{Empty, Full};
use serde_json::json;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_context_window::{
    Budgets, ContextTag, ContextUse, ContextWindow, ContextWindowLayer, Counted, FourBytes, Model, Models, Policy,
    ResponseFuture, TokenCounter, Tokenizer,
};
use tower_aoai_core::{BoxError, CallContext, Error, PrepareLayer, Reason, Rejected, RequestBody};

use support::CHAT;

fn models(window: u64) -> Models {
    Models::empty().insert("tiny", Model::new(window))
}

fn chat(text: &str) -> String {
    json!({"messages": [{"role": "user", "content": text}]}).to_string()
}

fn request(text: &str) -> Request<RequestBody> {
    Request::post(CHAT).body(chat(text).into()).expect("a valid request")
}

/// Ready when it is told to be, and only the instance that was.
#[derive(Debug, Default)]
struct Picky {
    open: Arc<AtomicBool>,
    called: Arc<AtomicUsize>,
    is_ready: bool,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self { open: Arc::clone(&self.open), called: Arc::clone(&self.called), is_ready: false }
    }
}

impl Service<Request<RequestBody>> for Picky {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_ready = self.open.load(SeqCst);
        if self.is_ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without readiness");
        self.called.fetch_add(1, SeqCst);
        ready(Ok(Response::new(())))
    }
}

/// Counts as if each byte were a token, when it is allowed to.
#[derive(Debug, Default)]
struct Gated {
    open: AtomicBool,
    asked: AtomicBool,
    counted: AtomicUsize,
}

impl TokenCounter for Gated {
    fn count(&self, _: Tokenizer, text: &str) -> u64 {
        self.asked.store(true, SeqCst);
        while !self.open.load(SeqCst) {
            std::thread::yield_now();
        }
        self.counted.fetch_add(1, SeqCst);
        text.len() as u64
    }

    fn is_exact(&self, _: Tokenizer) -> bool {
        true
    }
}

#[test]
fn t5_everything_is_send_sync_and_says_nothing_of_a_prompt() {
    fn assert_all<T: Send + Sync + 'static>() {}
    assert_all::<ContextWindowLayer>();
    assert_all::<ContextWindow<Picky>>();
    assert_all::<ResponseFuture<Picky, RequestBody>>();
    let layer = ContextWindowLayer::new().models(models(10)).policy(Policy::truncate());
    let refused = layer.layer(Picky { is_ready: true, ..Picky::default() }).call(request("a secret of some length"));
    assert!(!format!("{layer:?} {:?} {refused:?}", layer.handle()).contains("secret"));
}

#[tokio::test]
async fn t1_t2_the_instance_that_was_ready_is_called_also_after_a_count_elsewhere() {
    let inner = Picky::default();
    let counter = Arc::new(Gated::default());
    let layer = ContextWindowLayer::new().models(models(50)).counter(counter.clone()).inline_up_to(0);
    let mut service = layer.layer(inner.clone());
    let mut waits = task::spawn(std::future::poll_fn(|cx| service.poll_ready(cx)));
    assert_pending!(waits.poll());
    drop(waits);
    inner.open.store(true, SeqCst);
    service.ready().await.expect("ready");
    let mut one = task::spawn(service.call(request("short enough to fit")));
    assert_pending!(one.poll());
    let mut copy = service.clone();
    copy.ready()
        .await
        .expect("ready")
        .call(Request::get("/").body(RequestBody::empty()).expect("valid"))
        .await
        .expect("passed");
    assert_eq!(inner.called.load(SeqCst), 1, "the first one is still counted");
    counter.open.store(true, SeqCst);
    one.await.expect("it fits");
    assert_eq!(inner.called.load(SeqCst), 2);
    assert_eq!(layer.handle().snapshot().off_reactor, 1);
}

#[tokio::test]
async fn a_dropped_count_stops_at_the_next_text_and_calls_nobody() {
    let inner = Picky { open: Arc::new(AtomicBool::new(true)), ..Picky::default() };
    let counter = Arc::new(Gated::default());
    let layer = ContextWindowLayer::new()
        .models(models(50))
        .counter(counter.clone())
        .inline_up_to(0)
        .policy(Policy::let_through());
    let many: Vec<_> = (0..100).map(|_| json!({"role": "user", "content": "text"})).collect();
    let request = Request::post(CHAT).body(RequestBody::from(json!({"messages": many}).to_string())).expect("valid");
    let mut call = task::spawn(layer.layer(inner.clone()).oneshot(request));
    assert_pending!(call.poll());
    while !counter.asked.load(SeqCst) {
        tokio::task::yield_now().await;
    }
    drop(call);
    counter.open.store(true, SeqCst);
    let handle = layer.handle();
    drop(layer);
    // The count holds the last reference but this one.
    while Arc::strong_count(&counter) > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(counter.counted.load(SeqCst), 1, "at the next text");
    assert_eq!((inner.called.load(SeqCst), handle.snapshot().calls), (0, 0));
}

#[tokio::test]
async fn a_counter_that_panics_elsewhere_lets_the_call_through() {
    #[derive(Debug)]
    struct Panics;
    impl TokenCounter for Panics {
        fn count(&self, _: Tokenizer, _: &str) -> u64 {
            panic!("as an example")
        }
        fn is_exact(&self, _: Tokenizer) -> bool {
            true
        }
    }
    let inner = Picky { open: Arc::new(AtomicBool::new(true)), ..Picky::default() };
    let layer = ContextWindowLayer::new().models(models(50)).counter(Arc::new(Panics)).inline_up_to(0);
    layer.layer(inner.clone()).oneshot(request("some text")).await.expect("let through");
    assert_eq!((inner.called.load(SeqCst), layer.handle().snapshot().unread), (1, 1));
}

#[tokio::test]
async fn what_is_refused_is_not_sent_and_says_why() {
    let inner = Picky { open: Arc::new(AtomicBool::new(true)), ..Picky::default() };
    for inline in [0, usize::MAX] {
        let layer = ContextWindowLayer::new().models(models(10)).inline_up_to(inline);
        let error = layer.layer(inner.clone()).oneshot(request(&"word ".repeat(30))).await.expect_err("too long");
        let rejected = error.rejected().expect("refused");
        assert_eq!(
            (rejected.reason(), rejected.by(), rejected.opens_at()),
            (Reason::ContextLength, "context window", None)
        );
        let snapshot = layer.handle().snapshot();
        assert_eq!((snapshot.calls, snapshot.refused, snapshot.off_reactor), (1, 1, u64::from(inline == 0)));
    }
    assert_eq!(inner.called.load(SeqCst), 0);
}

#[tokio::test]
async fn off_it_reads_nothing() {
    let inner = Picky { open: Arc::new(AtomicBool::new(true)), ..Picky::default() };
    let layer = ContextWindowLayer::off().models(models(1)).policy(Policy::truncate());
    layer.layer(inner).oneshot(request("far too long")).await.expect("let through");
    assert_eq!(layer.handle().snapshot(), Default::default());
}

#[tokio::test]
async fn the_layers_below_see_what_is_left() {
    let body = json!({"max_tokens": 30, "messages": [
        {"role": "user", "content": "old ".repeat(100)}, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And now?"},
    ]})
    .to_string();
    let before = body.len();
    let leaf = service_fn(move |request: Request<RequestBody>| {
        let context = request.extensions().get::<CallContext>().expect("a context");
        let gone = before - request.body().len();
        assert!(gone > 400);
        assert_eq!(
            context.call().prompt_bytes + gone,
            context.call().spans.prompt.clone().map_or(0, |span| span.len())
        );
        assert_eq!(context.call().max_output_tokens, Some(20));
        // What stood where stays true: a layer below may go on rewriting.
        let (mut body, span) = (request.body().clone(), context.call().spans.max_output_tokens.clone().expect("there"));
        body.replace(span, "7").expect("a place");
        assert!(body.to_bytes().starts_with(br#"{"max_tokens":7,"#));
        ready(Ok::<_, Infallible>(Response::new(())))
    });
    let mut model = Model::new(60);
    model.output = 20;
    let layer = ContextWindowLayer::new()
        .models(Models::empty().insert("tiny", model))
        .policy(Policy::truncate().clamp_output().margin(0));
    let context = CallContext::new(Default::default(), tokio::time::Instant::now());
    let request =
        Request::post(CHAT).extension(context).header("content-length", before).body(Full::<Bytes>::from(body));
    let stack = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer).service(leaf);
    stack.oneshot(request.expect("valid")).await.expect("it fits");
}

#[tokio::test]
async fn without_a_door_it_reads_what_is_in_memory_and_passes_on_the_rest() {
    let layer = ContextWindowLayer::new().models(models(60)).policy(Policy::truncate().margin(0));
    let long = chat(&"word ".repeat(100));
    let full = service_fn(|request: Request<Full<Bytes>>| async {
        assert!(!request.headers().contains_key("content-length"), "it is another one now");
        Ok::<_, Infallible>(Response::new(RequestBody::from(request.into_body()).to_bytes()))
    });
    let request = Request::post(CHAT).header("content-length", long.len()).body(Full::<Bytes>::from(long.clone()));
    let response = layer.layer(full).oneshot(request.expect("valid")).await.expect("it fits");
    assert!(response.extensions().get::<ContextUse>().is_some_and(ContextUse::is_truncated));
    assert!(response.into_body().len() < long.len() / 2);

    let empty = service_fn(|_: Request<Empty<Bytes>>| async { Ok::<_, Infallible>(Response::new(())) });
    let request = Request::post(CHAT).body(Empty::<Bytes>::new()).expect("valid");
    let response = layer.layer(empty).oneshot(request).await.expect("passed on");
    assert!(response.extensions().get::<ContextUse>().is_none());
    assert_eq!(layer.handle().snapshot().unread, 1);
}

#[tokio::test]
async fn what_overlaps_a_change_above_is_left_as_it_is() {
    let layer = ContextWindowLayer::new().models(models(60)).policy(Policy::truncate().margin(0));
    let mut body = RequestBody::from(chat(&"word ".repeat(100)));
    body.replace(40..45, "other").expect("a place");
    let changed = body.to_bytes();
    let (after, used) = support::through(&layer, CHAT, body).await.expect("let through");
    assert_eq!((after, used, layer.handle().snapshot().unread), (changed, None, 1));
}

#[tokio::test]
async fn unknown_models_are_told_of_once_and_kept_up_to_a_bound() {
    let layer = ContextWindowLayer::new();
    let long = chat(&"word ".repeat(10));
    for number in 0..100 {
        let path =
            format!("/openai/deployments/unknown-{number:03}-{}/chat/completions?api-version=1", "東".repeat(40));
        for _ in 0..2 {
            let (_, used) =
                support::through(&layer, &path.replace('東', "%E6%9D%B1"), long.clone()).await.expect("let through");
            assert_eq!(used, None);
        }
    }
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.calls, snapshot.unknown_models, snapshot.unknown_names.len()), (0, 200, 64));
    assert!(snapshot.unknown_names.iter().all(|name| name.len() <= 64 && name.starts_with("unknown-")));
    layer.handle().reset();
    assert_eq!(layer.handle().snapshot(), Default::default());
    // The body's own name helps where the deployment's does not.
    let by_model = r#"{"model":"gpt-4o","messages":[]}"#;
    let path = "/openai/deployments/fast/chat/completions?api-version=1";
    let (_, used) = support::through(&layer, path, by_model).await.expect("known");
    assert_eq!(used.map(|used| (used.window, used.counted)), Some((128_000, Counted::ByBytes)));
}

#[tokio::test]
async fn budgets_hold_by_tag_with_their_own_policy() {
    let budgets: Budgets = [("planner", 30), ("coder", 60)].into_iter().collect();
    let budgets = budgets
        .tag_with("summarizer", 30, Policy::truncate().output_room(5).margin(0))
        .others(1_000)
        .header(HeaderName::from_static("x-agent"));
    let layer = ContextWindowLayer::new().models(models(100)).budgets(budgets);
    let call = async |tag: Option<&'static str>, header: Option<&'static str>, words: usize| {
        let mut request = request(&"word ".repeat(words));
        if let Some(tag) = tag {
            request.extensions_mut().insert(ContextTag::new(tag));
        }
        if let Some(header) = header {
            request.headers_mut().insert("x-agent", header.parse().expect("a value"));
        }
        let leaf = service_fn(|_: Request<RequestBody>| ready(Ok::<_, Error>(Response::new(()))));
        let response = layer.layer(leaf).oneshot(request).await?;
        Ok::<_, Error>(response.extensions().get::<ContextUse>().copied().expect("read"))
    };
    assert_eq!(call(Some("planner"), None, 10).await.map(|used| used.window).ok(), Some(30));
    let refused = call(Some("planner"), None, 50).await.expect_err("over its budget");
    assert_eq!(refused.rejected().and_then(Rejected::context_length).map(|one| one.maximum), Some(30));
    assert_eq!(call(None, Some("coder"), 50).await.map(|used| used.window).ok(), Some(60));
    assert_eq!(
        call(Some("coder"), Some("planner"), 50).await.map(|used| used.window).ok(),
        Some(60),
        "the extension wins"
    );
    assert!(call(Some("summarizer"), None, 50).await.is_ok_and(|used| used.is_truncated() && used.sent <= 25));
    assert_eq!(
        call(Some("stranger"), None, 50).await.map(|used| used.window).ok(),
        Some(100),
        "the model's own is smaller"
    );
    let tags = layer.handle().snapshot().tags;
    let tags: Vec<_> = tags.iter().map(|(tag, used)| (&**tag, used.calls, used.refused, used.truncated)).collect();
    assert_eq!(tags, [("coder", 2, 0, 0), ("planner", 2, 1, 0), ("summarizer", 1, 0, 1)]);
}

#[tokio::test]
async fn a_budget_of_an_unknown_model_cuts_and_never_refuses() {
    let long = chat(&"word ".repeat(100));
    for (policy, is_cut) in [(Policy::reject(), false), (Policy::truncate(), true)] {
        let layer = ContextWindowLayer::new().policy(policy).budgets(Budgets::new().others(50));
        let (_, used) = support::through(&layer, CHAT, long.clone()).await.expect("not refused");
        let used = used.expect("read");
        assert_eq!((used.is_truncated(), used.is_over, used.counted), (is_cut, !is_cut, Counted::Estimated));
    }
}

#[tokio::test]
async fn errors_of_the_inner_service_are_flattened() {
    let leaf = service_fn(|_: Request<RequestBody>| ready(Err::<Response<()>, BoxError>("reset".into())));
    let error = ContextWindowLayer::new().layer(leaf).oneshot(request("x")).await.expect_err("it fails");
    assert!(matches!(error, Error::Transport(_)));
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_point_it_holds_nothing() {
    let held = Arc::new(());
    for (inline, polls) in [(0, 0), (0, 1), (0, 2), (usize::MAX, 0), (usize::MAX, 1)] {
        let marker = Arc::clone(&held);
        let leaf = service_fn(move |_: Request<RequestBody>| {
            let marker = Arc::clone(&marker);
            async move {
                pending::<()>().await;
                drop(marker);
                Ok::<_, Infallible>(Response::new(()))
            }
        });
        let layer = ContextWindowLayer::new().models(models(100)).inline_up_to(inline).counter(Arc::new(FourBytes));
        let mut call = task::spawn(layer.layer(leaf).oneshot(request(&"word ".repeat(50))));
        for _ in 0..polls {
            assert_pending!(call.poll());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(call);
        assert_eq!(Arc::strong_count(&held), 1, "after {polls} polls");
    }
}

#[tokio::test]
async fn what_is_accepted_by_its_bytes_leaves_room_for_the_output() {
    let body =
        |output: u64| json!({"max_tokens": output, "messages": [{"role": "user", "content": "word ".repeat(20)}]});
    let layer = ContextWindowLayer::new().models(models(400));
    let through = async |output: u64| support::through(&layer, CHAT, body(output).to_string()).await;
    let bytes = body(100).to_string().len() as u64;
    let counted = async |output: u64| through(output).await.map(|(_, used)| used.expect("read").counted).ok();
    assert_eq!(counted(400 - bytes).await, Some(Counted::ByBytes));
    assert_eq!(counted(400 - bytes + 1).await, Some(Counted::Exactly));
    let error = through(390).await.expect_err("the prompt fits, and its output does not");
    let lengths = error.rejected().and_then(Rejected::context_length).expect("numbers");
    assert_eq!((lengths.maximum, lengths.output), (400, Some(390)));
    assert!(lengths.prompt + 390 > 400 && lengths.prompt < bytes);
}
