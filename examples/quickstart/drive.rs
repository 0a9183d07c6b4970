//! Sending the traffic and noting what became of it.

use std::{
    collections::BTreeMap,
    future::{Future, ready},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{Service, ServiceExt};
use tower_aoai::{
    core::{BoxError, Error, Reason},
    retry_after::RetryReason,
    telemetry::{CallRecord, Recorder},
};
use tower_aoai_simulator::{COMPLETION_TOKENS_HEADER, Simulator};

use crate::{
    scenario::{DEPLOYMENT, Scenario},
    stack::{patient, stack},
    traffic::Ask,
};

/// What became of the calls of one run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: usize,
    /// From arrival to last byte, of the calls that were answered.
    pub(crate) times: Vec<Duration>,
    /// By status, or by the kind of error.
    pub(crate) failed: BTreeMap<String, usize>,
    /// Of the failed ones, those that no client could have saved.
    pub(crate) unavoidable: usize,
    pub(crate) attempts: usize,
    pub(crate) waited: Duration,
    /// How many retries obeyed which hint, in words.
    pub(crate) retries: BTreeMap<String, usize>,
}

/// Every call is sent once, at once.
pub(crate) fn bare(scenario: &Scenario) -> Tally {
    simulated(|| async {
        let simulator = scenario.simulator();
        let tally = drive("bare", scenario, simulator.clone()).await;
        with_attempts(tally, &simulator)
    })
}

/// How long all calls together waited in the stack.
#[derive(Debug, Default)]
struct Waited(Mutex<Duration>);

impl Waited {
    fn get(&self) -> Duration {
        *self.0.lock()
    }
}

impl Recorder for Waited {
    fn call(&self, record: &CallRecord) {
        *self.0.lock() += record.waited;
    }
}

/// Every call goes through the whole preset.
pub(crate) fn preset(scenario: &Scenario) -> Tally {
    simulated(|| async {
        let simulator = scenario.simulator();
        let retries = Arc::new(Mutex::new(Vec::new()));
        let waited = Arc::new(Waited::default());
        let service = crate::preset::preset(scenario, simulator.clone(), Arc::clone(&retries), waited.clone());
        let mut tally = with_attempts(drive("preset", scenario, service).await, &simulator);
        for event in &*retries.lock() {
            *tally.retries.entry(label(event.reason)).or_default() += 1;
        }
        tally.waited = waited.get();
        tally
    })
}

/// Every call goes through retries, and nothing else.
pub(crate) fn retried(scenario: &Scenario) -> Tally {
    simulated(|| async {
        let simulator = scenario.simulator();
        let retries = Arc::new(Mutex::new(Vec::new()));
        let events = Arc::clone(&retries);
        let retry = patient().on_retry(move |event| {
            events.lock().push(event);
            ready(())
        });
        let service = stack(simulator.clone(), retry);
        let mut tally = with_attempts(drive("retried", scenario, service).await, &simulator);
        for event in &*retries.lock() {
            *tally.retries.entry(label(event.reason)).or_default() += 1;
            tally.waited += event.delay;
        }
        tally
    })
}

/// On one thread whose clock jumps to whatever comes next.
fn simulated<F: Future<Output = Tally>>(run: impl FnOnce() -> F) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O").block_on(async { run().await })
}

fn with_attempts(tally: Tally, simulator: &Simulator) -> Tally {
    Tally { attempts: simulator.journal().len() + usize::try_from(simulator.forgotten()).unwrap_or(0), ..tally }
}

async fn drive<S, B>(name: &'static str, scenario: &Scenario, service: S) -> Tally
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    let asks = scenario.traffic();
    let progress = progress(name, asks.len());
    let tally = Arc::new(Mutex::new(Tally { calls: asks.len(), ..Tally::default() }));
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for ask in asks {
        let (service, tally, progress) = (service.clone(), Arc::clone(&tally), progress.clone());
        calls.spawn(async move {
            sleep_until(start + ask.at).await;
            let outcome = answer(service, &ask).await;
            let mut tally = tally.lock();
            match outcome {
                Ok(()) => tally.times.push(Instant::now().saturating_duration_since(start + ask.at)),
                Err(failure) => {
                    tally.unavoidable += usize::from(failure.is_unavoidable);
                    *tally.failed.entry(failure.kind).or_default() += 1;
                }
            }
            progress.inc(1);
        });
    }
    while calls.join_next().await.is_some() {}
    progress.finish_and_clear();
    let mut tally = std::mem::take(&mut *tally.lock());
    tally.times.sort_unstable();
    tally
}

const TOO_LARGE: &str = "429, larger than the quota";

struct Failure {
    kind: String,
    is_unavoidable: bool,
}

async fn answer<S, B>(service: S, ask: &Ask) -> Result<(), Failure>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
{
    let failure = |kind: &str| Failure { kind: kind.to_owned(), is_unavoidable: false };
    let response = service.oneshot(request(ask)).await.map_err(|error| match Error::flatten(error).rejected() {
        Some(refused) if refused.reason() == Reason::TooLarge => {
            Failure { kind: TOO_LARGE.to_owned(), is_unavoidable: true }
        }
        Some(refused) => failure(refused.reason().code()),
        None => failure("no connection"),
    })?;
    let status = response.status();
    // A day is Azure's way of saying: never, for a request of this size. A 400 is the caller's own mistake.
    let is_never = response.headers().get("retry-after").is_some_and(|value| value == "86400");
    let is_unavoidable = is_never || status == StatusCode::BAD_REQUEST;
    let kind = if is_never { TOO_LARGE.to_owned() } else { status.to_string() };
    let body = response.into_body().collect().await;
    if !status.is_success() {
        return Err(Failure { kind, is_unavoidable });
    }
    body.map(|_| ()).map_err(|_| failure("broken off"))
}

fn request(ask: &Ask) -> Request<Full<Bytes>> {
    // Four characters a token, as English has it.
    let prompt = "Why? ".chars().cycle().take(usize::try_from(ask.prompt_tokens).unwrap_or(1) * 4).collect::<String>();
    let body = serde_json::json!({
        "messages": [{ "role": "user", "content": prompt }],
        "max_tokens": ask.max_tokens,
        "n": ask.choices,
        "stream": ask.stream,
    });
    Request::post(format!(
        "https://simulated.openai.azure.com/openai/deployments/{DEPLOYMENT}/chat/completions?api-version=2024-10-21"
    ))
    .header("content-type", "application/json")
    .header("api-key", "none needed")
    .header(COMPLETION_TOKENS_HEADER, ask.answer_tokens)
    .body(Full::from(body.to_string()))
    .expect("a valid request")
}

fn label(reason: RetryReason) -> String {
    match reason {
        RetryReason::Hint(source) => format!("retries that obeyed {}", source.name()),
        RetryReason::Backoff => "retries without a hint (backoff)".to_owned(),
        other => format!("retries: {other:?}"),
    }
}

/// Drawn on a terminal only.
fn progress(name: &'static str, calls: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>8} [{bar:40}] {pos}/{len} calls");
    let bar = ProgressBar::new(calls as u64).with_prefix(name);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_saves_every_call_that_can_be_saved() {
        let scenario = Scenario::new(1, 0.9, 1);
        let (bare, stacked, whole) = (bare(&scenario), retried(&scenario), preset(&scenario));
        assert!(bare.failed.len() > 1, "{:?}", bare.failed);
        assert_eq!(stacked.failed.values().sum::<usize>(), stacked.unavoidable, "{:?}", stacked.failed);
        assert_eq!(stacked.times.len() + stacked.unavoidable, stacked.calls);
        assert_eq!(stacked.attempts, stacked.calls + stacked.retries.values().sum::<usize>());
        assert_eq!(whole.failed.values().sum::<usize>(), whole.unavoidable, "{:?}", whole.failed);
        assert_eq!(whole.times.len() + whole.unavoidable, whole.calls);
        assert!(whole.attempts < stacked.attempts);
    }
}
