//! What these tests share: a leaf that keeps what reaches it, and a credential that answers by script.
#![allow(dead_code, reason = "each test file is a crate of its own and uses its part")]
#![allow(clippy::unwrap_used, reason = "only tests come here")]

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};
use tower_aoai_core::{Error, RequestBody};
use tower_aoai_endpoint::{Credential, CredentialError, EndpointLayer, Token, TokenFuture};

pub(crate) type Plain = Full<Bytes>;

/// Keeps what reaches it, and answers 200.
#[derive(Clone, Default)]
pub(crate) struct Leaf(Arc<Mutex<Vec<Request<RequestBody>>>>);

impl Leaf {
    pub(crate) fn taken(&self) -> Vec<Request<RequestBody>> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Service<Request<RequestBody>> for Leaf {
    type Response = Response<Plain>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Plain>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.0.lock().push(request);
        ready(Ok(Response::default()))
    }
}

/// What of a request reaches the leaf.
pub(crate) async fn sent(layer: &EndpointLayer, request: Request<RequestBody>) -> Result<Request<RequestBody>, Error> {
    let leaf = Leaf::default();
    layer.layer(leaf.clone()).oneshot(request).await?;
    let mut taken = leaf.taken();
    assert_eq!(taken.len(), 1, "sent once");
    Ok(taken.remove(0))
}

pub(crate) fn request(method: &str, uri: &str, body: impl Into<Bytes>) -> Request<RequestBody> {
    Request::builder().method(method).uri(uri).body(RequestBody::from(body.into())).unwrap()
}

/// A credential whose `n`th token, from 0, is made by a function, after a while.
#[derive(Clone)]
pub(crate) struct Scripted {
    asked: Arc<AtomicUsize>,
    takes: Duration,
    make: Arc<dyn Fn(usize) -> Result<Token, CredentialError> + Send + Sync>,
}

impl Scripted {
    pub(crate) fn new(
        takes: Duration,
        make: impl Fn(usize) -> Result<Token, CredentialError> + Send + Sync + 'static,
    ) -> Self {
        Self { asked: Arc::default(), takes, make: Arc::new(make) }
    }

    /// Tokens `t0`, `t1`, … that live for so long.
    pub(crate) fn living(lifetime: Duration, takes: Duration) -> Self {
        Self::new(takes, move |n| Ok(token(n).expires_at(Instant::now() + lifetime)))
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

pub(crate) fn token(n: usize) -> Token {
    Token::bearer(&format!("t{n}")).unwrap()
}

impl Credential for Scripted {
    fn token(&self) -> TokenFuture {
        let Self { asked, takes, make } = self.clone();
        Box::pin(async move {
            let n = asked.fetch_add(1, SeqCst);
            if !takes.is_zero() {
                sleep(takes).await;
            }
            make(n)
        })
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

/// What the request's `authorization` says.
pub(crate) fn authorization(request: &Request<RequestBody>) -> Option<&str> {
    request.headers().get("authorization").map(|value| value.to_str().unwrap())
}
