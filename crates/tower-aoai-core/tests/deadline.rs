//! What `DeadlineLayer` promises, under paused time.

use std::{convert::Infallible, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_aoai_core::{BoxError, CallContext, DeadlineLayer, Error, Reason, Rejected, Timeout};
use tower_test::mock;

type Empty = Full<Bytes>;

const LIMIT: Duration = Duration::from_secs(10);

fn is_late<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Timeout(Timeout::Deadline)))
}

#[tokio::test(start_paused = true)]
async fn r5_a_call_without_an_answer_ends_at_its_deadline() {
    let (service, mut handle) = mock::pair::<Request<Empty>, Response<Empty>>();
    let mut call = task::spawn(DeadlineLayer::new(LIMIT).layer(service).oneshot(Request::default()));
    assert_pending!(call.poll());
    let (request, respond) = handle.next_request().await.expect("the call");
    let deadline = request.extensions().get::<CallContext>().and_then(CallContext::deadline);
    assert_eq!(deadline, Some(Instant::now() + LIMIT), "seen below as one absolute instant");
    advance(LIMIT - Duration::from_millis(1)).await;
    assert_pending!(call.poll());
    advance(Duration::from_millis(2)).await;
    assert!(call.is_woken());
    assert!(is_late(&assert_ready!(call.poll())));
    drop(respond);
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_earlier_deadline_stands_and_a_later_one_does_not() {
    for (own, expected) in [(3, 3), (30, 10)] {
        let (service, mut handle) = mock::pair::<Request<Empty>, Response<Empty>>();
        let mut request = Request::<Empty>::default();
        let now = Instant::now();
        CallContext::of(&mut request).tighten_deadline(now + Duration::from_secs(own));
        let mut call = task::spawn(DeadlineLayer::new(LIMIT).layer(service).oneshot(request));
        assert_pending!(call.poll());
        let (request, _respond) = handle.next_request().await.expect("the call");
        let deadline = request.extensions().get::<CallContext>().and_then(CallContext::deadline);
        assert_eq!(deadline, Some(now + Duration::from_secs(expected)));
    }
}

#[tokio::test(start_paused = true)]
async fn r5_nothing_is_sent_after_the_deadline() {
    let service = service_fn(|_: Request<Empty>| async { unreachable!("the deadline has passed") });
    let service = service.map_response(|never: Infallible| -> Response<Empty> { match never {} });
    let mut request = Request::<Empty>::default();
    let now = Instant::now();
    CallContext::of(&mut request).tighten_deadline(now);
    let result = DeadlineLayer::off().layer(service.map_err(|never: Infallible| match never {})).oneshot(request).await;
    let error: Error = result.expect_err("too late");
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_the_deadline_and_its_source_is_let_go() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Infallible>>(4);
    let mut body = Some(StreamBody::new(Receiver(receiver)));
    let service = service_fn(move |_: Request<Empty>| {
        let body = body.take().expect("one call");
        async move { Ok::<_, BoxError>(Response::new(body)) }
    });
    let mut service = DeadlineLayer::new(LIMIT).layer(service);
    let response = service.ready().await.expect("ready").call(Request::default()).await.expect("a head");
    let mut body = pin!(response.into_body());
    sleep(LIMIT / 2).await;
    sender.send(Ok(Frame::data(Bytes::from_static(b"half")))).await.expect("listened to");
    assert_eq!(body.frame().await.expect("a frame").expect("in time").into_data().expect("data"), "half");
    assert!(is_late(&body.frame().await.expect("an end")));
    assert!(sender.is_closed(), "the inner body was dropped");
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_counts_even_at_the_deadline() {
    let service = service_fn(|_: Request<Empty>| async {
        sleep(LIMIT).await;
        Ok::<_, BoxError>(Response::new(Empty::from("in time")))
    });
    let response = DeadlineLayer::new(LIMIT).layer(service).oneshot(Request::default()).await.expect("in time");
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "in time");
}

/// A channel's receiving end as a stream.
struct Receiver<T>(tokio::sync::mpsc::Receiver<T>);

impl<T> futures_util::Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}
