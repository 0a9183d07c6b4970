use std::{fmt, sync::Arc};

use tower_aoai_core::{Asked, Availability};
use tower_layer::Layer;

use crate::{Accounting, Estimate, Local, Quota, Store, TokenBucket, TokenBucketHandle};

/// Lets calls through as a quota allows; see the [crate's page](crate).
///
/// One layer value is one quota: every service it makes, and every clone, shares it.
#[must_use = "a layer does nothing until it wraps a service"]
pub struct TokenBucketLayer<St = Local> {
    handle: TokenBucketHandle<St>,
    is_off: bool,
}

impl TokenBucketLayer {
    /// A quota without limits; it counts, keeps the gate of the server's hints, and may be given
    /// [limits](TokenBucketHandle::set_limits) later.
    pub fn new() -> Self {
        Self::default()
    }

    /// This quota, with nothing used yet, kept in this process.
    #[expect(clippy::needless_pass_by_value, reason = "a quota is written down in place")]
    pub fn of(quota: Quota) -> Self {
        Self { handle: TokenBucketHandle::of(&quota), is_off: false }
    }

    /// Lets every call through and counts none: for a stack whose type must not change.
    pub fn off() -> Self {
        Self { is_off: true, ..Self::default() }
    }
}

impl<St> TokenBucketLayer<St> {
    /// A quota that is kept elsewhere; limits, order and window are the [store](Store)'s own.
    pub fn over(store: St, estimate: impl Estimate + 'static, accounting: impl Accounting + 'static) -> Self {
        Self { handle: TokenBucketHandle::new(store, Arc::new(estimate), Arc::new(accounting)), is_off: false }
    }

    /// Shows the quota's state.
    #[must_use]
    pub fn handle(&self) -> TokenBucketHandle<St> {
        self.handle.clone()
    }
}

impl Default for TokenBucketLayer {
    fn default() -> Self {
        Self { handle: TokenBucketHandle::default(), is_off: false }
    }
}

impl<St> Clone for TokenBucketLayer<St> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), is_off: self.is_off }
    }
}

/// The instant that it tells is exact, not before and not later, as long as nothing else happens: for the call's own
/// [class](tower_aoai_core::CallContext::priority) and [tenant](tower_aoai_core::CallContext::tenant), behind those who
/// wait, by tokens, requests, interval and gate. Of calls in flight nobody knows when they end: where places are what is
/// short, it is the instant before which the call does not start, and
/// [`load`](Availability::load) tells how many are before it.
impl<St: Store> Asked for TokenBucketLayer<St> {
    fn availability(&self) -> Arc<dyn Availability> {
        self.handle.availability()
    }
}

impl<S, St> Layer<S> for TokenBucketLayer<St> {
    type Service = TokenBucket<S, St>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenBucket::new(inner, self.handle.clone(), self.is_off)
    }
}

impl<St: fmt::Debug> fmt::Debug for TokenBucketLayer<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBucketLayer").field("handle", &self.handle).field("is_off", &self.is_off).finish()
    }
}
