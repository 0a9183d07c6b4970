//! Calls and answers, and what a circuit made of them.

#![allow(unreachable_pub, dead_code, reason = "each test takes what it needs")]

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt, service_fn};
use tower_aoai_circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer, CircuitPolicy, CircuitState};
use tower_aoai_core::{BoxError, Error};
use tower_aoai_simulator::{Deployment, Latency, Simulator};

pub type Plain = Full<Bytes>;

pub const BREAK: Duration = Duration::from_secs(5);

/// Opens for failures in a row, without jitter.
pub fn exact() -> CircuitPolicy {
    CircuitPolicy::new().jitter(0.0)
}

pub fn layer(policy: CircuitPolicy) -> CircuitBreakerLayer {
    CircuitBreakerLayer::of(policy).expect("a valid policy")
}

pub fn chat(stream: bool) -> Request<Plain> {
    let options = if stream { r#","stream":true"# } else { "" };
    let body = format!(r#"{{"messages":[{{"role":"user","content":"Say it."}}],"max_tokens":20{options}}}"#);
    Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
        .body(Full::from(body))
        .expect("a valid request")
}

pub fn simulator() -> Simulator {
    Simulator::builder()
        .deployment(Deployment::standard("gpt-4o").tokens_per_minute(100_000_000).requests_per_minute(1_000_000))
        .latency(Latency::typical())
        .build()
}

pub fn status(status: u16) -> Response<Plain> {
    let mut response = Response::new(Plain::default());
    *response.status_mut() = StatusCode::from_u16(status).expect("a valid status");
    response
}

/// A server that answers everything with this status.
pub fn answers<B>(
    code: u16,
) -> impl Service<Request<B>, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone {
    service_fn(move |_: Request<B>| async move { Ok(status(code)) })
}

/// Calls, reads the answer to its end, and says what became of it: the status, or the error.
pub async fn call<S, B>(service: &S, request: Request<Plain>) -> Result<StatusCode, Error>
where
    S: Service<Request<Plain>, Response = Response<B>, Error = Error> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let response = service.clone().oneshot(request).await?;
    let status = response.status();
    response.into_body().collect().await.map_err(Error::flatten)?;
    Ok(status)
}

pub fn state(handle: &CircuitBreakerHandle) -> &'static str {
    handle.snapshot().state.name()
}

pub fn assert_nothing_is_held(handle: &CircuitBreakerHandle, when: &str) {
    let now = handle.snapshot();
    assert_eq!((now.in_flight, now.probes_under_way), (0, 0), "{when}");
}

/// Opens the circuit of this service by failures of the service below, and waits until it takes probes.
pub async fn half_open<S, B>(handle: &CircuitBreakerHandle, service: &S)
where
    S: Service<Request<Plain>, Response = Response<B>, Error = Error> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    for _ in 0..5 {
        let _ = call(service, chat(false)).await;
    }
    let CircuitState::Open { until: Some(until) } = handle.snapshot().state else { panic!("not open: {handle:?}") };
    tokio::time::sleep_until(until).await;
}
