use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_aoai_core::{Admission, BoxError, CallContext, Error, Reason, Rejected};
use tower_service::Service;

use crate::Member;

/// The future of a [`Balance`](crate::Balance).
#[pin_project]
pub struct ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    members: Arc<[Member<S>]>,
    context: CallContext,
    request: Option<Request<B>>,
    chosen: Option<S>,
    #[pin]
    calling: Option<S::Future>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn new(members: Arc<[Member<S>]>, request: Request<B>, context: CallContext) -> Self {
        Self { members, context, request: Some(request), chosen: None, calling: None }
    }
}

/// The member that would start the call soonest; the first of several.
fn choose<'a, S>(members: &'a [Member<S>], context: &CallContext) -> Result<&'a Member<S>, Rejected> {
    let admissions = members.iter().map(|member| (member, Admission::fold(&member.gates, context, context.now())));
    let mut soonest = None;
    let mut opens_at = None;
    for (member, admission) in admissions {
        match admission {
            Admission::At(at) if soonest.is_none_or(|(_, best)| at < best) => {
                soonest = Some((member, at));
            }
            Admission::Shut(Some(until)) if opens_at.is_none_or(|best| until < best) => {
                opens_at = Some(until);
            }
            Admission::At(_) | Admission::Shut(_) => {}
        }
    }
    soonest.map(|(member, _)| member).ok_or_else(|| {
        let rejected = Rejected::new(Reason::NoEndpoint, "balancer");
        match opens_at {
            Some(at) => rejected.until(at),
            None => rejected,
        }
    })
}

impl<S, B, ResB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<ResB>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(calling) = this.calling.as_mut().as_pin_mut() {
                return calling.poll(cx).map_err(Error::flatten);
            }
            let Some(service) = this.chosen else {
                let member = choose(this.members, this.context)?;
                this.context.note_served(|served| served.endpoint = Some(Arc::clone(&member.name)));
                *this.chosen = Some(member.layer.clone());
                continue;
            };
            ready!(service.poll_ready(cx)).map_err(Error::flatten)?;
            let Some(request) = this.request.take() else {
                return Poll::Pending;
            };
            let future = service.call(request);
            this.calling.set(Some(future));
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("members", &self.members).finish_non_exhaustive()
    }
}
