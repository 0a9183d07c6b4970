//! The layers by name, for those who compose a stack themselves.

use std::time::Duration;

use tower::{ServiceBuilder, layer::util::Stack};

use crate::core::{
    AttemptTimeoutLayer, DeadlineLayer, IncludeUsageLayer, ObserveLayer, PrepareLayer, RejectedResponseLayer,
};

/// Adds the layers of the workspace to tower's [`ServiceBuilder`], each by its name: what is added first is outermost.
///
/// Those that can be set up are given as values, for their handles are to be kept. Sealed: it is there for
/// [`ServiceBuilder`] alone.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_aoai::{
///     ServiceBuilderExt,
///     circuit_breaker::CircuitBreakerLayer,
///     core::{Error, RequestBody},
///     retry_after::RetryAfterLayer,
///     token_bucket::{Quota, TokenBucketLayer},
/// };
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Error> {
/// let transport = service_fn(|_: http::Request<RequestBody>| async {
///     Ok::<_, Error>(http::Response::new(Full::<Bytes>::from("{}")))
/// });
/// let bucket = TokenBucketLayer::of(Quota::standard(150_000));
/// let quota = bucket.handle();
/// let service = ServiceBuilder::new()
///     .prepare()
///     .deadline(Duration::from_secs(120))
///     .retry_after(RetryAfterLayer::default())
///     .circuit_breaker(CircuitBreakerLayer::new())
///     .token_bucket(bucket)
///     .include_usage()
///     .observe()
///     .service(transport);
/// let response = service.oneshot(http::Request::<Full<Bytes>>::default()).await?;
/// assert_eq!((response.status().as_u16(), quota.snapshot().in_flight), (200, 1));
/// # Ok(())
/// # }
/// ```
pub trait ServiceBuilderExt<L>: sealed::Sealed + Sized {
    /// Takes the body into memory and reads what is asked for: the door. See [`PrepareLayer`].
    fn prepare(self) -> ServiceBuilder<Stack<PrepareLayer, L>>;

    /// Answers refusals in OpenAI's shape. See [`RejectedResponseLayer`].
    fn rejected_response(self) -> ServiceBuilder<Stack<RejectedResponseLayer, L>>;

    /// One limit for a call with all that it takes. See [`DeadlineLayer`].
    fn deadline(self, total: Duration) -> ServiceBuilder<Stack<DeadlineLayer, L>>;

    /// Asks streams for their usage. See [`IncludeUsageLayer`].
    fn include_usage(self) -> ServiceBuilder<Stack<IncludeUsageLayer, L>>;

    /// Judges answers, for all layers above. See [`ObserveLayer`].
    fn observe(self) -> ServiceBuilder<Stack<ObserveLayer, L>>;

    /// Limits the time of each attempt. See [`AttemptTimeoutLayer`].
    fn attempt_timeout(self, limits: AttemptTimeoutLayer) -> ServiceBuilder<Stack<AttemptTimeoutLayer, L>>;

    /// Makes prompts fit their model. See [`ContextWindowLayer`](crate::context_window::ContextWindowLayer).
    #[cfg(feature = "context-window")]
    #[cfg_attr(docsrs, doc(cfg(feature = "context-window")))]
    fn context_window(
        self,
        layer: crate::context_window::ContextWindowLayer,
    ) -> ServiceBuilder<Stack<crate::context_window::ContextWindowLayer, L>>;

    /// Turns usage into money. See [`CostLayer`](crate::cost::CostLayer).
    #[cfg(feature = "cost")]
    #[cfg_attr(docsrs, doc(cfg(feature = "cost")))]
    fn cost(self, layer: crate::cost::CostLayer) -> ServiceBuilder<Stack<crate::cost::CostLayer, L>>;

    /// Tries legs in their order. See [`FallbackLayer`](crate::fallback::FallbackLayer).
    #[cfg(feature = "fallback")]
    #[cfg_attr(docsrs, doc(cfg(feature = "fallback")))]
    fn fallback<F>(
        self,
        layer: crate::fallback::FallbackLayer<F>,
    ) -> ServiceBuilder<Stack<crate::fallback::FallbackLayer<F>, L>>;

    /// Tries calls again. See [`RetryAfterLayer`](crate::retry_after::RetryAfterLayer).
    #[cfg(feature = "retry-after")]
    #[cfg_attr(docsrs, doc(cfg(feature = "retry-after")))]
    fn retry_after(
        self,
        layer: crate::retry_after::RetryAfterLayer,
    ) -> ServiceBuilder<Stack<crate::retry_after::RetryAfterLayer, L>>;

    /// Sends calls to the endpoint that would finish them first. See [`BalanceLayer`](crate::balance::BalanceLayer).
    #[cfg(feature = "balance")]
    #[cfg_attr(docsrs, doc(cfg(feature = "balance")))]
    fn balance<M>(
        self,
        layer: crate::balance::BalanceLayer<M>,
    ) -> ServiceBuilder<Stack<crate::balance::BalanceLayer<M>, L>>;

    /// Keeps calls from an endpoint that fails. See
    /// [`CircuitBreakerLayer`](crate::circuit_breaker::CircuitBreakerLayer).
    #[cfg(feature = "circuit-breaker")]
    #[cfg_attr(docsrs, doc(cfg(feature = "circuit-breaker")))]
    fn circuit_breaker(
        self,
        layer: crate::circuit_breaker::CircuitBreakerLayer,
    ) -> ServiceBuilder<Stack<crate::circuit_breaker::CircuitBreakerLayer, L>>;

    /// Lets calls through as a quota allows. See [`TokenBucketLayer`](crate::token_bucket::TokenBucketLayer).
    #[cfg(feature = "token-bucket")]
    #[cfg_attr(docsrs, doc(cfg(feature = "token-bucket")))]
    fn token_bucket<S>(
        self,
        layer: crate::token_bucket::TokenBucketLayer<S>,
    ) -> ServiceBuilder<Stack<crate::token_bucket::TokenBucketLayer<S>, L>>;

    /// Addresses calls to one endpoint. See [`EndpointLayer`](crate::endpoint::EndpointLayer).
    #[cfg(feature = "endpoint")]
    #[cfg_attr(docsrs, doc(cfg(feature = "endpoint")))]
    fn endpoint(
        self,
        layer: crate::endpoint::EndpointLayer,
    ) -> ServiceBuilder<Stack<crate::endpoint::EndpointLayer, L>>;
}

mod sealed {
    /// Nobody else can implement what needs it.
    pub trait Sealed {}

    impl<L> Sealed for tower::ServiceBuilder<L> {}
}

impl<L> ServiceBuilderExt<L> for ServiceBuilder<L> {
    fn prepare(self) -> ServiceBuilder<Stack<PrepareLayer, L>> {
        self.layer(PrepareLayer::new())
    }

    fn rejected_response(self) -> ServiceBuilder<Stack<RejectedResponseLayer, L>> {
        self.layer(RejectedResponseLayer::new())
    }

    fn deadline(self, total: Duration) -> ServiceBuilder<Stack<DeadlineLayer, L>> {
        self.layer(DeadlineLayer::new(total))
    }

    fn include_usage(self) -> ServiceBuilder<Stack<IncludeUsageLayer, L>> {
        self.layer(IncludeUsageLayer::new())
    }

    fn observe(self) -> ServiceBuilder<Stack<ObserveLayer, L>> {
        self.layer(ObserveLayer::new())
    }

    fn attempt_timeout(self, limits: AttemptTimeoutLayer) -> ServiceBuilder<Stack<AttemptTimeoutLayer, L>> {
        self.layer(limits)
    }

    #[cfg(feature = "context-window")]
    fn context_window(
        self,
        layer: crate::context_window::ContextWindowLayer,
    ) -> ServiceBuilder<Stack<crate::context_window::ContextWindowLayer, L>> {
        self.layer(layer)
    }

    #[cfg(feature = "cost")]
    fn cost(self, layer: crate::cost::CostLayer) -> ServiceBuilder<Stack<crate::cost::CostLayer, L>> {
        self.layer(layer)
    }

    #[cfg(feature = "fallback")]
    fn fallback<F>(
        self,
        layer: crate::fallback::FallbackLayer<F>,
    ) -> ServiceBuilder<Stack<crate::fallback::FallbackLayer<F>, L>> {
        self.layer(layer)
    }

    #[cfg(feature = "retry-after")]
    fn retry_after(
        self,
        layer: crate::retry_after::RetryAfterLayer,
    ) -> ServiceBuilder<Stack<crate::retry_after::RetryAfterLayer, L>> {
        self.layer(layer)
    }

    #[cfg(feature = "balance")]
    fn balance<M>(
        self,
        layer: crate::balance::BalanceLayer<M>,
    ) -> ServiceBuilder<Stack<crate::balance::BalanceLayer<M>, L>> {
        self.layer(layer)
    }

    #[cfg(feature = "circuit-breaker")]
    fn circuit_breaker(
        self,
        layer: crate::circuit_breaker::CircuitBreakerLayer,
    ) -> ServiceBuilder<Stack<crate::circuit_breaker::CircuitBreakerLayer, L>> {
        self.layer(layer)
    }

    #[cfg(feature = "token-bucket")]
    fn token_bucket<S>(
        self,
        layer: crate::token_bucket::TokenBucketLayer<S>,
    ) -> ServiceBuilder<Stack<crate::token_bucket::TokenBucketLayer<S>, L>> {
        self.layer(layer)
    }

    #[cfg(feature = "endpoint")]
    fn endpoint(
        self,
        layer: crate::endpoint::EndpointLayer,
    ) -> ServiceBuilder<Stack<crate::endpoint::EndpointLayer, L>> {
        self.layer(layer)
    }
}
