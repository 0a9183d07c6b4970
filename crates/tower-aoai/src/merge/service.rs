//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, header};
use http_body::Body;
use parking_lot::Mutex;
use tower_aoai_core::{BoxError, Call, CallContext, Error, Operation, RequestBody};
use tower_service::Service;

use super::{
    AnswerBody, MergeHandle, ResponseFuture,
    asked::{self, Asked},
    drive::{Drive, Driven, Sender, Waiting},
    future::Seat,
    groups::{Groups, Key},
    layer::Settings,
};
use crate::answer::Head;

/// The service of a [`MergeEmbeddingsLayer`](super::MergeEmbeddingsLayer).
#[derive(Debug, Clone)]
pub struct MergeEmbeddings<S> {
    inner: S,
    settings: Arc<Settings>,
    handle: MergeHandle,
    waiting: Waiting,
}

impl<S> MergeEmbeddings<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>, handle: MergeHandle) -> Self {
        let waiting = Arc::new(Mutex::new(Groups::new(settings.bounds)));
        Self { inner, settings, handle, waiting }
    }
}

impl<S, B, RB> Service<Request<B>> for MergeEmbeddings<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Clone + Into<RequestBody> + From<Bytes> + Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody<RB>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    /// Always ready: who waits for others has no use for the inner service yet.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// The caller's part of the answer to a merged request, or the answer to its own.
    ///
    /// # Errors
    ///
    /// The inner service's, [flattened](Error::flatten): of the merged request to all of its callers, of its own to
    /// each; [`Timeout::Deadline`](tower_aoai_core::Timeout::Deadline) at the caller's own deadline.
    ///
    /// # Cancellation
    ///
    /// Dropping the future takes its inputs out of what is not sent yet, and disturbs no other; the merged request is
    /// dropped with the last of its callers.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.inner.clone();
        if self.settings.is_off {
            return ResponseFuture::passed(inner, request);
        }
        self.handle.count(|counts| counts.calls += 1);
        let (mut request, joined) = self.join(request);
        match joined {
            Some((driven, seat)) => {
                let deadline = CallContext::of(&mut request).deadline();
                ResponseFuture::waiting(inner, request, driven, seat, self.handle.clone(), deadline)
            }
            None => {
                self.handle.count(|counts| counts.passed += 1);
                ResponseFuture::passed(inner, request)
            }
        }
    }
}

impl<S> MergeEmbeddings<S> {
    /// Takes a request into a group, if it is one to be merged.
    fn join<B, RB>(&self, request: Request<B>) -> (Request<B>, Option<(Driven, Seat)>)
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Clone + Into<RequestBody> + From<Bytes> + Send + 'static,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let view = Request::from_parts(parts, body.clone().into());
        let is_embedding = Call::of(&view).operation == Operation::Embeddings;
        let is_plain = !view.headers().contains_key(header::CONTENT_ENCODING);
        let asked = (is_embedding && is_plain).then(|| asked::read(view.body())).flatten();
        let head = Head::of(&view);
        let (parts, _) = view.into_parts();
        let Some(Asked { inputs, kind, rest }) = asked else {
            return (Request::from_parts(parts, body), None);
        };
        let key = Key {
            head,
            kind,
            rest,
            apart: self.settings.apart.as_ref().and_then(|apart| apart(&parts)),
            #[cfg(feature = "cost")]
            tags: parts.extensions.get().cloned().unwrap_or_default(),
        };
        let mut groups = self.waiting.lock();
        if !groups.takes(kind, &inputs) {
            return (Request::from_parts(parts, body), None);
        }
        let open = groups.open_for(&key, &inputs).and_then(|id| {
            // One whose callers are all going away at this moment is nobody's to send.
            let driven = groups.drive(id)?.as_ref()?.upgrade()?;
            Some((id, driven))
        });
        let (id, driven) = open.unwrap_or_else(|| {
            let mut driven = None;
            let id = groups.open(Arc::new(key), |id, is_full| {
                let now = parts.extensions.get().map_or_else(tokio::time::Instant::now, CallContext::now);
                let sender = Sender {
                    inner: self.inner.clone(),
                    waiting: Arc::clone(&self.waiting),
                    handle: self.handle.clone(),
                    answer_bytes: self.settings.answer_bytes,
                };
                let until = now.checked_add(self.settings.window).unwrap_or(now);
                let drive: Drive = Box::pin(sender.run::<B, RB>(id, until, is_full));
                let shared = drive.shared();
                let weak = shared.downgrade();
                driven = Some(shared);
                weak
            });
            (id, driven.expect("it was made"))
        });
        let place = groups.join(id, inputs, parts.clone());
        drop(groups);
        let seat = Seat::new(Arc::clone(&self.waiting), place);
        (Request::from_parts(parts, body), Some((driven, seat)))
    }
}
