//! Turns the usage of Azure OpenAI calls into money, by tag.
//!
//! **As yet this crate only passes calls through** and counts them: its types, bounds and place in a stack are what
//! they will be; prices, ledger and budgets are not there.
//!
//! [`CostLayer`] stands above every layer that may send a call more than once: when the call ends it sees all of its
//! [attempts](tower_aoai_core::CallContext::attempts), each of which may have been billed.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use parking_lot::Mutex;
use tower_aoai_core::{BoxError, CallContext, Error, Guard, GuardedBody, GuardedFuture};
use tower_layer::Layer;
use tower_service::Service;

/// Counts calls as yet; see the [crate's page](crate).
#[derive(Debug, Clone, Default)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CostLayer {
    handle: CostHandle,
    is_off: bool,
}

/// Shows what all services of one layer have booked.
#[derive(Debug, Clone, Default)]
pub struct CostHandle {
    counts: Arc<Mutex<CostCounts>>,
}

/// What was booked since the layer was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CostCounts {
    /// Calls under way.
    pub open: u64,
    /// Calls that have ended, whatever came of them.
    pub ended: u64,
    /// Attempts that those calls sent.
    pub attempts: u64,
}

/// The service of a [`CostLayer`].
#[derive(Debug, Clone)]
pub struct Cost<S> {
    inner: S,
    handle: CostHandle,
    is_off: bool,
}

/// Books a call when it is dropped.
#[derive(Debug)]
pub struct Booking {
    handle: CostHandle,
    context: CallContext,
}

/// The future of a [`Cost`].
pub type ResponseFuture<F> = GuardedFuture<F, Booking>;
/// The response body of a [`Cost`].
pub type ResponseBody<B> = GuardedBody<B, Booking>;

impl CostLayer {
    /// A layer with an empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Books nothing: for a stack whose type must not change.
    pub fn off() -> Self {
        Self { is_off: true, ..Self::default() }
    }

    /// Shows what the layer has booked.
    #[must_use]
    pub fn handle(&self) -> CostHandle {
        self.handle.clone()
    }
}

impl CostHandle {
    /// The counts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> CostCounts {
        *self.counts.lock()
    }
}

impl<S> Layer<S> for CostLayer {
    type Service = Cost<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Cost { inner, handle: self.handle.clone(), is_off: self.is_off }
    }
}

impl<S, B, ResB> Service<Request<B>> for Cost<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    /// Forwards the inner service's readiness.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let booking = (!self.is_off).then(|| Booking::open(&self.handle, CallContext::of(&mut request)));
        GuardedFuture::new(self.inner.call(request), booking)
    }
}

impl Booking {
    fn open(handle: &CostHandle, context: &CallContext) -> Self {
        handle.counts.lock().open += 1;
        Self { handle: handle.clone(), context: context.clone() }
    }
}

impl Guard for Booking {}

impl Drop for Booking {
    fn drop(&mut self) {
        let attempts = self.context.attempt_count() as u64;
        let mut counts = self.handle.counts.lock();
        counts.open -= 1;
        counts.ended += 1;
        counts.attempts += attempts;
    }
}
