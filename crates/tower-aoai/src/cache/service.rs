//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use parking_lot::Mutex;
use tower_aoai_core::{BoxError, Call, CallContext, Error, RequestBody};
use tower_service::Service;

use super::{
    AnswerBody, ResponseFuture,
    key::Key,
    layer::Settings,
    lead::{Follower, Lead},
    part::Part,
    store::{Role, Store},
};

/// The service of a [`CacheLayer`](super::CacheLayer).
#[derive(Debug, Clone)]
pub struct Cache<S> {
    inner: S,
    settings: Arc<Settings>,
    store: Option<Arc<Mutex<Store>>>,
}

impl<S> Cache<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>, store: Option<Arc<Mutex<Store>>>) -> Self {
        Self { inner, settings, store }
    }
}

impl<S, B, RB> Service<Request<B>> for Cache<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    B: Clone + Into<RequestBody>,
    RB: Body<Data = Bytes> + Unpin,
    RB::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody<RB>>;
    type Error = Error;
    type Future = ResponseFuture<S, B, RB>;

    /// Always ready: a call that is answered from the cache needs nothing of the inner service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// What is kept, or what the inner service answers, to this call or to another like it that is under way.
    ///
    /// # Errors
    ///
    /// The inner service's, of its readiness, its call or the body of an answer that was to be kept,
    /// [flattened](Error::flatten); [`Timeout::Deadline`](tower_aoai_core::Timeout::Deadline) for a call that follows
    /// another until its own deadline.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the call, if it was sent; one that others follow is sent anew by the eldest of them.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = self.inner.clone();
        let Some(store) = &self.store else {
            return ResponseFuture::sending(inner, request, None);
        };
        let (mut request, key) = self.key(request);
        let Some(key) = key.map(Arc::new) else {
            store.lock().counts.bypassed += 1;
            return ResponseFuture::sending(inner, request, None);
        };
        let now = CallContext::of(&mut request).now();
        let role = store.lock().enter(&key, now);
        let part = |generation, lead| {
            Part::new(Arc::clone(store), Arc::clone(&key), Arc::clone(&self.settings), generation, lead)
        };
        match role {
            Role::Hit(answer, kept) => ResponseFuture::hit(answer, now.saturating_duration_since(kept), &request),
            Role::Lead(generation) => {
                let lead = Lead::new(Arc::clone(store), Arc::clone(&key));
                ResponseFuture::sending(inner, request, Some(part(generation, Some(lead))))
            }
            Role::Alone(generation) => ResponseFuture::sending(inner, request, Some(part(generation, None))),
            Role::Follow(news, generation) => {
                let follower = Follower::new(Arc::clone(store), Arc::clone(&key), news);
                ResponseFuture::following(inner, request, follower, part(generation, None), now)
            }
        }
    }
}

impl<S> Cache<S> {
    /// The request again, and its key, if its answer may be kept.
    fn key<B: Clone + Into<RequestBody>>(&self, request: Request<B>) -> (Request<B>, Option<Key>) {
        let (parts, body) = request.into_parts();
        let view = Request::from_parts(parts, body.clone().into());
        let is_cached = {
            let call = Call::of(&view);
            !call.stream && allows(&view) && (self.settings.when)(&call, view.body().source())
        };
        let key = is_cached.then(|| Key::of(&view, view.body()));
        let (parts, _) = view.into_parts();
        (Request::from_parts(parts, body), key)
    }
}

/// Whether the caller wants nothing to do with a cache.
fn allows<B>(request: &Request<B>) -> bool {
    let values = request.headers().get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    !values.flat_map(|value| value.split(',')).any(|word| {
        let word = word.trim();
        word.eq_ignore_ascii_case("no-cache") || word.eq_ignore_ascii_case("no-store")
    })
}
