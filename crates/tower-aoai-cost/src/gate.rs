//! Below those who try again.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower_aoai_core::{BoxError, CallContext, Error, Sending};
use tower_layer::Layer;
use tower_service::Service;

use crate::booking::Hold;

/// Reserves what is not reserved yet of what an attempt may cost, when it is about to be sent; below the layers that try
/// again or elsewhere.
///
/// The [`CostLayer`](crate::CostLayer) above them reserves for one attempt (or [as many as it is
/// told](crate::CostLayer::attempts)) at the model that the call names, but a call that is tried again may be billed
/// again, and one that goes elsewhere be answered by a dearer model. Here each attempt reserves what the endpoint that was
/// chosen ([`Attempt::endpoint`](tower_aoai_core::Attempt::endpoint)) and the request as it now stands may cost beyond
/// that, or is refused with nothing sent, and so an enforced budget holds however often, and wherever, a call is tried.
/// Where the price there is not known, it is that of the call. A call for which no budget is enforced passes through.
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a layer does nothing until it wraps a service"]
#[non_exhaustive]
pub struct CostGateLayer {}

/// The service of a [`CostGateLayer`].
#[derive(Debug, Clone)]
pub struct CostGate<S> {
    inner: S,
}

impl<S> Layer<S> for CostGateLayer {
    type Service = CostGate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CostGate { inner }
    }
}

impl<S, B, ResB> Service<Request<B>> for CostGate<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<ResB>;
    type Error = Error;
    type Future = GateFuture<S::Future>;

    /// Forwards the inner service's readiness.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    /// # Errors
    ///
    /// A refusal with [`Reason::BudgetSpent`](tower_aoai_core::Reason::BudgetSpent), with nothing sent; and the inner
    /// service's errors, [flattened](Error::flatten).
    ///
    /// # Cancellation
    ///
    /// What was reserved for the attempt is settled with the call, above.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let hold = request.extensions().get::<Hold>().cloned();
        let refused = hold.and_then(|hold| hold.admit(CallContext::of(&mut request)).err());
        match refused {
            Some(rejected) => Sending::refused(rejected),
            None => Sending::calling(self.inner.call(request)),
        }
    }
}

/// The future of a [`CostGate`].
pub type GateFuture<F> = Sending<F>;
