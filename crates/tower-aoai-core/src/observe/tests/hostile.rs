//! Settings, bodies and stacks that nobody had in mind.

use std::{
    future::ready,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use super::{reported::Recorder, *};

#[tokio::test(start_paused = true)]
async fn bounds_may_be_as_large_as_numbers_go() {
    let layer = layer().hold(Duration::MAX, usize::MAX).read_errors(Duration::MAX, usize::MAX).event_limit(usize::MAX);
    let (answer, attempt) = send(&layer, stream([data(role()), data(content("a") + DONE)])).await;
    read(answer.unwrap().into_body()).await;
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
    let error = response(429, "application/json", Script::new([Part::Wait(SECOND), data("{}")]));
    let (_, attempt) = send(&layer, error).await;
    assert_eq!(outcome(&attempt), Some(throttled(7)));
}

/// One frame; that it was the last is known a while after it, as with an empty last frame of h2.
#[derive(Default)]
struct LateEnd {
    polls: usize,
    over: Arc<AtomicBool>,
}

impl Body for LateEnd {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polls += 1;
        Poll::Ready((self.polls < 2).then(|| Ok(Frame::data(Bytes::from_static(b"x")))))
    }

    fn is_end_stream(&self) -> bool {
        self.over.load(Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_between_two_polls_is_an_end_and_no_drop() {
    let over = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&over);
    let service = service_fn(move |_: Request<()>| {
        let body = LateEnd { polls: 0, over: Arc::clone(&known) };
        ready(Ok::<_, BoxError>(Response::new(body)))
    });
    let (request, attempt) = request(Call::default(), false);
    let mut body = layer().layer(service).oneshot(request).await.unwrap().into_body();
    while !body.is_end_stream() {
        let last = body.frame().await.is_none();
        over.store(true, Relaxed);
        assert_eq!(last, body.is_end_stream());
    }
    drop(body);
    assert_eq!(outcome(&attempt), Some(Outcome::Success));
}

/// Always has another byte of an event that never ends.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_withheld_for_ever_lets_others_run() {
    let service = service_fn(|_: Request<()>| {
        let response = Response::builder().header("content-type", "text/event-stream");
        ready(response.body(Endless))
    });
    let (request, _) = request(Call::default(), true);
    let body = layer().layer(service).oneshot(request).await.unwrap().into_body();
    let mut body = tokio_test::task::spawn(body);
    let polled = body.enter(|cx, body| body.poll_frame(cx));
    assert!(polled.is_pending());
    assert!(body.is_woken(), "it goes on by itself");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_an_answer_or_an_error_is_in_a_debug() {
    let secret = "s3cret";
    let parts = || [data(role()), data("data: {\"choices\": [ s3cr"), Part::Hang];
    let call = || Call { operation: Operation::Chat, ..Call::default() };
    for strips in [false, true] {
        let (request, _) = request(call(), strips);
        let mut response = Some(stream([data(role()), data(content(secret)), data("data: s3cret"), Part::Hang]));
        let service = service_fn(move |_: Request<()>| ready(response.take().ok_or("called twice")));
        let mut body = layer().layer(service).oneshot(request).await.unwrap().into_body();
        assert!(!format!("{body:?}").contains(secret));
        body.frame().await;
        assert!(!format!("{body:?}").contains(secret));
    }
    let (request, _) = request(call(), true);
    let mut response = Some(stream(parts()));
    let service = service_fn(move |_: Request<()>| ready(response.take().ok_or("called twice")));
    let mut future = tokio_test::task::spawn(layer().layer(service).oneshot(request));
    assert!(future.poll().is_pending());
    assert!(!format!("{future:?}").contains("s3cr"));
}

#[tokio::test(start_paused = true)]
async fn of_two_observers_of_one_send_the_outer_one_writes() {
    let recorders = [Arc::new(Recorder::default()), Arc::new(Recorder::default())];
    let [outer, inner] = recorders.clone().map(|recorder| layer().subscribe(recorder));
    let service = service_fn(|_: Request<()>| ready(Ok::<_, BoxError>(stream([data(content("a") + DONE)]))));
    let (request, attempt) = request(Call::default(), false);
    let context = request.extensions().get::<CallContext>().unwrap().clone();
    let response = outer.layer(inner.layer(service)).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!((context.attempt_count(), attempt.progress().content_events), (1, 1));
    let told = recorders.map(|recorder| recorder.0.lock().len());
    assert_eq!(told, [4, 0]);
}

/// Counts its services' calls, to see that a lazy layer in between changes nothing.
#[tokio::test(start_paused = true)]
async fn a_layer_that_calls_late_does_not_begin_another_attempt() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let leaf = service_fn(move |mut request: Request<()>| {
        seen.fetch_add(1, Relaxed);
        let sent = CallContext::of(&mut request).current_attempt().is_some_and(|attempt| attempt.is_sent());
        assert!(sent, "the observer was polled first");
        ready(Ok::<_, BoxError>(stream([data(content("a") + DONE)])))
    });
    let timed = crate::AttemptTimeoutLayer::new().first_token(SECOND).layer(leaf);
    let late = service_fn(move |request: Request<()>| {
        let timed = timed.clone();
        Box::pin(async move { timed.oneshot(request).await })
    });
    let (request, attempt) = request(Call::default(), false);
    let context = request.extensions().get::<CallContext>().unwrap().clone();
    let response = layer().layer(late).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    assert_eq!(calls.load(Relaxed), 1);
    assert!(context.last_attempt().is_some_and(|last| Arc::ptr_eq(&last, &attempt)));
}
