use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_aoai_core::{BoxError, CallContext, Error, GuardedFuture, Sending};
use tower_service::Service;

use crate::{Permit, ResponseBody, ResponseFuture, circuit::Circuit};

/// The service of a [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
#[derive(Debug)]
pub struct CircuitBreaker<S> {
    inner: S,
    circuit: Arc<Circuit>,
    /// This instance said that it is ready, to refuse, while the inner service is not.
    is_inner_busy: bool,
}

impl<S> CircuitBreaker<S> {
    pub(crate) const fn new(inner: S, circuit: Arc<Circuit>) -> Self {
        Self { inner, circuit, is_inner_busy: false }
    }
}

impl<S: Clone> Clone for CircuitBreaker<S> {
    /// Readiness stays with the instance that got it.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.circuit))
    }
}

impl<S, B, ResB> Service<Request<B>> for CircuitBreaker<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    /// Forwards the inner service's readiness; but a circuit that refuses is ready to do so, whatever the inner service
    /// is busy with. Who waits for the inner service already when the circuit opens goes on waiting. Nothing is reserved
    /// here.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let polled = self.inner.poll_ready(cx).map_err(Error::flatten);
        self.is_inner_busy =
            polled.is_pending() && !self.circuit.state.is_off() && self.circuit.state.is_shut(Instant::now);
        if self.is_inner_busy { Poll::Ready(Ok(())) } else { polled }
    }

    /// Asks the circuit at once, not when the future is first polled.
    ///
    /// # Errors
    ///
    /// [`Reason::CircuitOpen`](tower_aoai_core::Reason::CircuitOpen) while the circuit is open, or half-open with as many
    /// probes under way as are allowed; [`Reason::QuotaSpent`](tower_aoai_core::Reason::QuotaSpent) while the server has
    /// asked to wait. Nothing was sent then, no attempt began, and the instant is known from which on it is worth to ask
    /// again, unless the circuit was opened by hand without an end. Of a probe under way as much time again is expected
    /// as it has taken so far, at least 100 ms, and never more than its lease leaves. And the inner service's errors,
    /// [flattened](Error::flatten).
    ///
    /// # Cancellation
    ///
    /// Dropping the future, or the body, counts for nothing and gives a probe's place back.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.circuit.state.is_off() {
            return Sending::calling(GuardedFuture::new(self.inner.call(request), None));
        }
        if std::mem::take(&mut self.is_inner_busy) {
            return Sending::refused(self.circuit.refuse_busy(Instant::now()));
        }
        let (stamp, read) = match self.circuit.admit() {
            Ok(admitted) => admitted,
            Err(rejected) => return Sending::refused(rejected),
        };
        let permit = CallContext::with(&mut request, |context| {
            if let Some(now) = read {
                context.set_now(now.max(context.now()));
            }
            Permit::new(&self.circuit, context, stamp)
        });
        Sending::calling(GuardedFuture::new(self.inner.call(request), Some(permit)))
    }
}
