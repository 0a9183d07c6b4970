use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, CallContext, Error, GuardedBody, Replay};
use tower_service::Service;

use crate::{Mark, ResponseBody, sending::Sending, stacks::Stacks};

/// The future of a [`Balance`](crate::Balance).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    sending: Sending<S, B>,
    #[pin]
    calling: Option<S::Future>,
    /// Behind what it guards, so that it is dropped after it; `None` if the layer is off.
    mark: Option<Mark>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn new(stacks: Arc<Stacks<S>>, request: Request<B>, context: CallContext) -> Self {
        Self { sending: Sending::new(stacks, request, context), calling: None, mark: None }
    }
}

impl<S, B, ResB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<ResB>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let Some(calling) = this.calling.as_mut().as_pin_mut() else {
                let (calling, mark) = ready!(this.sending.poll_hand_down(cx))?;
                *this.mark = mark;
                this.calling.set(Some(calling));
                continue;
            };
            let polled = calling.poll(cx);
            if let Some(mark) = this.mark {
                mark.stamp();
            }
            let Poll::Ready(result) = polled else {
                this.sending.waits();
                return Poll::Pending;
            };
            this.calling.set(None);
            let result = result.map_err(Error::flatten);
            let mut mark = this.mark.take();
            if mark.as_mut().is_some_and(|mark| this.sending.goes_on(mark, &result)) {
                continue;
            }
            return Poll::Ready(result.map(|response| response.map(|body| GuardedBody::new(body, mark))));
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("mark", &self.mark).finish_non_exhaustive()
    }
}
