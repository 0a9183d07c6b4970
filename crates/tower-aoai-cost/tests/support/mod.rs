//! What the tests of this crate share.
#![allow(dead_code, reason = "each test uses its own part of it")]

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, service_fn};
use tower_aoai_core::{Error, ObserveLayer, PrepareLayer, RequestBody};
use tower_aoai_cost::{Column, CostLayer, Money, Query, Spend};

pub(crate) type Plain = Full<Bytes>;

/// 2026-11-19 22:00:00 UTC.
pub(crate) const EVENING: u64 = 1_795_125_600;

/// A layer whose calendar goes with tokio's clock, from that evening on.
pub(crate) fn layer() -> CostLayer {
    let (then, start) = (UNIX_EPOCH + Duration::from_secs(EVENING), Instant::now());
    CostLayer::new().wall_clock(move || then + (Instant::now() - start))
}

pub(crate) fn chat(deployment: &str, body: &str) -> Request<Plain> {
    let path = format!("/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21");
    Request::post(path).body(Full::from(body.to_owned())).expect("a valid request")
}

/// A prompt of some hundred bytes that asks for at most ten tokens.
pub(crate) fn small(deployment: &str) -> Request<Plain> {
    let text = "x".repeat(70);
    chat(deployment, &format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"max_tokens":10}}"#))
}

pub(crate) fn answer(status: u16, body: &str) -> Response<Plain> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::from(body.to_owned())).expect("a valid response")
}

pub(crate) const USED: &str = r#"{"model":"gpt-4o-2024-08-06","usage":{"prompt_tokens":100,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":40}}}"#;
/// What that costs.
pub(crate) const COST: Money = Money::nano_dollars(60 * 2_500 + 40 * 1_250 + 10 * 10_000);

pub(crate) async fn read<B>(response: Response<B>) -> Bytes
where
    B: http_body::Body<Data = Bytes, Error = Error>,
{
    response.into_body().collect().await.expect("a whole body").to_bytes()
}

pub(crate) fn attempts_and_cost(column: Column) -> (u64, Money) {
    (column.attempts, column.cost)
}

/// A stack whose transport always answers like this.
pub(crate) fn serving(
    layer: &CostLayer,
    status: u16,
    body: &'static str,
) -> impl Service<Request<Plain>, Response = Response<impl http_body::Body<Data = Bytes, Error = Error>>, Error = Error>
+ Clone {
    ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .layer(ObserveLayer::new())
        .service(service_fn(move |_: Request<RequestBody>| async move { Ok::<_, Error>(answer(status, body)) }))
}

pub(crate) fn total(layer: &CostLayer) -> Spend {
    layer.handle().sum(&Query::total())
}
