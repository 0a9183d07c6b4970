//! Where time limits and bodies meet: bodies that never pause, readers that do, and what is dropped when.

use std::{
    convert::Infallible,
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready_err, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_aoai_core::{
    AttemptTimeoutLayer, BoxError, Call, CallContext, DeadlineLayer, Error, ObserveLayer, PrepareLayer, RequestBody,
    Timeout,
};

const SECOND: Duration = Duration::from_secs(1);

fn expired<T>(result: &Result<T, Error>) -> Option<Timeout> {
    match result {
        Err(Error::Timeout(timeout)) => Some(*timeout),
        _ => None,
    }
}

/// Always has a frame, for so many of them.
struct Eager {
    frames: usize,
    dropped: Arc<AtomicBool>,
}

impl Drop for Eager {
    fn drop(&mut self) {
        self.dropped.store(true, Relaxed);
    }
}

impl Body for Eager {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames.checked_sub(1).map(|left| {
            self.frames = left;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.frames == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.frames as u64)
    }
}

/// Reads a frame a second; how many came, and how it ended.
async fn slowly<B: Body<Data = Bytes, Error = Error>>(body: B) -> (usize, Result<(), Error>) {
    let mut body = std::pin::pin!(body);
    let mut frames = 0;
    loop {
        sleep(SECOND).await;
        match body.frame().await {
            None => return (frames, Ok(())),
            Some(Ok(_)) => frames += 1,
            Some(Err(error)) => return (frames, Err(error)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r5_a_body_that_always_has_a_frame_ends_at_its_limit_too() {
    for (frames, read, timeout) in [(usize::MAX, 5, true), (6, 6, false), (7, 5, true)] {
        let dropped = Arc::new(AtomicBool::new(false));
        let leaf = |dropped: &Arc<AtomicBool>| {
            let dropped = Arc::clone(dropped);
            service_fn(move |_: Request<()>| {
                let body = Eager { frames, dropped: Arc::clone(&dropped) };
                std::future::ready(Ok::<_, BoxError>(Response::new(body)))
            })
        };
        let service = DeadlineLayer::new(5 * SECOND).layer(leaf(&dropped));
        let body = service.oneshot(Request::new(())).await.expect("a head").into_body();
        let (came, result) = slowly(body).await;
        assert_eq!((came, expired(&result)), (read, timeout.then_some(Timeout::Deadline)));
        assert!(dropped.swap(false, Relaxed));
        let service = AttemptTimeoutLayer::new().total(5 * SECOND).layer(leaf(&dropped));
        let body = service.oneshot(Request::new(())).await.expect("a head").into_body();
        let (came, result) = slowly(body).await;
        assert_eq!((came, expired(&result)), (read, timeout.then_some(Timeout::Total)), "the last one counts");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_takes_their_time_is_not_the_servers_silence() {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let mut body = Some(StreamBody::new(Receiver(receiver)));
    let leaf = service_fn(move |_: Request<()>| std::future::ready(body.take().map(Response::new).ok_or("once")));
    let service = AttemptTimeoutLayer::new().idle(3 * SECOND).layer(leaf);
    let mut body = service.oneshot(Request::new(())).await.expect("a head").into_body();
    sleep(60 * SECOND).await;
    {
        // The connection notices that somebody reads, and fetches what lies ready.
        let mut frame = task::spawn(body.frame());
        assert_pending!(frame.poll());
        sender.send(Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))).await.expect("room");
        assert!(matches!(frame.await, Some(Ok(_))));
    }
    let start = Instant::now();
    let silent = body.frame().await.expect("an end");
    assert_eq!(expired(&silent), Some(Timeout::Idle));
    assert_eq!(Instant::now().saturating_duration_since(start), 3 * SECOND);
    assert!(sender.is_closed());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn only_a_call_that_asks_for_a_stream_waits_for_a_first_token() {
    let leaf = service_fn(|_: Request<RequestBody>| async {
        sleep(60 * SECOND).await;
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from("{}")))
    });
    let service = PrepareLayer::new().layer(AttemptTimeoutLayer::new().first_token(5 * SECOND).layer(leaf));
    for (stream, timeout) in [(false, None), (true, Some(Timeout::FirstToken))] {
        let request = Request::post("/openai/v1/chat/completions")
            .body(Full::<Bytes>::from(format!(r#"{{"stream":{stream}}}"#)))
            .expect("valid");
        assert_eq!(expired(&service.clone().oneshot(request).await), timeout, "stream: {stream}");
    }
}

/// Sets a flag when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_run_out_is_let_go_of_before_its_caller_is_told() {
    let dropped = Arc::new(AtomicBool::new(false));
    let leaf = {
        let dropped = Arc::clone(&dropped);
        service_fn(move |_: Request<()>| {
            let flag = Flag(Arc::clone(&dropped));
            async move {
                pending::<()>().await;
                drop(flag);
                Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
            }
        })
    };
    let mut deadline = task::spawn(DeadlineLayer::new(SECOND).layer(leaf.clone()).oneshot(Request::new(())));
    assert_pending!(deadline.poll());
    advance(2 * SECOND).await;
    assert_ready_err!(deadline.poll());
    assert!(dropped.swap(false, Relaxed));
    let mut attempt = task::spawn(AttemptTimeoutLayer::new().first_byte(SECOND).layer(leaf).oneshot(Request::new(())));
    assert_pending!(attempt.poll());
    advance(2 * SECOND).await;
    assert_ready_err!(attempt.poll());
    assert!(dropped.load(Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_from_its_layer_however_old_the_context_is() {
    let context = CallContext::new(Call::default(), Instant::now());
    sleep(3600 * SECOND).await;
    let mut request = Request::new(());
    request.extensions_mut().insert(context);
    let leaf = service_fn(|mut request: Request<()>| async move {
        let context = CallContext::of(&mut request);
        assert_eq!(context.now(), Instant::now());
        assert_eq!(context.deadline(), Some(Instant::now() + SECOND));
        sleep(SECOND / 2).await;
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    });
    DeadlineLayer::new(SECOND).layer(leaf).oneshot(request).await.expect("in time");
}

#[tokio::test(start_paused = true)]
async fn limits_may_be_as_large_as_numbers_go() {
    let limits = AttemptTimeoutLayer::new().first_byte(Duration::MAX).first_token(Duration::MAX).idle(Duration::MAX);
    let leaf = service_fn(|_: Request<()>| async {
        sleep(SECOND).await;
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    });
    let service = DeadlineLayer::new(Duration::MAX).layer(limits.total(Duration::MAX).layer(leaf));
    let response = service.oneshot(Request::new(())).await.expect("in time");
    response.into_body().collect().await.expect("whole");
}

#[test]
fn t5_everything_is_send_sync_and_movable_where_the_inner_body_is() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<tower_aoai_core::deadline::ResponseBody<Full<Bytes>>>();
    check::<tower_aoai_core::attempt_timeout::ResponseBody<Full<Bytes>>>();
    check::<tower_aoai_core::attempt_timeout::ConnectFuture<std::future::Ready<()>>>();
    fn future<T: Send + Sync + 'static>() {}
    future::<tower_aoai_core::deadline::ResponseFuture<std::future::Ready<()>>>();
    future::<tower_aoai_core::attempt_timeout::ResponseFuture<std::future::Ready<()>>>();
}

mod contract {
    //! What tower asks of a service, of each of the layers that forward readiness.

    use tower_test::mock::{self, Spawn};

    use super::*;

    type Inner = mock::Mock<Request<()>, Response<Full<Bytes>>>;
    type Handle = mock::Handle<Request<()>, Response<Full<Bytes>>>;

    async fn t1_t2_t3_readiness_is_the_inner_services<L>(layer: L)
    where
        L: Layer<Inner> + Clone,
        L::Service: Service<Request<()>, Error = Error> + Clone,
        <L::Service as Service<Request<()>>>::Response: std::fmt::Debug,
    {
        let (mut service, mut handle): (Spawn<L::Service>, Handle) = mock::spawn_layer(layer);
        handle.allow(0);
        assert_pending!(service.poll_ready());
        handle.allow(1);
        assert!(service.is_woken(), "T2: pending registered its waker");
        assert!(service.poll_ready().is_ready());

        let mut call = task::spawn(service.call(Request::new(())));
        assert_pending!(call.poll());
        let (_, respond) = handle.next_request().await.expect("called in `call`");
        assert_pending!(service.poll_ready(), "T1: used up by the call");
        respond.send_response(Response::default());
        assert!(call.await.is_ok());

        handle.allow(1);
        assert!(service.poll_ready().is_ready());
        let mut other = service.clone();
        drop(service);
        assert!(other.poll_ready().is_ready(), "T3: unused readiness went with its service, and is free again");
        handle.send_error("closed");
        assert!(matches!(other.poll_ready(), Poll::Ready(Err(Error::Transport(_)))));
    }

    #[tokio::test(start_paused = true)]
    async fn t1_t2_t3_deadline() {
        t1_t2_t3_readiness_is_the_inner_services(DeadlineLayer::new(SECOND)).await;
        t1_t2_t3_readiness_is_the_inner_services(DeadlineLayer::off()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn t1_t2_t3_attempt_timeout() {
        t1_t2_t3_readiness_is_the_inner_services(AttemptTimeoutLayer::new().total(SECOND)).await;
        t1_t2_t3_readiness_is_the_inner_services(AttemptTimeoutLayer::off()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn t1_t2_t3_rejected_response() {
        t1_t2_t3_readiness_is_the_inner_services(tower_aoai_core::RejectedResponseLayer::new()).await;
    }
}

/// A channel's receiving end as a stream.
struct Receiver<T>(tokio::sync::mpsc::Receiver<T>);

impl<T> futures_util::Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}

/// What a server does: the wait before its head, then before each frame, in milliseconds.
fn waits() -> impl Strategy<Value = (u64, Vec<u64>)> {
    (0u64..4000, prop::collection::vec(0u64..2000, 0..8))
}

/// Answers as `waits` says.
fn scripted(
    head: u64,
    frames: Vec<u64>,
) -> impl Service<
    Request<()>,
    Response = Response<impl Body<Data = Bytes, Error = Infallible> + Unpin>,
    Error = BoxError,
    Future: Send,
> + Clone {
    service_fn(move |_: Request<()>| {
        let frames = frames.clone();
        async move {
            sleep(Duration::from_millis(head)).await;
            let frames = futures_util::StreamExt::then(futures_util::stream::iter(frames), |wait| async move {
                sleep(Duration::from_millis(wait)).await;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))
            });
            Ok::<_, BoxError>(Response::new(StreamBody::new(Box::pin(frames))))
        }
    })
}

async fn whole<S, B>(service: S) -> (Duration, Option<Timeout>)
where
    S: Service<Request<()>, Response = Response<B>, Error = Error>,
    B: Body<Data = Bytes, Error = Error>,
{
    let start = Instant::now();
    let call = async { service.oneshot(Request::new(())).await?.into_body().collect().await.map(drop) };
    let result = call.await;
    (Instant::now().saturating_duration_since(start), expired(&result))
}

proptest! {
    /// No call outlives its deadline, and none that would have ended in time is cut off.
    #[test]
    fn r5_a_call_returns_by_its_deadline_and_no_earlier_than_it_must((head, frames) in waits(), limit in 1u64..8000) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let limit = Duration::from_millis(limit);
            let natural = Duration::from_millis(head + frames.iter().sum::<u64>());
            let bounded = DeadlineLayer::new(limit).layer(scripted(head, frames.clone()));
            let (taken, timeout) = whole(bounded).await;
            let late = natural > limit;
            prop_assert_eq!((taken, timeout), (natural.min(limit), late.then_some(Timeout::Deadline)));
            let bounded = AttemptTimeoutLayer::new().total(limit).layer(scripted(head, frames));
            let (taken, timeout) = whole(bounded).await;
            prop_assert_eq!((taken, timeout), (natural.min(limit), late.then_some(Timeout::Total)));
            Ok(())
        })?;
    }

    /// Each limit ends the attempt exactly when it runs out, and the earliest one does.
    #[test]
    fn every_limit_ends_the_attempt_at_its_own_time(
        (head, frames) in waits(),
        limits in prop::array::uniform3(prop::option::of(1u64..3000)),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let [first_byte, idle, total] = limits;
            let mut layer = AttemptTimeoutLayer::new();
            if let Some(limit) = first_byte {
                layer = layer.first_byte(Duration::from_millis(limit));
            }
            if let Some(limit) = idle {
                layer = layer.idle(Duration::from_millis(limit));
            }
            if let Some(limit) = total {
                layer = layer.total(Duration::from_millis(limit));
            }
            // By the words of the documentation, millisecond by millisecond.
            let mut expected = (head, None);
            let total = total.unwrap_or(u64::MAX);
            let first_byte = first_byte.unwrap_or(u64::MAX);
            if head > first_byte.min(total) {
                let timeout = if first_byte <= total { Timeout::FirstByte } else { Timeout::Total };
                expected = (first_byte.min(total), Some(timeout));
            } else {
                for wait in &frames {
                    let silent_until = idle.map_or(u64::MAX, |idle| expected.0 + idle);
                    if expected.0 + wait > silent_until.min(total) {
                        let timeout = if silent_until <= total { Timeout::Idle } else { Timeout::Total };
                        expected = (silent_until.min(total), Some(timeout));
                        break;
                    }
                    expected.0 += wait;
                }
            }
            let (taken, timeout) = whole(layer.layer(scripted(head, frames))).await;
            prop_assert_eq!((u64::try_from(taken.as_millis())?, timeout), expected);
            Ok(())
        })?;
    }

    /// Dropped after any number of polls, the attempt below an observer is told of exactly once.
    #[test]
    fn l4_t5_dropped_anywhere_the_attempt_ends_once((head, frames) in waits(), polls in 0usize..12) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            let timed = AttemptTimeoutLayer::new().total(3 * SECOND).layer(scripted(head, frames));
            let service = DeadlineLayer::new(4 * SECOND).layer(ObserveLayer::new().layer(timed));
            let mut request = Request::new(());
            let context = CallContext::of(&mut request).clone();
            let mut call = task::spawn(async {
                service.oneshot(request).await?.into_body().collect().await.map(drop)
            });
            for _ in 0..polls {
                if call.poll().is_ready() {
                    break;
                }
                advance(SECOND / 2).await;
            }
            drop(call);
            let ended = context.attempts().iter().filter(|attempt| attempt.progress().ended.is_some()).count();
            prop_assert_eq!((context.attempt_count(), ended), (polls.min(1), polls.min(1)));
            Ok(())
        })?;
    }
}
