//! What tower asks of a service.

use http::header::{ACCEPT_ENCODING, HeaderValue};
use tower_test::mock::{self, Spawn};

use super::*;

type Mock = mock::Mock<Request<()>, Response<Script>>;
type Handle = mock::Handle<Request<()>, Response<Script>>;

fn mocked() -> (Spawn<Observe<Mock>>, Handle) {
    mock::spawn_layer(layer())
}

#[tokio::test(start_paused = true)]
async fn t1_the_inner_service_is_called_in_call_and_sent_when_polled() {
    let (mut service, mut handle) = mocked();
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let (request, attempt) = request(Call::default(), false);
    let mut future = tokio_test::task::spawn(service.call(request));
    let (mut seen, respond) = handle.next_request().await.unwrap();
    assert!(!attempt.is_sent(), "not before the transport is polled");
    let context = CallContext::of(&mut seen);
    assert_eq!(context.attempt_count(), 0);
    assert!(Arc::ptr_eq(&context.attempt(), &attempt), "the attempt travels on");
    tokio::time::advance(SECOND).await;
    let now = Instant::now();
    assert!(future.poll().is_pending());
    assert_eq!(attempt.progress().sent, Some(now));
    tokio::time::advance(SECOND).await;
    respond.send_response(stream([data(content("a"))]));
    assert!(future.poll().is_ready());
    assert_eq!(attempt.progress().sent, Some(now), "stamped once");
}

#[tokio::test(start_paused = true)]
async fn t2_pending_registers_the_waker_and_readiness_is_the_inner_services() {
    let (mut service, mut handle) = mocked();
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    assert!(!service.is_woken());
    handle.allow(1);
    assert!(service.is_woken());
    assert!(service.poll_ready().is_ready());
    handle.send_error("closed");
    assert!(matches!(service.poll_ready(), Poll::Ready(Err(Error::Transport(_)))));
}

/// Ready at once; its clone is not, and must not be called before it is.
#[derive(Default)]
struct Probe {
    ready: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<()>> for Probe {
    type Response = Response<Script>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<Script>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without readiness");
        std::future::ready(Ok(stream([])))
    }
}

#[tokio::test(start_paused = true)]
async fn t1_readiness_stays_with_the_instance_that_got_it() {
    let mut service = layer().layer(Probe::default());
    service.ready().await.unwrap();
    let clone = service.clone();
    let mut ready = std::mem::replace(&mut service, clone);
    let (request, attempt) = request(Call::default(), false);
    ready.call(request).await.unwrap();
    assert!(attempt.is_sent());
}

#[tokio::test(start_paused = true)]
async fn t3_readiness_that_is_not_used_leaves_nothing_behind() {
    let (mut service, mut handle) = mocked();
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let other = service.clone();
    drop(service);
    let mut other = other;
    handle.allow(1);
    assert!(other.poll_ready().is_ready());
}

#[tokio::test(start_paused = true)]
async fn t4_services_of_one_layer_tell_the_same_observers() {
    let recorder = Arc::new(reported::Recorder::default());
    let layer = layer().subscribe(recorder.clone());
    for layer in [layer.clone(), layer] {
        let (answer, _) = send(&layer, stream([])).await;
        drop(answer);
    }
    assert_eq!(recorder.0.lock().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_context_gets_one() {
    let (mut service, mut handle) = mocked();
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let mut future = tokio_test::task::spawn(service.call(Request::new(())));
    assert!(future.poll().is_pending());
    let (mut seen, _respond) = handle.next_request().await.unwrap();
    assert_eq!(CallContext::of(&mut seen).attempt_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_send_of_one_request_is_an_attempt_of_its_own() {
    let service = service_fn(|_: Request<()>| async { Ok::<_, BoxError>(stream([])) });
    let mut service = layer().layer(service);
    let (request, first) = request(Call::default(), false);
    for _ in 0..3 {
        drop(service.ready().await.unwrap().call(request.clone()).await);
    }
    let mut request = request;
    let attempts = CallContext::of(&mut request).attempts();
    assert_eq!(attempts.len(), 3);
    assert!(Arc::ptr_eq(&attempts[0], &first));
}

#[tokio::test(start_paused = true)]
async fn off_it_passes_everything_and_writes_nothing() {
    let parts = [data(CREATED), data(THROTTLED), Part::Trailers];
    let (answer, attempt) = send_as(&ObserveLayer::off(), Operation::Chat, true, stream(parts)).await;
    let body = answer.unwrap().into_body();
    let length = (CREATED.len() + THROTTLED.len()) as u64;
    assert_eq!(body.size_hint().exact(), Some(length));
    assert_eq!(read(body).await, (CREATED.to_owned() + THROTTLED, false));
    assert_eq!(attempt.progress(), crate::Progress::default());
    let (answer, _) = send(&ObserveLayer::off(), stream([Part::Fail])).await;
    let error = answer.unwrap().into_body().frame().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Transport(_)));
}

#[test]
fn t5_everything_is_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<ObserveLayer>();
    check::<Observe<()>>();
    check::<ResponseFuture<std::future::Ready<()>, http_body_util::Full<Bytes>>>();
    check::<ObservedBody<http_body_util::Full<Bytes>>>();
}

/// Official clients ask for compressed answers, in which neither usage nor a refusal can be read.
#[tokio::test(start_paused = true)]
async fn what_is_observed_is_asked_for_uncompressed_and_what_is_not_as_its_caller_asks() {
    for (layer, asked) in [(layer(), "identity"), (ObserveLayer::off(), "gzip, deflate")] {
        let (mut service, mut handle) = mock::spawn_layer::<Request<()>, Response<Script>, _>(layer);
        handle.allow(2);
        for header in [None, Some("gzip, deflate")] {
            assert!(service.poll_ready().is_ready());
            let (mut request, _) = request(Call::default(), false);
            if let Some(header) = header {
                request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(header));
            }
            let _future = service.call(request);
            let (seen, _) = handle.next_request().await.unwrap();
            let seen = seen.headers().get(ACCEPT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!(seen, header.map(|_| asked));
        }
    }
}
