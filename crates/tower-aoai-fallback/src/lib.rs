//! Ordered alternatives for a call: a provisioned deployment, then standard; another model, another provider.
//!
//! A provisioned deployment (PTU) is paid for whether it is used or not, standard tokens are paid for when they are
//! used. A PTU that is full says so with a 429 and a hint, half of the time of some 40 ms: waiting that long saves money;
//! waiting 17 s loses a user. Azure's own spillover goes to standard at the *first* 429, whatever the hint.
//! [`FallbackLayer`] decides by the hint, by what the queue before the quota knows, by the call's deadline and by price.
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{CallContext, Error};
//! use tower_aoai_fallback::{FallbackLayer, Leg, Patience, TokenPrice};
//! use tower_aoai_retry_after::RetryAfterLayer;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! // Each leg has layers of its own; retries belong into the leg, or a hint could not be waited for there.
//! let addressed = |deployment: &'static str| {
//!     ServiceBuilder::new().layer(RetryAfterLayer::default()).map_request(move |mut request: Request<Full<Bytes>>| {
//!         *request.uri_mut() = format!("/openai/deployments/{deployment}/chat/completions").parse().unwrap();
//!         request
//!     })
//! };
//! let fallback = FallbackLayer::new([
//!     Leg::new("ptu", addressed("ptu").into_inner())
//!         .provisioned()
//!         .patience(Patience::AtMost(Duration::from_secs(1))),
//!     Leg::new("standard", addressed("standard").into_inner()).price(TokenPrice::new(2_500, 10_000)),
//! ])
//! .unwrap();
//! let handle = fallback.handle();
//!
//! // The provisioned deployment is full for five more seconds.
//! let client = service_fn(|request: Request<Full<Bytes>>| async move {
//!     let is_full = request.uri().path().contains("ptu");
//!     let response = Response::builder().status(if is_full { 429 } else { 200 }).header("retry-after-ms", 5_000);
//!     Ok::<_, Error>(response.body(Full::<Bytes>::from("{}")).unwrap())
//! });
//! let mut request = Request::post("/openai/v1/chat/completions").body(Full::<Bytes>::from("{}")).unwrap();
//! let context = CallContext::of(&mut request).clone();
//! let response = fallback.layer(client).oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//!
//! let served = context.served();
//! assert_eq!((served.leg.as_deref(), served.spilled_from.as_deref()), (Some("standard"), Some("ptu")));
//! assert_eq!(served.failed_legs[0].to_string(), "ptu: throttled");
//! assert_eq!(handle.snapshot().legs[0].left.hint, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Wait or spill
//!
//! While there is a next leg, a call gets a *start-by* in the leg it is in: the earlier of what its [`Patience`] allows
//! and of the last moment at which the next leg would still answer before the deadline, by how long its answers of
//! late took. Retries and quota queues below obey it: what cannot start by then is refused there at once, with nothing
//! sent, and goes on to the next leg. So does a call whose leg is not ready by then. So a call is never in two legs, and no cancel races with a send. The wait costs
//! nothing as long as the last moment has not come, and every end of another call may shorten it.
//!
//! A leg whose server named an instant until which it is full is not even asked by calls that may not wait so long, until
//! one of its answers has ended: then the server has corrected its estimate, and the hint is out of date.
//!
//! Where the next leg has a [price](Leg::price), calls carry what it would cost them there
//! ([`CallContext::spill_cost`](tower_aoai_core::CallContext::spill_cost)): a queue that cannot meet them all sheds the
//! cheapest.
//!
//! # What it comes to
//!
//! An hour of each of the two traces that Azure published of its own inference service in 2023, replayed against a
//! simulated PTU (an output token weighs four of input) with standard behind it at 2.50 and 10 dollars a million;
//! deadlines of 20, 60 and 120 s by turns. Load is the trace over what the PTU can work off. Means of five seeds; late are
//! calls of all five together, of 44,095 and 86,505. Each call takes as long by every policy, so those that are late by all
//! of them take longer than their deadline allows, whoever serves them.
//!
//! | trace, load | first 429, as Azure's own | patience 2 s | unlimited, for batch |
//! |---|---|---|---|
//! | code, 0.7 | $24.51, 6 late | $22.85, 6 late | $4.71, 7 late |
//! | code, 0.9 | $29.12, 6 late | $27.80, 6 late | $10.03, 7 late |
//! | code, 1.1 | $32.29, 6 late | $31.20, 6 late | $15.32, 8 late |
//! | conversation, 0.7 | $0.33, 18 late | $0.09, 18 late | $0.04, 18 late |
//! | conversation, 0.9 | $4.77, 18 late | $3.89, 18 late | $2.44, 18 late |
//! | conversation, 1.1 | $12.76, 18 late | $11.60, 19 late | $10.23, 19 late |
//!
//! Unlimited patience is paid for in latency: on the bursts of the code trace the median rises from 0.8 to some 11 s. Half
//! of the requests that Azure's own spillover sends to the PTU there are refused; here it is one in thousands.
//!
//! `cargo run --release -p tower-aoai-fallback --example spill -- TRACE.csv [MAX_TOKENS] [SEED]` prints the table for one
//! seed (256 output tokens asked for on code, 1,024 on conversation); without a trace, of bursts that are made up.
//!
//! # When a leg fails
//!
//! A [`Condition`] of the next leg decides whether the call comes there: by default after what another endpoint may do
//! better. Each leg is entered at most once, and none after the first content was handed on. If no leg serves the call
//! the last answer of a server comes back as it came, body and all, with the summary in
//! [`Served::failed_legs`](tower_aoai_core::Served::failed_legs) and an event; where no server was asked, the error is
//! the last refusal, with the earliest instant that any leg named.
//!
//! To another model or provider a leg begins with a [`ModelLayer`], which asks for the other name, and an
//! [`ErrorShapeLayer`], which gives errors the one shape that callers know. Fields of an answer that only one provider has
//! stay as they are.
//!
//! # What it reads
//!
//! With an [`ObserveLayer`](tower_aoai_core::ObserveLayer) below, innermost in each leg or around the client, a leg is
//! judged by what its answer says. Without one only its head is seen: a 400 for a prompt that is too long is then the
//! caller's own mistake and goes nowhere, a refusal inside of a stream stays unseen, no
//! [service time](LegSnapshot::service) is learned, what a spill costs is estimated, and a known full leg stays so until
//! its hint is over.
//!
//! # What it costs
//!
//! Whoever may send a request again keeps a copy of it, and that is most of what a fallback costs; this one keeps what
//! another leg would get as text, in one allocation. One ready-and-call over a service in the same process, in nanoseconds
//! (`cargo bench -p tower-aoai-fallback --bench overhead`, 3.2 GHz, nothing else running):
//!
//! | | headers made for the request | received: parts of one buffer |
//! |---|---|---|
//! | bare | 543 | 501 |
//! | bare, with a mere copy of the request | 1,009 | 763 |
//! | one leg | 788 | |
//! | two legs, the first one answers | 916 | 845 |
//! | two legs, provisioned and priced | 1,001 | |
//! | tower-resilience's fallback, which keeps no books | 1,004 | |
//!
//! A copy of headers that were made for the request makes each value shared first, which is where text saves most.
//!
//! # Its neighbours
//!
//! `tower::retry` sends again into the same service, and `tower::steer` picks one by the request alone: neither goes on
//! by what came back. The legs of a fallback are preferences, not equals: for endpoints of one kind there is a balancer,
//! which belongs *into* a leg, below its retries, or a region that fails would send the call to another model.
//!
//! # Bounds
//!
//! The body of a request must be [`Replay`](tower_aoai_core::Replay); one that can be sent only once goes into the first
//! leg alone, and a warning says so once. The body of an answer must be `Unpin`: others box once. Of a failed answer at
//! most 64 KiB are read ahead. A leg that differs in type from the others is erased with
//! [`BoxCloneSyncServiceLayer`](https://docs.rs/tower/latest/tower/util/struct.BoxCloneSyncServiceLayer.html).

mod asked;
mod chain;
mod condition;
mod course;
pub mod error_shape;
mod experience;
mod full_until;
mod future;
mod handle;
mod kept;
mod layer;
mod leg;
pub mod model;
mod patience;
mod price;
mod service;
mod shared;
mod tally;

use tower_aoai_core::GuardedBody;

pub use self::{
    condition::{Condition, Failure},
    error_shape::{ErrorShape, ErrorShapeLayer},
    future::ResponseFuture,
    handle::{FallbackHandle, FallbackSnapshot, LegSnapshot, SpillCause, SpillCounts},
    kept::KeptBody,
    layer::{FallbackLayer, InvalidLegs},
    leg::Leg,
    model::{Model, ModelLayer},
    patience::Patience,
    price::TokenPrice,
    service::Fallback,
    tally::Tally,
};

/// The response body of a [`Fallback`].
pub type ResponseBody<B> = GuardedBody<KeptBody<B>, Tally>;
