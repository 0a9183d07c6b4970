//! Calls, and what a recorder was told of them.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tower::{Service, ServiceExt};
use tower_aoai::{
    core::{BoxError, Error, Operation},
    telemetry::{AttemptRecord, CallRecord, Recorder},
};
use tower_aoai_simulator::{Deployment, Latency, Simulator};

pub(crate) type Plain = Full<Bytes>;

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    calls: Mutex<Vec<CallRecord>>,
    attempts: Mutex<Vec<AttemptRecord>>,
    calls_begun: AtomicUsize,
    attempts_begun: AtomicUsize,
}

impl Recorder for Kept {
    fn call_began(&self, _: Operation) {
        self.calls_begun.fetch_add(1, Relaxed);
    }

    fn call(&self, record: &CallRecord) {
        self.calls.lock().push(record.clone());
    }

    fn attempt_began(&self, endpoint: &Arc<str>) {
        assert!(!endpoint.is_empty());
        self.attempts_begun.fetch_add(1, Relaxed);
    }

    fn attempt(&self, record: &AttemptRecord) {
        self.attempts.lock().push(record.clone());
    }
}

impl Kept {
    pub(crate) fn calls(&self) -> Vec<CallRecord> {
        self.calls.lock().clone()
    }

    pub(crate) fn attempts(&self) -> Vec<AttemptRecord> {
        self.attempts.lock().clone()
    }

    /// The one call there was.
    pub(crate) fn call(&self) -> CallRecord {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls[0].clone()
    }

    /// So many calls and attempts were begun; each was told of once, if it is over.
    pub(crate) fn begun_and_told(&self) -> [(usize, usize); 2] {
        let (calls, attempts) = (self.calls.lock().len(), self.attempts.lock().len());
        [(self.calls_begun.load(Relaxed), calls), (self.attempts_begun.load(Relaxed), attempts)]
    }

    /// Nothing is under way any more.
    pub(crate) fn assert_all_told(&self, calls: usize, when: &str) {
        let [of_calls, (begun, told)] = self.begun_and_told();
        assert_eq!(of_calls, (calls, calls), "{when}");
        assert_eq!(begun, told, "{when}");
    }
}

pub(crate) fn simulator() -> Simulator {
    let deployment = Deployment::standard("gpt-4o").model("gpt-4o-2024-11-20");
    Simulator::builder()
        .deployment(deployment.tokens_per_minute(100_000_000).requests_per_minute(1_000_000))
        .latency(Latency::typical())
        .build()
}

pub(crate) fn chat(stream: bool) -> Request<Plain> {
    chat_with("Say it.", stream)
}

pub(crate) fn chat_with(prompt: &str, stream: bool) -> Request<Plain> {
    let options = if stream { r#","stream":true"# } else { "" };
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":20,"n":2{options}}}"#);
    Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::from(body))
        .expect("a valid request")
}

/// Calls, reads the answer to its end, and says what became of it: the status, or the error.
pub(crate) async fn call<S, B>(service: &S, request: Request<Plain>) -> Result<StatusCode, Error>
where
    S: Service<Request<Plain>, Response = Response<B>, Error = Error> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let response = service.clone().oneshot(request).await?;
    let status = response.status();
    response.into_body().collect().await.map_err(Error::flatten)?;
    Ok(status)
}
