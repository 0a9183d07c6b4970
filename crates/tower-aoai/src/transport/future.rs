use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Response, uri::Authority};
use hyper_util::client::legacy;
use pin_project::pin_project;
use tower_aoai_core::{Error, attempt_timeout};

use super::TransportBody;

/// The future of a [`Transport`](super::Transport).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct TransportFuture {
    #[pin]
    inner: attempt_timeout::ResponseFuture<legacy::ResponseFuture>,
    host: Option<Authority>,
}

impl TransportFuture {
    pub(super) const fn new(
        inner: attempt_timeout::ResponseFuture<legacy::ResponseFuture>,
        host: Option<Authority>,
    ) -> Self {
        Self { inner, host }
    }
}

/// An error and what brought it about, which hyper's does not say by itself.
struct WithCauses<'e>(&'e (dyn StdError + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Future for TransportFuture {
    type Output = Result<Response<TransportBody>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        if let Poll::Ready(Err(Error::Transport(error))) = &polled {
            let (host, error) = (this.host.as_ref().map(Authority::host), WithCauses(&**error));
            tracing::info!(target: "tower_aoai::transport", host, %error, "no answer from the endpoint");
        }
        polled.map_ok(|response| response.map(TransportBody::new))
    }
}

impl fmt::Debug for TransportFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportFuture").finish_non_exhaustive()
    }
}
