//! A leg to another model at another provider: one format, and nothing silent.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncServiceLayer};
use tower_aoai_core::{BoxError, CallContext, Error, PrepareLayer, RequestBody, Served};
use tower_aoai_fallback::{ErrorShapeLayer, FallbackLayer, Leg, ModelLayer};

mod support;

use support::{Plain, answer, text};

type Client = tower::util::BoxCloneSyncService<Request<RequestBody>, Response<Plain>, BoxError>;
type Boxed = http_body_util::combinators::BoxBody<Bytes, Error>;
type Stack = BoxCloneSyncServiceLayer<Client, Request<RequestBody>, Response<Boxed>, Error>;

fn stack<L, B>(layer: L) -> Stack
where
    L: Layer<Client> + Send + Sync + 'static,
    L::Service: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<RequestBody>>>::Future: Send,
    <L::Service as Service<Request<RequestBody>>>::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    BoxCloneSyncServiceLayer::new(
        ServiceBuilder::new()
            .map_err(Error::flatten)
            .map_response(|response: Response<B>| response.map(|body| body.map_err(Error::flatten).boxed()))
            .layer(layer),
    )
}

/// What the one client was sent: model and body, in order.
type Sent = Arc<Mutex<Vec<(Option<String>, Bytes)>>>;

/// The first model has no capacity, the second answers as it is told.
fn service(
    second: impl Fn() -> Response<Plain> + Clone + Send + Sync + 'static,
) -> (impl Service<Request<Plain>, Response = Response<impl Body<Data = Bytes, Error = Error>>, Error = Error>, Sent) {
    let sent = Sent::default();
    let log = Arc::clone(&sent);
    let client = service_fn(move |mut request: Request<RequestBody>| {
        let target = CallContext::of(&mut request).call().target().map(str::to_owned);
        let is_first = target.as_deref() == Some("gpt-4o");
        log.lock().push((target, request.body().to_bytes()));
        let response = if is_first { answer(503, "no capacity") } else { second() };
        async move { Ok::<_, BoxError>(response) }
    });
    let legs = [
        Leg::new("gpt-4o", stack(tower::layer::util::Identity::new())),
        Leg::new("elsewhere", stack((ErrorShapeLayer::new(), ModelLayer::new("large-3")))),
    ];
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(FallbackLayer::new(legs).expect("two legs"))
        .service(Client::new(client));
    (service, sent)
}

#[tokio::test]
async fn f5_another_model_is_asked_by_its_name_and_told_of_and_the_rest_of_the_request_is_the_same() {
    let azures = r#"{"model":"large-3-2026","choices":[{"content_filter_results":{"hate":{"filtered":false}}}]}"#;
    let (service, sent) = service(move || answer(200, azures));
    let response = service.oneshot(support::request()).await.expect("an answer");
    let served = response.extensions().get::<Served>().expect("who served").clone();
    assert_eq!((served.leg.as_deref(), served.model.as_deref()), (Some("elsewhere"), Some("large-3")));
    assert_eq!(text(response).await, azures, "fields that only Azure has stay");
    let sent = sent.lock();
    let [(first, before), (second, after)] = &sent[..] else { panic!("two sends: {sent:?}") };
    assert_eq!((first.as_deref(), second.as_deref()), (Some("gpt-4o"), Some("large-3")));
    let before = String::from_utf8_lossy(before);
    assert_eq!(String::from_utf8_lossy(after), before.replace("gpt-4o", "large-3"));
}

#[tokio::test]
async fn an_error_of_another_provider_has_the_shape_of_all_others() {
    let (service, _) = service(|| answer(422, r#"{"detail":[{"loc":["body"],"msg":"unknown field"}]}"#));
    let response = service.oneshot(support::request()).await.expect("an answer");
    assert_eq!(response.status(), 422);
    let length = response.headers()["content-length"].to_str().expect("a number").parse::<usize>();
    let error = text(response).await;
    assert_eq!(length, Ok(error.len()));
    let error: serde_json::Value = serde_json::from_str(&error).expect("JSON");
    assert_eq!(
        (error["error"]["message"].as_str(), error["error"]["type"].as_str()),
        (Some("unknown field"), Some("invalid_request_error"))
    );
}

#[tokio::test]
async fn a_long_error_passes_through_unchanged() {
    let long: &'static str = Box::leak("x".repeat(70_000).into_boxed_str());
    let (service, _) = service(move || answer(400, long));
    let response = service.oneshot(support::request()).await.expect("an answer");
    assert_eq!(text(response).await.len(), 70_000);
}

#[tokio::test]
async fn what_is_compressed_is_no_text_to_read() {
    let zipped = "\u{1f}not really, but nobody here can tell";
    let (service, _) = service(move || {
        let mut response = answer(400, zipped);
        response.headers_mut().insert("content-encoding", "gzip".parse().expect("a value"));
        response
    });
    let response = service.oneshot(support::request()).await.expect("an answer");
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(text(response).await, zipped);
}
