use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
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
}

impl TransportFuture {
    pub(super) const fn new(inner: attempt_timeout::ResponseFuture<legacy::ResponseFuture>) -> Self {
        Self { inner }
    }
}

impl Future for TransportFuture {
    type Output = Result<Response<TransportBody>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_ok(|response| response.map(TransportBody::new))
    }
}

impl fmt::Debug for TransportFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportFuture").finish_non_exhaustive()
    }
}
