//! What a batch promises, over mocks and over the simulator.
#![cfg(feature = "batch")]

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service, service_fn};
use tower_aoai::{
    batch::{BATCH_PRIORITY, BodyLimitExceeded, DEFAULT_CONCURRENCY, Progress, batch, batch_stream},
    core::{CallContext, Error, Priority},
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator};

type Body = Full<Bytes>;

fn request(n: usize) -> Request<Body> {
    Request::post(format!("/{n}")).body(Body::default()).expect("a request")
}

fn number(request: &Request<Body>) -> u64 {
    request.uri().path()[1..].parse().expect("a number")
}

/// Answers a request after as many milliseconds as its number; knows how many it has had at once.
fn slow(
    most: &Arc<AtomicUsize>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + use<> {
    let most = Arc::clone(most);
    let now = Arc::new(AtomicUsize::new(0));
    service_fn(move |request: Request<Body>| {
        let (most, now) = (Arc::clone(&most), Arc::clone(&now));
        async move {
            most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
            sleep(Duration::from_millis(number(&request))).await;
            now.fetch_sub(1, Relaxed);
            Ok(Response::new(Body::default()))
        }
    })
}

/// Fails as the numbers say.
fn failing(
    fails: impl Fn(u64) -> bool + Clone,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = &'static str,
    Future = Ready<Result<Response<Body>, &'static str>>,
> + Clone {
    service_fn(move |request: Request<Body>| {
        ready(if fails(number(&request)) { Err("reset") } else { Ok(Response::new(Body::default())) })
    })
}

#[tokio::test(start_paused = true)]
async fn so_many_at_a_time_and_never_more() {
    for (concurrency, expected) in [(None, DEFAULT_CONCURRENCY), (Some(3), 3), (Some(0), 1)] {
        let most = Arc::new(AtomicUsize::new(0));
        let mut builder = batch(slow(&most), (0..40).map(|_| request(5)));
        if let Some(concurrency) = concurrency {
            builder = builder.concurrency(concurrency);
        }
        let start = Instant::now();
        assert_eq!(builder.run().count().await, 40);
        assert_eq!(most.load(Relaxed), expected);
        let rounds = 40_u64.div_ceil(expected as u64);
        assert_eq!(Instant::now() - start, Duration::from_millis(5 * rounds), "no slot stays empty");
    }
}

#[tokio::test(start_paused = true)]
async fn results_come_as_completed_or_in_order() {
    let delays = [30, 10, 20, 0];
    let most = Arc::new(AtomicUsize::new(0));
    let run = |ordered: bool| {
        let builder = batch(slow(&most), delays.map(request));
        let builder = if ordered { builder.ordered() } else { builder };
        builder.run().map(|(index, _)| index).collect::<Vec<_>>()
    };
    assert_eq!(run(false).await, [3, 1, 2, 0]);
    assert_eq!(run(true).await, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn in_order_no_more_than_twice_the_concurrency_is_begun_ahead_of_the_first() {
    let begun = Rc::new(Cell::new(0));
    let counter = Rc::clone(&begun);
    // The first takes long, all others none.
    let requests = (0..100).map(move |n| {
        counter.set(counter.get() + 1);
        request(if n == 0 { 1_000 } else { 0 })
    });
    let most = Arc::new(AtomicUsize::new(0));
    let mut results = batch(slow(&most), requests).concurrency(4).ordered().run();
    assert!(tokio::time::timeout(Duration::from_millis(999), results.next()).await.is_err());
    assert_eq!(begun.get(), 8);
    assert_eq!(results.map(|(index, _)| index).collect::<Vec<_>>().await, (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn requests_are_read_one_ahead_at_most() {
    let read = Rc::new(Cell::new(0));
    let counter = Rc::clone(&read);
    let requests = std::iter::from_fn(move || {
        counter.set(counter.get() + 1);
        Some(request(10))
    });
    let most = Arc::new(AtomicUsize::new(0));
    let mut results = batch(slow(&most), requests).concurrency(3).run();
    assert_eq!(read.get(), 0, "nothing before the first poll");
    assert!(results.next().now_or_never().is_none());
    assert_eq!(read.get(), 3);
    for _ in 0..5 {
        assert!(results.next().await.is_some());
    }
    assert!(read.get() <= 5 + 3 + 1, "{}", read.get());
}

#[tokio::test(start_paused = true)]
async fn requests_may_come_as_a_stream_that_is_slow() {
    let most = Arc::new(AtomicUsize::new(0));
    let requests = stream::iter(0..4).then(|_| async {
        sleep(Duration::from_millis(10)).await;
        request(25)
    });
    let start = Instant::now();
    let mut results = batch_stream(slow(&most), Box::pin(requests)).concurrency(2).run();
    let handle = results.handle();
    assert!(results.next().await.is_some());
    assert_eq!(Instant::now() - start, Duration::from_millis(35));
    assert_eq!(results.count().await, 3);
    assert_eq!(handle.snapshot().total, Some(4), "counted at the end");
}

#[tokio::test(start_paused = true)]
async fn groups_end_before_the_pause_and_none_follows_the_last() {
    let most = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let results = batch(slow(&most), [5, 20, 10, 10, 10, 10].map(request)).groups(2, Duration::from_millis(100)).run();
    let mut ends: Vec<_> = results.map(|_| (Instant::now() - start).as_millis()).collect().await;
    ends.dedup();
    assert_eq!(ends, [5, 20, 130, 240]);
    assert_eq!(Instant::now() - start, Duration::from_millis(240), "the stream ends with the last of them");
    assert_eq!(most.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn each_request_keeps_a_result_of_its_own() {
    let results = batch(failing(|n| n % 3 == 0), (0..10).map(request)).ordered().run();
    let handle = results.handle();
    let failed: Vec<_> = results.map(|(_, result)| result.is_err()).collect().await;
    assert_eq!(failed, (0..10).map(|n| n % 3 == 0).collect::<Vec<_>>());
    let progress = handle.snapshot();
    assert_eq!((progress.answered, progress.failed, progress.in_flight), (6, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_status_other_than_2xx_is_counted_as_failed_and_handed_on() {
    let simulator = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    simulator.script("gpt-4o").then(Scripted::content_filter());
    let requests = (0..3).map(|_| chat());
    let mut results = batch(simulator, requests).concurrency(1).run();
    let (index, refused) = results.next().await.unwrap();
    assert_eq!((index, refused.unwrap().status()), (0, StatusCode::BAD_REQUEST));
    let handle = results.handle();
    assert_eq!(results.count().await, 2);
    assert_eq!((handle.snapshot().answered, handle.snapshot().failed), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn after_so_many_failures_none_is_started_and_those_in_flight_end() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let service = service_fn(move |request: Request<Body>| {
        count.fetch_add(1, Relaxed);
        async move {
            sleep(Duration::from_millis(number(&request))).await;
            if number(&request) < 10 { Err("reset") } else { Ok(Response::new(Body::default())) }
        }
    });
    let delays = [1, 50, 2, 50, 3, 50, 50, 50, 50];
    let results = batch(service, delays.map(request)).concurrency(3).stop_after(2).ordered().run();
    let handle = results.handle();
    let ended: Vec<_> = results.map(|(index, result)| (index, result.is_ok())).collect().await;
    // After the second failure two are in flight: 1 and 3.
    assert_eq!(ended, [(0, false), (1, true), (2, false), (3, true)]);
    assert_eq!(sent.load(Relaxed), 4);
    let progress = handle.snapshot();
    assert!(progress.is_stopped);
    assert_eq!((progress.total, progress.ended()), (Some(9), 4));
    assert_eq!(progress.time_left(), Some(Duration::ZERO));
    let none = batch(failing(|_| false), (0..3).map(request)).stop_after(0).run();
    assert_eq!(none.count().await, 0);
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_and_shown() {
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let most = Arc::new(AtomicUsize::new(0));
    let mut results = batch(slow(&most), [10; 4].map(request))
        .concurrency(2)
        .on_progress(move |progress| hook.lock().push(progress))
        .run();
    let handle = results.handle();
    assert_eq!((handle.snapshot().total, handle.snapshot().ended()), (Some(4), 0));
    results.next().await;
    let shown = handle.snapshot();
    assert_eq!((shown.answered, shown.in_flight), (1, 1));
    assert_eq!((shown.per_second(), shown.time_left()), (Some(100.0), Some(Duration::from_millis(30))));
    assert_eq!(results.count().await, 3);
    let told = told.lock().clone();
    assert_eq!(told.iter().map(Progress::ended).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(handle.snapshot(), *told.last().unwrap());
    sleep(Duration::from_secs(9)).await;
    assert_eq!(handle.snapshot().elapsed, Duration::from_millis(20), "it stands still after the end");
    let unknown = batch(failing(|_| false), (0..9).map(request).filter(|_| true)).total(9).run();
    assert_eq!(unknown.handle().snapshot().total, Some(9));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_cancels_what_is_in_flight() {
    let latency = Latency::instant().first_token(Duration::from_secs(1));
    let simulator = Simulator::builder().deployment(Deployment::standard("gpt-4o").latency(latency)).build();
    let mut results = batch(simulator.clone(), (0..9).map(|_| chat())).concurrency(4).run();
    let handle = results.handle();
    assert!(tokio::time::timeout(Duration::from_millis(500), results.next()).await.is_err());
    assert_eq!(handle.snapshot().in_flight, 4);
    drop(results);
    assert_eq!(handle.snapshot().in_flight, 0);
    let journal = simulator.journal();
    assert_eq!(journal.len(), 4);
    assert!(journal.iter().all(tower_aoai_simulator::Served::was_cancelled));
}

#[tokio::test(start_paused = true)]
async fn t1_the_instance_that_was_ready_is_called_and_none_is_asked_without_a_request() {
    /// Panics where it is called without having been ready; its clones are not ready.
    struct Strict {
        is_ready: bool,
        asked: Arc<AtomicUsize>,
    }
    impl Clone for Strict {
        fn clone(&self) -> Self {
            Self { is_ready: false, asked: Arc::clone(&self.asked) }
        }
    }
    impl Service<Request<Body>> for Strict {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Body>, Infallible>>;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.asked.fetch_add(1, Relaxed);
            if self.is_ready {
                return Poll::Ready(Ok(()));
            }
            self.is_ready = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        fn call(&mut self, _: Request<Body>) -> Self::Future {
            assert!(std::mem::take(&mut self.is_ready));
            ready(Ok(Response::new(Body::default())))
        }
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let service = Strict { is_ready: false, asked: Arc::clone(&asked) };
    assert_eq!(batch(service.clone(), (0..0).map(request)).run().count().await, 0);
    assert_eq!(asked.load(Relaxed), 0);
    assert_eq!(batch(service, (0..7).map(request)).concurrency(3).run().count().await, 7);
    assert_eq!(asked.load(Relaxed), 14, "twice for each request, and not once more");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_become_ready_fails_its_request_and_not_the_batch() {
    #[derive(Clone)]
    struct Flaky(Arc<AtomicUsize>);
    impl Service<Request<Body>> for Flaky {
        type Response = Response<Body>;
        type Error = &'static str;
        type Future = Ready<Result<Response<Body>, &'static str>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(if self.0.fetch_add(1, Relaxed) == 1 { Err("closed") } else { Ok(()) })
        }
        fn call(&mut self, _: Request<Body>) -> Self::Future {
            ready(Ok(Response::new(Body::default())))
        }
    }
    let results = batch(Flaky(Arc::default()), (0..3).map(request)).ordered().run();
    let results: Vec<_> = results.map(|(_, result)| result.map(|_| ())).collect().await;
    assert_eq!(results, [Ok(()), Err("closed"), Ok(())]);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_free_at_the_head_or_with_collected_bodies_at_the_end() {
    let latency = Latency::instant().first_token(Duration::from_millis(10)).per_token(Duration::from_millis(10));
    let simulator =
        Simulator::builder().deployment(Deployment::unlimited("gpt-4o").latency(latency).annotations(false)).build();
    let streamed = |_| {
        let body = r#"{"model":"gpt-4o","stream":true,"max_tokens":4,"messages":[{"role":"user","content":"Hello"}]}"#;
        Request::post("/openai/v1/chat/completions").body(Body::from(body)).unwrap()
    };
    let requests = || (0..2).map(streamed);
    let mut heads = batch(simulator.clone(), requests()).concurrency(1).run();
    let first = heads.next().await.unwrap().1.unwrap();
    let second = heads.next().await.unwrap().1.unwrap();
    assert_eq!(simulator.journal().iter().filter(|served| served.ended.is_none()).count(), 2, "both bodies are open");
    drop((first, second));

    let mut whole = batch(simulator.clone(), requests()).concurrency(1).collect_bodies(1 << 20).run();
    let (_, first) = whole.next().await.unwrap();
    let body: Bytes = first.unwrap().into_body();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    assert!(simulator.journal()[2].ended.is_some());
    assert_eq!(simulator.journal().len(), 3, "the second starts when the first has ended");
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_limit_is_an_error_that_names_it() {
    let service = service_fn(|request: Request<Body>| {
        let length = usize::try_from(number(&request)).unwrap();
        ready(Ok::<_, Infallible>(Response::new(Body::from("x".repeat(length)))))
    });
    let results = batch(service, [10, 11].map(request)).ordered().collect_bodies(10).run();
    let results: Vec<_> = results.map(|(_, result)| result).collect().await;
    assert_eq!(results[0].as_ref().unwrap().body().len(), 10, "the limit itself is allowed");
    let Err(Error::Transport(error)) = &results[1] else { panic!("{results:?}") };
    assert_eq!(error.downcast_ref(), Some(&BodyLimitExceeded { limit: 10 }));
    assert!(error.to_string().contains("10 bytes"));
}

#[tokio::test(start_paused = true)]
async fn a_body_in_many_frames_is_put_together() {
    let service = service_fn(|_: Request<Body>| {
        let frames =
            stream::iter(["a", "bc", "", "def"]).map(|text| Ok::<_, BoxError>(http_body::Frame::data(text.into())));
        ready(Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(frames))))
    });
    let mut whole = batch(service, [request(0)]).collect_bodies(6).run();
    assert_eq!(whole.next().await.unwrap().1.unwrap().into_body(), "abcdef");
    let mut short = batch(service, [request(0)]).collect_bodies(5).run();
    assert!(short.next().await.unwrap().1.is_err());
}

#[tokio::test(start_paused = true)]
async fn requests_say_that_they_are_batch_work_unless_they_say_something_else() {
    let service = service_fn(|request: Request<Body>| {
        let priority = request.extensions().get::<CallContext>().unwrap().priority();
        #[cfg(feature = "fallback")]
        assert_eq!(
            request.extensions().get::<tower_aoai::fallback::Patience>(),
            Some(&tower_aoai::fallback::Patience::Unlimited)
        );
        ready(Ok::<_, Infallible>(Response::new(Body::from(vec![priority.0]))))
    });
    let mut urgent = request(1);
    CallContext::of(&mut urgent).set_priority(Priority(7));
    let results = batch(service, [request(0), urgent]).ordered().collect_bodies(1).run();
    let classes: Vec<_> = results.map(|(_, result)| result.unwrap().into_body()[0]).collect().await;
    assert_eq!(classes, [BATCH_PRIORITY.0, 7]);
}

fn chat() -> Request<Body> {
    let body = r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":5}"#;
    Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Body::from(body))
        .expect("a request")
}

#[test]
fn builder_stream_and_handle_are_send_and_sync_and_can_be_shown() {
    fn check<T: Send + Sync + std::fmt::Debug>(value: &T) -> String {
        format!("{value:?}")
    }
    let builder = batch(failing(|_| true), [request(0)]).on_progress(|_| ());
    assert!(!check(&builder).is_empty());
    let stream = builder.run();
    assert!(check(&stream).contains("in_flight"));
    check(&stream.handle());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_has_exactly_one_result_whatever_the_order_the_groups_and_the_failures(
        requests in proptest::collection::vec((0_usize..30, any::<bool>()), 0..40),
        concurrency in 1_usize..8,
        group in proptest::option::of((1_usize..8, 0_u64..50)),
        ordered in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fails: Arc<Vec<bool>> = Arc::new(requests.iter().map(|(_, fails)| *fails).collect());
            let expected = fails.iter().filter(|fails| **fails).count();
            let count = requests.len();
            let next = Arc::new(AtomicUsize::new(0));
            let service = service_fn(move |request: Request<Body>| {
                let fails = fails[next.fetch_add(1, Relaxed)];
                async move {
                    sleep(Duration::from_millis(number(&request))).await;
                    if fails { Err("reset") } else { Ok(Response::new(Body::default())) }
                }
            });
            let requests = requests.into_iter().map(|(delay, _)| request(delay));
            let mut builder = batch(service, requests).concurrency(concurrency);
            if let Some((size, pause)) = group {
                builder = builder.groups(size, Duration::from_millis(pause));
            }
            if ordered {
                builder = builder.ordered();
            }
            let results = builder.run();
            let handle = results.handle();
            let mut results: Vec<_> = results.map(|(index, result)| (index, result.is_err())).collect().await;
            prop_assert_eq!(results.iter().filter(|(_, failed)| *failed).count(), expected);
            if !ordered {
                results.sort_unstable();
            }
            prop_assert!(results.iter().map(|(index, _)| *index).eq(0..count));
            prop_assert_eq!((handle.snapshot().ended(), handle.snapshot().in_flight), (count, 0));
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn over_the_simulator_a_batch_reads_whole_answers() {
    let simulator = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    let mut results = batch(simulator, (0..20).map(|_| chat())).collect_bodies(64 << 10).run();
    let mut answers = 0;
    while let Some((_, result)) = results.next().await {
        let body: serde_json::Value = serde_json::from_slice(result.unwrap().body()).unwrap();
        assert_eq!(body["usage"]["completion_tokens"], 5);
        answers += 1;
    }
    assert_eq!(answers, 20);
}

#[tokio::test(start_paused = true)]
async fn no_requests_are_a_batch_that_is_over() {
    let service = service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(Response::new(Body::default())) });
    for is_ordered in [false, true] {
        for is_grouped in [false, true] {
            let mut builder = batch(service, std::iter::empty());
            if is_ordered {
                builder = builder.ordered();
            }
            if is_grouped {
                builder = builder.groups(3, Duration::from_secs(1_000));
            }
            let mut results = builder.run();
            let handle = results.handle();
            assert!(results.next().await.is_none() && results.next().await.is_none());
            let progress = handle.snapshot();
            assert_eq!((progress.total, progress.ended(), progress.elapsed), (Some(0), 0, Duration::ZERO));
            assert_eq!(progress.time_left(), Some(Duration::ZERO));
        }
    }
}

/// An instance that is not ready once never is again, as tower's contract has it.
#[derive(Default)]
struct Perishable {
    is_spoilt: bool,
    refusals: Arc<AtomicUsize>,
}

impl Clone for Perishable {
    fn clone(&self) -> Self {
        Self { is_spoilt: false, refusals: Arc::clone(&self.refusals) }
    }
}

impl Service<Request<Body>> for Perishable {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_spoilt |= self.refusals.fetch_add(1, Relaxed) == 0;
        Poll::Ready(if self.is_spoilt { Err("spoilt".into()) } else { Ok(()) })
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_readiness_failed_is_not_asked_again() {
    let results: Vec<_> =
        batch(Perishable::default(), (0..4).map(request)).concurrency(1).ordered().run().collect().await;
    let failed: Vec<_> = results.iter().map(|(_, result)| result.is_err()).collect();
    assert_eq!(failed, [true, false, false, false]);
}
