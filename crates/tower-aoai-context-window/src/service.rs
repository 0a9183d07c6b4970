use std::{
    mem,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_aoai_core::{BoxError, Error, Operation};
use tower_service::Service;

use crate::{
    ResponseFuture, body,
    count::Counting,
    judge::Question,
    layer::{self, Shared},
    verdict::Verdict,
};

/// The service of a [`ContextWindowLayer`](crate::ContextWindowLayer).
#[derive(Debug, Clone)]
pub struct ContextWindow<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ContextWindow<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, ResB> Service<Request<B>> for ContextWindow<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: 'static,
{
    type Response = Response<ResB>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    /// Forwards the inner service's readiness, which is held while a long prompt is counted.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Error::flatten)
    }

    /// Decides at once, but for a long prompt that has to be counted.
    ///
    /// # Errors
    ///
    /// A refusal with [`Reason::ContextLength`](tower_aoai_core::Reason::ContextLength) and its
    /// [numbers](tower_aoai_core::Rejected::context_length), with nothing sent; and the inner service's errors,
    /// [flattened](Error::flatten).
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the call, or stops the count at the next text: one text that is being counted is
    /// counted to its end, on its thread, for nobody.
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if self.shared.is_off {
            return ResponseFuture::calling(self.inner.call(request), None);
        }
        let Some(body) = body::read(request.body()) else {
            self.shared.handle.count_unread();
            return ResponseFuture::calling(self.inner.call(request), None);
        };
        let call = layer::call_of(&request, body.source());
        let measure = (call.operation != Operation::Other).then(|| self.shared.measure(&request, &call)).flatten();
        let Some(measure) = measure else {
            return ResponseFuture::calling(self.inner.call(request), None);
        };
        let question = Question { body: &body, call: &call, model: &measure.model, policy: &measure.policy };
        let judgement = question.by_bytes();
        let mut verdict = Verdict { measure, shared: Arc::clone(&self.shared), is_off_reactor: false };
        let judgement = match judgement {
            Some(judgement) => judgement,
            None => match Counting::start(verdict.job(call.into_owned(), body)) {
                Err(job) => job.run(&AtomicBool::new(false)),
                Ok(counting) => {
                    let unready = self.inner.clone();
                    let ready = mem::replace(&mut self.inner, unready);
                    verdict.is_off_reactor = true;
                    return ResponseFuture::counting(counting, ready, request, verdict);
                }
            },
        };
        match verdict.carry_out(judgement, &mut request) {
            Ok(used) => ResponseFuture::calling(self.inner.call(request), used),
            Err(rejected) => ResponseFuture::refused(rejected),
        }
    }
}
