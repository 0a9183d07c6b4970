use std::{
    any::Any,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_aoai_core::{BoxError, Call, CallContext, Error, RequestBody};
use tower_service::Service;

use crate::{CallCost, ResponseBody, ResponseFuture, booking::Booking, books::Books, layer::Settings};

/// The service of a [`CostLayer`](crate::CostLayer).
#[derive(Debug, Clone)]
pub struct Cost<S> {
    inner: S,
    /// `None`: it is off.
    shared: Option<(Arc<Books>, Arc<Settings>)>,
}

impl<S> Cost<S> {
    pub(crate) const fn new(inner: S, shared: Option<(Arc<Books>, Arc<Settings>)>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, ResB> Service<Request<B>> for Cost<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
    B: 'static,
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

    /// Reserves where a budget is enforced, at once; books when the call has ended.
    ///
    /// # Errors
    ///
    /// A refusal with [`Reason::BudgetSpent`](tower_aoai_core::Reason::BudgetSpent), with nothing sent, that tells of the budget and, where waiting helps, when
    /// it is renewed; and the inner service's errors, [flattened](Error::flatten).
    ///
    /// # Cancellation
    ///
    /// Dropping the future, or the response's body, ends the call: what was reserved goes back, and what was sent is
    /// booked, as an estimate where the server has not said what it used.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some((books, settings)) = &self.shared else {
            return ResponseFuture::calling(self.inner.call(request), None);
        };
        let tags = settings.tags(&mut request);
        read_call(&mut request);
        let cost = request.extensions().get::<CallCost>().cloned().unwrap_or_default();
        let context = CallContext::of(&mut request).clone();
        if let Some(rejected) = settings.refuses(context.call()) {
            books.with(|state| state.counts.refused_unpriced += 1);
            return ResponseFuture::refused(rejected);
        }
        let worst = || settings.assessor().worst(context.call(), None);
        let open = match books.open(&tags, context.now(), settings.attempts, worst) {
            Ok(open) => open,
            Err(rejected) => return ResponseFuture::refused(rejected),
        };
        let booking = Booking::new(books, open, Arc::clone(settings), context, tags, cost);
        if let Some(hold) = booking.hold() {
            request.extensions_mut().insert(hold);
        }
        ResponseFuture::calling(self.inner.call(request), Some(booking))
    }
}

/// Without a door above, what the request asks for is read here, from a body that is in memory.
fn read_call<B: 'static>(request: &mut Request<B>) {
    let is_read = |call: &Call| call.body_bytes > 0;
    if request.extensions().get::<CallContext>().map(CallContext::call).is_some_and(is_read) {
        return;
    }
    let body: &dyn Any = request.body();
    let body = match body.downcast_ref::<RequestBody>() {
        Some(body) => Some(body.clone()),
        None => body.downcast_ref::<Full<Bytes>>().map(|full| full.clone().into()),
    };
    if let Some(body) = body.filter(|body| !body.is_empty()) {
        let call = Call::read(request.uri(), request.headers(), body.source());
        CallContext::of(request).amend_call(|known| *known = call);
    }
}
