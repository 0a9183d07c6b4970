//! A provisioned deployment with a standard one behind it, under recorded or made-up traffic, in paused time.

#![allow(unreachable_pub, dead_code, reason = "each user takes what it needs")]

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use tokio::time::{Instant, sleep_until};
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt,
    layer::Layer,
    util::{BoxCloneSyncService, BoxCloneSyncServiceLayer},
};
use tower_aoai_core::{Call, CallContext, Error, Generator, LegFailure, ObserveLayer, PrepareLayer, RequestBody};
use tower_aoai_fallback::{Condition, FallbackLayer, FallbackSnapshot, Leg, Patience, TokenPrice};
use tower_aoai_retry_after::{RetryAfterLayer, RetryPolicy};
use tower_aoai_simulator::{COMPLETION_TOKENS_HEADER, Deployment, Latency, PACE_HEADER, Simulator};
use tower_aoai_token_bucket::{AzureEstimate, Order, Quota, TokenBucketLayer, WindowModel};

/// One request of a trace.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub at: Duration,
    pub input: u64,
    pub output: u64,
}

/// How calls that the provisioned deployment cannot take at once are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The standard deployment at the first 429: what Azure's own spillover does.
    FirstRefusal,
    /// The whole of it, with this patience.
    Patient(Patience),
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    pub calls: usize,
    /// Calls answered whole before their deadline.
    pub in_time: usize,
    /// Dollars for the standard deployment's tokens.
    pub spend: f64,
    /// Of what the provisioned deployment could work off in the time of the trace.
    pub utilisation: f64,
    /// Refusals of the provisioned deployment.
    pub refused: usize,
    /// Half of the calls were answered within this, and 99 of 100.
    pub median: Duration,
    pub p99: Duration,
    pub counts: FallbackSnapshot,
}

const PTU: &str = "ptu";
const STANDARD: &str = "standard";
/// Of gpt-4o: an output token weighs four of input, and costs four times as much.
const OUTPUT_RATIO: u64 = 4;
const PRICE: TokenPrice = TokenPrice::new(2_500, 10_000);
/// How much work makes 100 %.
const FULL: Duration = Duration::from_secs(5);

type Answer = Response<BoxBody<Bytes, Error>>;
type Client = BoxCloneSyncService<Request<RequestBody>, Answer, Error>;
type Stack = BoxCloneSyncServiceLayer<Client, Request<RequestBody>, Answer, Error>;

fn weighed(arrival: &Arrival) -> u64 {
    arrival.input + OUTPUT_RATIO * arrival.output
}

fn boxed<L, B>(layer: L) -> Stack
where
    L: Layer<Client> + Send + Sync + 'static,
    L::Service: Service<Request<RequestBody>, Response = Response<B>, Error = Error> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<RequestBody>>>::Future: Send,
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    BoxCloneSyncServiceLayer::new(
        ServiceBuilder::new()
            .map_response(|response: Response<B>| response.map(|body| body.map_err(Error::flatten).boxed()))
            .layer(layer),
    )
}

/// Only addresses the deployment: what an endpoint layer does.
fn addressed(deployment: &'static str) -> impl Fn(Request<RequestBody>) -> Request<RequestBody> + Clone {
    move |mut request| {
        let path = format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21");
        *request.uri_mut() = path.parse().expect("a valid path");
        request
    }
}

/// Runs a trace through two legs; the provisioned one is made so large that the trace is `load` of it.
pub async fn replay(arrivals: &[Arrival], load: f64, policy: Policy, max_tokens: u64, seed: u64) -> Report {
    let last = arrivals.last().expect("a trace").at;
    let work: u64 = arrivals.iter().map(weighed).sum();
    let rate = (work as f64 * 60.0 / last.as_secs_f64() / load) as u64;
    let simulator = Simulator::builder()
        .seed(seed)
        .journal_capacity(4 * arrivals.len())
        .deployment(Deployment::provisioned(PTU).units(1).throughput(rate, OUTPUT_RATIO).utilisation_window(FULL))
        .deployment(Deployment::unlimited(STANDARD))
        .latency(Latency::typical().network(Duration::from_millis(8), Duration::from_millis(6)))
        .build();
    let client: Client = BoxCloneSyncService::new(
        ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(BodyExt::boxed))
            .service(ServiceBuilder::new().layer(ObserveLayer::new()).service(simulator.clone())),
    );
    let quota = Quota::provisioned(rate, OUTPUT_RATIO)
        .estimate(AzureEstimate::new().output_ratio(OUTPUT_RATIO))
        .model(WindowModel::Utilisation { window: FULL })
        .order(Order::EarliestDeadline { patience: Duration::from_secs(600) });
    let retries = RetryAfterLayer::new(RetryPolicy::new()).seed(seed);
    let ptu = match policy {
        Policy::FirstRefusal => boxed(ServiceBuilder::new().map_request(addressed(PTU)).into_inner()),
        Policy::Patient(_) => boxed(
            ServiceBuilder::new()
                .layer(retries.clone())
                .layer(TokenBucketLayer::of(quota))
                .map_request(addressed(PTU))
                .into_inner(),
        ),
    };
    let standard = boxed(ServiceBuilder::new().layer(retries).map_request(addressed(STANDARD)).into_inner());
    let patience = match policy {
        Policy::FirstRefusal => Patience::AtMost(Duration::ZERO),
        Policy::Patient(patience) => patience,
    };
    let mut standard = Leg::new(STANDARD, standard).price(PRICE);
    if policy == Policy::FirstRefusal {
        // Which knocks every time, whatever it was told before.
        standard = standard.on(Condition::when(|failure| !matches!(failure.cause, LegFailure::KnownFull { .. })));
    }
    let legs = [Leg::new(PTU, ptu).provisioned().patience(patience), standard];
    let fallback = FallbackLayer::new(legs).expect("two legs");
    let handle = fallback.handle();
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(fallback).service(client);

    let start = Instant::now();
    let dice = Generator::seeded(seed);
    let mut calls = tokio::task::JoinSet::new();
    for (number, arrival) in arrivals.iter().copied().enumerate() {
        let patience = Duration::from_secs([20, 60, 120][(dice.fraction() * 3.0) as usize % 3]);
        let service = service.clone();
        calls.spawn(async move {
            let came = start + arrival.at;
            sleep_until(came).await;
            let deadline = came + patience;
            let response = service.oneshot(request(number, arrival, max_tokens, deadline)).await;
            let answered = match response {
                Ok(response) => {
                    let is_success = response.status().is_success();
                    response.into_body().collect().await.is_ok() && is_success
                }
                Err(_) => false,
            };
            let took = Instant::now() - came;
            (took, answered && took <= patience)
        });
    }
    let ended = calls.join_all().await;
    let mut report = Report {
        calls: ended.len(),
        in_time: ended.iter().filter(|(_, in_time)| *in_time).count(),
        spend: 0.0,
        utilisation: 0.0,
        refused: 0,
        median: Duration::ZERO,
        p99: Duration::ZERO,
        counts: handle.snapshot(),
    };
    let mut took: Vec<_> = ended.into_iter().map(|(took, _)| took).collect();
    took.sort_unstable();
    report.median = took[took.len() / 2];
    report.p99 = took[took.len() * 99 / 100];
    let mut worked = 0;
    simulator.with_journal(|journal| {
        for served in journal {
            let is_standard = served.deployment.as_deref() == Some(STANDARD);
            if served.refused.is_some() {
                report.refused += 1;
            } else if is_standard {
                report.spend += (served.prompt_tokens * 2_500 + served.completion_tokens * 10_000) as f64 / 1e9;
            } else {
                worked += served.prompt_tokens + OUTPUT_RATIO * served.completion_tokens;
            }
        }
    });
    report.utilisation = worked as f64 / (rate as f64 / 60.0 * last.as_secs_f64());
    report
}

fn request(number: usize, arrival: Arrival, max_tokens: u64, deadline: Instant) -> Request<Full<Bytes>> {
    let text = "x".repeat(arrival.input as usize * 4);
    let limit = max_tokens.max(arrival.output);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"max_tokens":{limit}}}"#);
    let mut context = CallContext::new(Call::default(), Instant::now());
    context.tighten_deadline(deadline);
    Request::post("/openai/deployments/logical/chat/completions?api-version=2024-10-21")
        .header(COMPLETION_TOKENS_HEADER, arrival.output)
        // A call that takes long takes long by every policy: what differs is what the policy does.
        .header(PACE_HEADER, number)
        .extension(context)
        .body(Full::from(body))
        .expect("a valid request")
}

/// Traffic that comes in bursts: so many seconds, of which every `every`th has all the calls.
pub fn bursts(seconds: u64, every: u64, calls: u64, seed: u64) -> Vec<Arrival> {
    let dice = Generator::seeded(seed);
    let mut arrivals: Vec<_> = (0..seconds)
        .step_by(every as usize)
        .flat_map(|second| (0..calls).map(move |_| second))
        .map(|second| Arrival {
            at: Duration::from_secs_f64(second as f64 + dice.fraction()),
            input: 200 + (dice.fraction() * 4_000.0) as u64,
            output: 10 + (dice.fraction() * 60.0) as u64,
        })
        .collect();
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals
}
