//! The door: what comes through it, what does not, and what it holds meanwhile.

#[path = "support/chunks.rs"]
mod chunks;

use std::{error::Error as _, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use chunks::{Chunks, Step};
use http::{Request, Response, header};
use http_body_util::Full;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service};
use tower_aoai_core::{
    BoxError, Call, CallContext, Error, Operation, PrepareLayer, Reason, Rejected, RequestBody, Served,
    prepare::{BodyError, Prepare, ResponseFuture},
};
use tower_test::mock::{Handle, Mock, Spawn, spawn_layer};

const CHAT: &str = "https://r.openai.azure.com/openai/v1/chat/completions";

type Inner = Mock<Request<RequestBody>, Response<()>>;
type Below = Handle<Request<RequestBody>, Response<()>>;

fn door(layer: PrepareLayer) -> (Spawn<Prepare<Inner>>, Below) {
    spawn_layer(layer)
}

fn chat<B>(body: B) -> Request<B> {
    Request::post(CHAT).body(body).expect("a request")
}

fn chunks(steps: impl IntoIterator<Item = Step>) -> Request<Chunks> {
    chat(Chunks::new(steps))
}

fn ready<B: http_body::Body<Error: Into<BoxError>>>(door: &mut Spawn<Prepare<Inner>>) {
    assert!(matches!(door.poll_ready::<Request<B>>(), Poll::Ready(Ok(()))));
}

/// Sends a request that is refused before anything below sees it.
fn refused(layer: PrepareLayer, request: Request<Chunks>) -> Error {
    let (mut door, mut below) = door(layer);
    ready::<Chunks>(&mut door);
    let mut answer = task::spawn(door.get_mut().call(request));
    let error = loop {
        if let Poll::Ready(result) = answer.poll() {
            break result.expect_err("it is refused");
        }
    };
    drop((answer, door));
    assert_pending_or_closed(&mut below);
    error
}

fn assert_pending_or_closed(below: &mut Below) {
    let seen = task::spawn(below.next_request()).poll();
    assert!(!matches!(seen, Poll::Ready(Some(_))));
}

#[tokio::test(start_paused = true)]
async fn the_whole_way() {
    let (mut door, mut below) = door(PrepareLayer::new());
    ready::<Chunks>(&mut door);
    let mut request =
        chunks([Step::Data(r#"{"model":"#), Step::Wait, Step::Data(""), Step::Data(r#""m"}"#), Step::Trailers]);
    request.headers_mut().insert(header::CONTENT_LENGTH, 13.into());
    request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    let start = Instant::now();
    let mut answer = task::spawn(door.get_mut().call(request));
    assert_pending!(answer.poll());
    advance(Duration::from_secs(3)).await;
    assert_pending!(answer.poll());

    let (request, respond) = below.next_request().await.unwrap();
    assert_eq!(request.body().to_bytes(), r#"{"model":"m"}"#);
    assert!(!request.headers().contains_key(header::CONTENT_LENGTH));
    assert!(request.headers().contains_key(header::CONTENT_TYPE));
    let context = request.extensions().get::<CallContext>().unwrap();
    assert_eq!(context.call().operation, Operation::Chat);
    assert_eq!(context.call().target(), Some("m"));
    assert_eq!(context.started(), start);
    assert_eq!(context.now(), start + Duration::from_secs(3));

    context.clone().attempt().mark_sent(context.now());
    context.note_served(|served| served.tier = Some(2));
    context.clone().begin_attempt().mark_sent(context.now());
    respond.send_response(Response::new(()));
    let response = assert_ready_ok!(answer.poll());
    let served = response.extensions().get::<Served>().unwrap();
    assert_eq!((served.attempts, served.tier), (2, Some(2)));
}

#[tokio::test]
async fn one_frame_is_not_copied() {
    let (mut door, mut below) = door(PrepareLayer::new());
    ready::<Full<Bytes>>(&mut door);
    let source = Bytes::from(vec![b' '; 100_000]);
    let mut answer = task::spawn(door.get_mut().call(chat(Full::new(source.clone()))));
    assert_pending!(answer.poll());
    let (request, _) = below.next_request().await.unwrap();
    assert_eq!(request.body().source().as_ptr(), source.as_ptr());
}

#[tokio::test(start_paused = true)]
async fn a_context_of_the_caller_stays_and_learns_what_the_body_says() {
    let (mut door, mut below) = door(PrepareLayer::new());
    ready::<Full<Bytes>>(&mut door);
    let began = Instant::now();
    let mut theirs = CallContext::new(Call::default(), began);
    theirs.tighten_deadline(began + Duration::from_secs(9));
    theirs.set_start_by(Some(began + Duration::from_secs(5)));
    advance(Duration::from_secs(1)).await;
    let mut request = chat(Full::<Bytes>::from(r#"{"stream":true}"#));
    request.extensions_mut().insert(theirs);

    let mut answer = task::spawn(door.get_mut().call(request));
    assert_pending!(answer.poll());
    let (request, _) = below.next_request().await.unwrap();
    let context = request.extensions().get::<CallContext>().unwrap();
    assert!(context.call().stream);
    assert_eq!(context.started(), began);
    assert_eq!(context.now(), began + Duration::from_secs(1));
    assert_eq!(context.deadline(), Some(began + Duration::from_secs(9)));
    assert_eq!(context.start_by(), Some(began + Duration::from_secs(5)));
}

#[tokio::test]
async fn an_answer_that_knows_who_served_it_keeps_that() {
    let (mut door, mut below) = door(PrepareLayer::new());
    ready::<RequestBody>(&mut door);
    let mut answer = task::spawn(door.get_mut().call(chat(RequestBody::empty())));
    assert_pending!(answer.poll());
    let (_, respond) = below.next_request().await.unwrap();
    let mut response = Response::new(());
    let mut served = Served::default();
    served.attempts = 7;
    response.extensions_mut().insert(served.clone());
    respond.send_response(response);
    let response = assert_ready_ok!(answer.poll());
    assert_eq!(response.extensions().get::<Served>(), Some(&served));
}

#[tokio::test]
async fn the_limit_is_allowed_and_one_byte_more_is_not() {
    for steps in [vec![Step::Data("12345678")], vec![Step::Data("1234"), Step::Wait, Step::Data("5678")]] {
        let (mut door, mut below) = door(PrepareLayer::new().body_limit(8));
        ready::<Chunks>(&mut door);
        let mut answer = task::spawn(door.get_mut().call(chunks(steps)));
        while below.poll_request().is_pending() {
            assert_pending!(answer.poll());
        }
    }
    for steps in [vec![Step::Data("123456789")], vec![Step::Data("1234"), Step::Wait, Step::Data("56789")]] {
        let error = refused(PrepareLayer::new().body_limit(8), chunks(steps));
        let rejected = error.rejected().expect("a refusal");
        assert_eq!(rejected.reason(), Reason::BodyTooLarge { limit: 8 });
        assert_eq!(rejected.by(), "door");
    }
}

#[tokio::test]
async fn what_is_announced_too_large_is_not_even_read() {
    let unread = || Step::Fail("it was read".into());
    let hinted = chat(Chunks::new([unread()]).at_least(9));
    let mut lengthy = chunks([unread()]);
    lengthy.headers_mut().insert(header::CONTENT_LENGTH, 9.into());
    for request in [hinted, lengthy] {
        let error = refused(PrepareLayer::new().body_limit(8), request);
        assert_eq!(error.status(), http::StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn a_body_that_fails_says_so_with_its_cause() {
    let error = refused(PrepareLayer::new(), chunks([Step::Data("1"), Step::Fail("reset".into())]));
    let Error::Transport(source) = error else { panic!("{error:?}") };
    let body = source.downcast_ref::<BodyError>().expect("a body error");
    assert_eq!(body.source().map(ToString::to_string).as_deref(), Some("reset"));

    let ours = Error::from(Rejected::new(Reason::ShuttingDown, "test"));
    let error = refused(PrepareLayer::new(), chunks([Step::Fail(ours.into())]));
    assert_eq!(error.rejected().map(Rejected::by), Some("test"));
}

#[tokio::test]
async fn an_error_from_below_is_taken_over() {
    let (mut door, mut below) = door(PrepareLayer::new());
    ready::<RequestBody>(&mut door);
    let mut answer = task::spawn(door.get_mut().call(chat(RequestBody::empty())));
    assert_pending!(answer.poll());
    let (_, respond) = below.next_request().await.unwrap();
    respond.send_error(Error::from(Rejected::new(Reason::QueueFull, "bucket")));
    let error = assert_ready!(answer.poll()).expect_err("refused below");
    assert_eq!(error.rejected().map(Rejected::by), Some("bucket"));
}

#[tokio::test]
async fn t1_the_instance_that_was_ready_is_called() {
    let (mut door, mut below) = spawn_layer::<_, Response<()>, _>(PrepareLayer::new());
    below.allow(0);
    assert_pending!(door.poll_ready::<Request<RequestBody>>());
    below.allow(1);
    assert!(door.is_woken());
    ready::<RequestBody>(&mut door);
    // The mock panics if it is called without having been ready, or if its readiness went to a clone.
    let mut other = Spawn::new(door.get_ref().clone());
    let mut answer = task::spawn(door.get_mut().call(chat(RequestBody::empty())));
    assert_pending!(answer.poll());
    assert!(below.next_request().await.is_some());
    assert_pending!(other.poll_ready::<Request<RequestBody>>());
    assert_pending!(door.poll_ready::<Request<RequestBody>>());
}

#[tokio::test]
async fn t5_a_drop_at_any_point_leaves_nothing_behind() {
    for polls in 0..6 {
        let (mut door, mut below) = door(PrepareLayer::new());
        below.allow(1);
        ready::<Chunks>(&mut door);
        let request = chunks([Step::Wait, Step::Data("1"), Step::Wait, Step::Data("2"), Step::Wait]);
        let alive = Arc::downgrade(&request.body().alive);
        let mut answer = task::spawn(door.get_mut().call(request));
        for _ in 0..polls {
            assert_pending!(answer.poll());
        }
        drop(answer);
        assert!(alive.upgrade().is_none());
        let sent = below.poll_request().is_ready();
        assert_eq!(sent, polls > 3, "after {polls} polls");
        let given_back = door.poll_ready::<Request<Chunks>>().is_ready();
        assert_eq!(given_back, !sent, "after {polls} polls");
    }
}

#[test]
fn t5_everything_is_send_and_sync() {
    fn both<T: Send + Sync + 'static>() {}
    both::<PrepareLayer>();
    both::<Prepare<Inner>>();
    both::<ResponseFuture<(), RequestBody, ()>>();
    both::<RequestBody>();
    let _ = PrepareLayer::default().layer(());
}
