//! Legs over mock servers.

#![allow(unreachable_pub, dead_code, reason = "each user takes what it needs")]

use std::{future::Future, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio_test::task::Spawn;
use tower::{
    layer::{Layer, layer_fn},
    util::BoxCloneSyncServiceLayer,
};
use tower_aoai_core::{BoxError, CallContext, FailedLeg};
use tower_aoai_fallback::{Fallback, FallbackHandle, FallbackLayer, Leg};
use tower_test::mock::{self, Handle, Mock};

pub type Plain = Full<Bytes>;
pub type Server = Mock<Request<Plain>, Response<Plain>>;
pub type Requests = Handle<Request<Plain>, Response<Plain>>;
/// A layer that puts its own server in the client's place.
pub type Place = BoxCloneSyncServiceLayer<(), Request<Plain>, Response<Plain>, BoxError>;

/// A leg that is nothing but a mock server.
pub fn leg(name: &str) -> (Leg<Place>, Requests) {
    let (server, requests) = mock::pair();
    (Leg::new(name, place(server)), requests)
}

pub fn place(server: Server) -> Place {
    BoxCloneSyncServiceLayer::new(layer_fn(move |()| server.clone()))
}

pub type Service = Fallback<<Place as Layer<()>>::Service>;

pub fn fallback(legs: impl IntoIterator<Item = Leg<Place>>) -> (Service, FallbackHandle) {
    let layer = FallbackLayer::new(legs).expect("valid legs");
    (layer.layer(()), layer.handle())
}

pub fn request() -> Request<Plain> {
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Say it."}],"max_tokens":20}"#;
    Request::post("http://localhost/openai/v1/chat/completions").body(Full::from(body)).expect("a valid request")
}

/// A request, and its context to look at afterwards.
pub fn watched() -> (Request<Plain>, CallContext) {
    let mut request = request();
    let context = CallContext::of(&mut request).clone();
    (request, context)
}

pub fn answer(status: u16, body: &'static str) -> Response<Plain> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

pub fn throttled(millis: u64) -> Response<Plain> {
    let mut response = answer(429, r#"{"error":{"code":"429","message":"Rate limit is exceeded."}}"#);
    response.headers_mut().insert("retry-after-ms", millis.into());
    response
}

/// Lets the call go on, and takes the request that comes to a server.
pub async fn next<F: Future>(
    call: &mut Spawn<F>,
    server: &mut Requests,
) -> (Request<Plain>, mock::SendResponse<Response<Plain>>) {
    assert!(call.poll().is_pending(), "the call is not over");
    tokio::time::timeout(Duration::ZERO, server.next_request()).await.expect("a request").expect("a server")
}

/// Whether a server was left alone.
pub fn is_idle(server: &mut Requests) -> bool {
    !matches!(tokio_test::task::spawn(server.next_request()).poll(), Poll::Ready(Some(_)))
}

pub async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

pub fn failed(context: &CallContext) -> Vec<String> {
    context.served().failed_legs.iter().map(FailedLeg::to_string).collect()
}

pub fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("not ready"),
    }
}
