//! An axum application with the stack in its state, and layers of ours and of tower-http's composed by hand.
//!
//! What is about *callers* (who asks, how much, how long) goes around the router; what is about *Azure* goes around the
//! client, once, and not around the router, where it would count callers.
//!
//! ```sh
//! cargo run --example axum_app
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;

use std::time::Duration;

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{Request, Response, StatusCode},
    routing::{get, post},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{BoxError, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_aoai::{
    circuit_breaker::{CircuitBreakerHandle, CircuitBreakerLayer},
    core::{
        AttemptTimeoutLayer, DeadlineLayer, Error, IncludeUsageLayer, ObserveLayer, PrepareLayer, RejectedResponseLayer,
    },
    endpoint::{EndpointLayer, Token},
    retry_after::{RetryAfterHandle, RetryAfterLayer},
    token_bucket::{Quota, TokenBucketLayer},
    transport::Transport,
};
use tower_aoai_simulator::{Deployment, Scripted, Simulator, server::Server};
use tower_http::{
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

// [state]
/// Erased once, here at the edge, so that handlers need no type parameters.
type Azure = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, Error>;

#[derive(Clone)]
struct App {
    azure: Azure,
    circuit: CircuitBreakerHandle,
    retries: RetryAfterHandle,
}

fn app(base_url: &str, key: &str) -> Result<App, BoxError> {
    let retry = RetryAfterLayer::default();
    let breaker = CircuitBreakerLayer::new().name("sweden");
    let (retries, circuit) = (retry.handle(), breaker.handle());
    let azure = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(RejectedResponseLayer::new())
        .layer(PrepareLayer::new())
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        .layer(retry)
        // tower-http's: a span for each attempt.
        .layer(TraceLayer::new_for_http())
        .layer(breaker)
        .layer(TokenBucketLayer::of(Quota::standard(30_000)))
        .layer(EndpointLayer::new(base_url.parse()?).credential(Token::api_key(key)?))
        .layer(IncludeUsageLayer::new())
        .layer(ObserveLayer::new())
        .layer(AttemptTimeoutLayer::new().first_byte(Duration::from_secs(30)))
        .service(Transport::new()?);
    Ok(App { azure: BoxCloneSyncService::new(azure), circuit, retries })
}
// [end]

// [router]
fn router(app: App) -> Router {
    let callers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(90)))
        .layer(RequestBodyLimitLayer::new(64 * 1024));
    Router::new().route("/summary", post(summary)).route("/health", get(health)).layer(callers).with_state(app)
}

/// Azure's own status and words where it refused, so that callers see `retry-after`, too.
async fn summary(State(app): State<App>, text: String) -> Result<Response<Body>, StatusCode> {
    let prompt = json!([{ "role": "user", "content": format!("In one sentence: {text}") }]);
    let body = json!({ "model": "gpt-4o", "messages": prompt, "max_tokens": 60 }).to_string();
    let request = Request::post("/openai/v1/chat/completions").header("content-type", "application/json");
    let request = request.body(Full::from(body)).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    app.azure.oneshot(request).await.map_err(|error| error.status())
}

async fn health(State(app): State<App>) -> Json<Value> {
    let (circuit, retries) = (app.circuit.snapshot(), app.retries.snapshot());
    Json(json!({ "circuit": circuit.state.name(), "calls": retries.calls, "sends": retries.sends }))
}
// [end]

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let azure = Simulator::builder().api_key("key").deployment(Deployment::standard("gpt-4o")).build();
    azure.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(300))).then(Scripted::plain_text_503());
    let simulated = Server::local().await?.serve(azure.clone());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = router(app(&simulated.url(), "key")?);
    let served = tokio::spawn(axum::serve(listener, router.clone()).into_future());

    let client = Transport::new()?;
    let ask = |path: &str, body: String| {
        let request = Request::post(format!("http://{address}{path}")).body(Full::<Bytes>::from(body));
        let service = ServiceBuilder::new().layer(PrepareLayer::new()).service(client.clone());
        async move { Ok::<_, BoxError>(service.oneshot(request?).await?) }
    };
    let response = ask("/summary", "Teapots are round.".to_owned()).await?;
    println!("POST /summary: {}, x-request-id {:?}", response.status(), response.headers().get("x-request-id"));
    assert!(response.status().is_success() && response.headers().contains_key("x-request-id"));
    response.into_body().collect().await?;

    // Without a socket: over one, a server that answers before it has read a body may close on a client that still sends.
    let too_long = Request::post("/summary").body(Body::from("Teapots are round. ".repeat(10_000)))?;
    let response = router.oneshot(too_long).await?;
    println!("POST /summary of 190 kB: {}", response.status());
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);

    let request = Request::get(format!("http://{address}/health")).body(Full::<Bytes>::default())?;
    let response = ServiceBuilder::new().layer(PrepareLayer::new()).service(client).oneshot(request).await?;
    let health: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    println!("GET /health: {health}");
    assert_eq!((health["calls"].as_u64(), health["sends"].as_u64()), (Some(1), Some(3)));
    served.abort();
    simulated.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
