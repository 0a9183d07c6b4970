//! What these tests share: gates that do as they are told, and endpoints that answer by script.

#![allow(unreachable_pub, dead_code, reason = "each test takes what it needs")]

use std::{
    future::{Future, Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_test::task;
use tower::{Layer, Service};
use tower_aoai_balance::{BalanceHandle, BalanceSnapshot};
use tower_aoai_core::{Admission, Asked, Availability, CallContext, Error, Load, Rejected};

pub type Plain = Full<Bytes>;

/// A gate that answers what it is told, and refuses what it is told to.
#[derive(Debug, Clone)]
pub struct Gate(Arc<State>);

#[derive(Debug)]
struct State {
    admission: Mutex<Admission>,
    /// What it says to who comes all the same.
    refusal: Mutex<Option<Rejected>>,
    load: Mutex<Load>,
    asked: AtomicUsize,
}

impl Gate {
    pub fn new(admission: Admission) -> Self {
        let (admission, refusal) = (Mutex::new(admission), Mutex::default());
        Self(Arc::new(State { admission, refusal, load: Mutex::default(), asked: AtomicUsize::default() }))
    }

    pub fn open() -> Self {
        Self::new(Admission::At(Instant::now()))
    }

    pub fn shut(until: Option<Instant>) -> Self {
        Self::new(Admission::Shut(until))
    }

    pub fn set(&self, admission: Admission) {
        *self.0.admission.lock() = admission;
    }

    pub fn set_load(&self, load: Load) {
        *self.0.load.lock() = load;
    }

    pub fn refuse(&self, refusal: impl Into<Option<Rejected>>) {
        *self.0.refusal.lock() = refusal.into();
    }

    /// A gate that promises to let calls in, and does not.
    pub fn liar(refusal: Rejected) -> Self {
        let gate = Self::open();
        gate.refuse(refusal);
        gate
    }

    pub fn asked(&self) -> usize {
        self.0.asked.load(SeqCst)
    }
}

impl Availability for State {
    fn admission(&self, _: &CallContext, from: Instant) -> Admission {
        self.asked.fetch_add(1, SeqCst);
        match *self.admission.lock() {
            Admission::At(at) => Admission::At(at.max(from)),
            shut @ Admission::Shut(_) => shut,
        }
    }

    fn load(&self) -> Load {
        *self.load.lock()
    }
}

impl Asked for Gate {
    fn availability(&self) -> Arc<dyn Availability> {
        let state: Arc<State> = Arc::clone(&self.0);
        state
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

#[derive(Debug, Clone)]
pub struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl<S, B> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>, Error = Error>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Either<Ready<Result<S::Response, Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match &*self.gate.0.refusal.lock() {
            Some(refusal) => Either::Left(ready(Err(refusal.clone().into()))),
            None => Either::Right(self.inner.call(request)),
        }
    }
}

/// Adds a member's name to its requests, so that one leaf can play every endpoint.
#[derive(Debug, Clone)]
pub struct NameLayer(pub &'static str);

#[derive(Debug, Clone)]
pub struct Named<S>(S, &'static str);

impl<S> Layer<S> for NameLayer {
    type Service = Named<S>;

    fn layer(&self, inner: S) -> Named<S> {
        Named(inner, self.0)
    }
}

impl<S, B> Service<Request<B>> for Named<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(Name(self.1));
        self.0.call(request)
    }
}

#[derive(Debug, Clone, Copy)]
struct Name(&'static str);

pub fn name_of<B>(request: &Request<B>) -> &'static str {
    request.extensions().get::<Name>().expect("a named member").0
}

/// What was sent where, in order.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    pub fn add(&self, name: &'static str) {
        self.0.lock().push(name);
    }

    pub fn all(&self) -> Vec<&'static str> {
        self.0.lock().clone()
    }

    pub fn count(&self, name: &str) -> usize {
        self.0.lock().iter().filter(|sent| **sent == name).count()
    }

    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Answers at once as `status` says for the member that was chosen.
pub fn answering<F>(
    log: &Log,
    status: F,
) -> impl Service<
    Request<Plain>,
    Response = Response<Plain>,
    Error = Error,
    Future = impl Future<Output = Result<Response<Plain>, Error>> + Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static
where
    F: Fn(&'static str) -> Response<Plain> + Clone + Send + Sync + 'static,
{
    let log = log.clone();
    tower::service_fn(move |request: Request<Plain>| {
        let name = name_of(&request);
        log.add(name);
        ready(Ok::<_, Error>(status(name)))
    })
}

pub fn answer(status: u16) -> Response<Plain> {
    Response::builder().status(status).body(Full::from("an answer")).expect("a valid response")
}

pub fn answer_with(status: u16, header: &'static str, value: &str) -> Response<Plain> {
    let mut response = answer(status);
    response.headers_mut().insert(header, value.parse().expect("a valid header"));
    response
}

pub fn chat() -> Request<Plain> {
    Request::post("https://one.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::from(r#"{"messages":[{"role":"user","content":"Say it."}],"max_tokens":20}"#))
        .expect("a valid request")
}

/// A call whose retries somebody owns.
pub fn retried(mut request: Request<Plain>) -> Request<Plain> {
    CallContext::of(&mut request).set_retries_owned(true);
    request
}

pub fn start_within(wait: Duration) -> Request<Plain> {
    let mut request = chat();
    let at = Instant::now() + wait;
    CallContext::of(&mut request).set_start_by(Some(at));
    request
}

pub fn assert_nothing_is_held<L>(handle: &BalanceHandle<L>, when: &str) {
    let BalanceSnapshot { members, .. } = handle.snapshot();
    for member in members {
        assert_eq!(member.in_flight, 0, "{} {when}", member.name);
    }
}

/// Polls so many times, letting time pass in between; `None` if it is not over then.
pub async fn poll_times<F: Future>(future: F, polls: usize, between: Duration) -> Option<F::Output> {
    let mut call = task::spawn(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = call.poll() {
            return Some(output);
        }
        tokio::time::advance(between).await;
    }
    None
}

/// The same request once more, as its caller would send it.
pub fn again(request: &Request<Plain>) -> Request<Plain> {
    let mut again = Request::new(request.body().clone());
    again.uri_mut().clone_from(request.uri());
    again
}
