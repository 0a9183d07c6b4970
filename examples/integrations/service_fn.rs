//! Any async function as the transport: `tower::service_fn`.
//!
//! Whatever can send a request, or only look as if it did, may stand at the bottom: a client of one's own, a record of
//! earlier answers, a fault for a test.
//!
//! ```sh
//! cargo run --example service_fn
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../chat.rs"]
mod chat;

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai::{
    core::{ObserveLayer, PrepareLayer, RequestBody},
    retry_after::RetryAfterLayer,
};

use crate::chat::chat;

static SENT: AtomicU32 = AtomicU32::new(0);

// [function]
async fn send(request: Request<RequestBody>) -> io::Result<Response<Full<Bytes>>> {
    let asked = request.into_body().to_bytes();
    match SENT.fetch_add(1, Ordering::Relaxed) {
        0 => Err(io::ErrorKind::ConnectionReset.into()),
        1 => {
            let mut refusal = Response::new(Full::default());
            *refusal.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
            refusal.headers_mut().insert("retry-after-ms", http::HeaderValue::from_static("1500"));
            Ok(refusal)
        }
        _ => Ok(Response::new(Full::from(asked))),
    }
}
// [end]

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    // [service-fn]
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(RetryAfterLayer::default())
        .layer(ObserveLayer::new())
        .service(service_fn(send));
    // [end]

    let start = Instant::now();
    let response = service.oneshot(chat("Hello")).await?;
    let waited = (Instant::now() - start).as_secs_f64();
    println!("{}: sent {} times, {waited:.1} s of waiting", response.status(), SENT.load(Ordering::Relaxed));
    assert!(response.status().is_success() && waited >= 1.5);
    assert_eq!(SENT.load(Ordering::Relaxed), 3);
    let answer = response.into_body().collect().await?.to_bytes();
    println!("what was sent comes back: {}", String::from_utf8_lossy(&answer));
    Ok(())
}
