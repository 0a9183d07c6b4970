//! What these tests share: a mock server that answers by script, plain bodies.
#![allow(dead_code, reason = "each test file is a crate of its own and uses its part")]
#![allow(clippy::unwrap_used, reason = "only tests come here")]

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::Layer;
use tower_aoai_core::{BoxError, CallContext, Reason, Rejected, Replay, RetryBudget};
use tower_aoai_retry_after::{Backoff, RetryAfterLayer, RetryPolicy};
use tower_test::mock::{self, Mock};

pub(crate) type Plain = Full<Bytes>;
pub(crate) type Answer = Result<Response<Plain>, BoxError>;
pub(crate) type Server = Mock<Request<Plain>, Response<Plain>>;

/// A layer without a budget that always draws the same.
pub(crate) fn layer(policy: RetryPolicy) -> RetryAfterLayer {
    RetryAfterLayer::new(policy).budget(None).seed(1)
}

/// The same within a budget that has `floor` retries a minute and earns nothing.
pub(crate) fn with_floor(policy: RetryPolicy, floor: u32) -> (RetryAfterLayer, RetryBudget) {
    let budget = RetryBudget::new(0.0, floor);
    (layer(policy).budget(budget.clone()), budget)
}

/// The default policy with every wait exact, and every backoff `seconds` long.
pub(crate) fn exact(seconds: u64) -> RetryPolicy {
    RetryPolicy::new().backoff(Backoff::constant(Duration::from_secs(seconds))).no_jitter()
}

/// When the server was sent what.
#[derive(Debug, Clone)]
pub(crate) struct Sends {
    at: Arc<Mutex<Vec<Instant>>>,
    start: Instant,
}

impl Sends {
    pub(crate) fn count(&self) -> usize {
        self.at.lock().len()
    }

    /// Seconds from the start to each send, to the millisecond.
    pub(crate) fn seconds(&self) -> Vec<f64> {
        let at = self.at.lock();
        at.iter()
            .map(|at| at.saturating_duration_since(self.start))
            .map(|since| since.as_millis() as f64 / 1e3)
            .collect()
    }

    /// The waits between the sends.
    pub(crate) fn waits(&self) -> Vec<f64> {
        let seconds = self.seconds();
        seconds.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

/// The layer over a mock server that answers its `n`th request, from 0, with `answer(n)`.
pub(crate) fn served<L, F>(layer: &L, mut answer: F) -> (L::Service, Sends)
where
    L: Layer<Server>,
    F: FnMut(usize) -> Answer + Send + 'static,
{
    served_slowly(layer, Duration::ZERO, move |n, _| answer(n))
}

/// The same for a server that takes `latency` for each answer and reads the request.
pub(crate) fn served_slowly<L, F>(layer: &L, latency: Duration, mut answer: F) -> (L::Service, Sends)
where
    L: Layer<Server>,
    F: FnMut(usize, &Request<Plain>) -> Answer + Send + 'static,
{
    let sends = Sends { at: Arc::default(), start: Instant::now() };
    let record = sends.clone();
    let (mock, mut handle) = mock::pair::<Request<Plain>, Response<Plain>>();
    tokio::spawn(async move {
        while let Some((request, reply)) = handle.next_request().await {
            let n = record.count();
            record.at.lock().push(Instant::now());
            let answer = answer(n, &request);
            tokio::spawn(async move {
                if !latency.is_zero() {
                    sleep(latency).await;
                }
                match answer {
                    Ok(response) => reply.send_response(response),
                    Err(error) => reply.send_error(error),
                }
            });
        }
    });
    (layer.layer(mock), sends)
}

pub(crate) fn request() -> Request<Plain> {
    Request::post("https://one.openai.azure.com/openai/v1/chat/completions")
        .header("api-key", "none")
        .body(Full::from("{}"))
        .unwrap()
}

pub(crate) fn answer(status: u16) -> Response<Plain> {
    Response::builder().status(status).body(Full::from("the body")).unwrap()
}

pub(crate) fn answer_with(status: u16, headers: &[(&'static str, &str)]) -> Response<Plain> {
    let mut response = answer(status);
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

pub(crate) fn throttled(seconds: &str) -> Response<Plain> {
    answer_with(429, &[("retry-after", seconds)])
}

/// What a layer below says that lets the call through after `wait`.
pub(crate) fn refusal_for(wait: Duration) -> Rejected {
    refusal().until(Instant::now() + wait)
}

pub(crate) fn refusal() -> Rejected {
    Rejected::new(Reason::CircuitOpen, "breaker")
}

/// A request with that many seconds to its deadline.
pub(crate) fn due_in(seconds: u64) -> Request<Plain> {
    let mut request = request();
    CallContext::of(&mut request).tighten_deadline(Instant::now() + Duration::from_secs(seconds));
    request
}

/// A request with that many seconds to its start-by.
pub(crate) fn start_within(seconds: u64) -> Request<Plain> {
    let mut request = request();
    let at = Instant::now() + Duration::from_secs(seconds);
    CallContext::of(&mut request).set_start_by(Some(at));
    request
}

pub(crate) async fn text(response: Response<Plain>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Polls `future` at most so often and then drops it; `None` if it had not ended by then.
pub(crate) async fn polled_at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs `test` on a clock of its own that is paused.
pub(crate) fn paused<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test)
}

/// A request body that can be sent only once.
#[derive(Debug, Default)]
pub(crate) struct Once(Plain);

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

impl Replay for Once {
    fn try_clone(&self) -> Option<Self> {
        None
    }
}
