//! Keeps calls from an unhealthy Azure OpenAI endpoint until it has recovered.
//!
//! A region that is down answers every call with an error, or with nothing until a timeout. Who keeps asking waits, loses
//! the time in which another endpoint could have answered, and falls upon the region when it comes back.
//! [`CircuitBreakerLayer`] notices, refuses at once with the instant from which on it is worth to ask again, and finds out
//! with a single call whether that is so:
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tokio::time::{Instant, sleep_until};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_aoai_circuit_breaker::{CircuitBreakerLayer, CircuitState};
//! use tower_aoai_core::Rejected;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let recovers_at = Instant::now() + Duration::from_secs(2);
//! let region = service_fn(move |_: Request<Full<Bytes>>| async move {
//!     let mut answer = Response::new(Full::<Bytes>::default());
//!     if Instant::now() < recovers_at {
//!         *answer.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
//!     }
//!     Ok::<_, Infallible>(answer)
//! });
//!
//! let breaker = CircuitBreakerLayer::new();
//! let handle = breaker.handle();
//! let service = breaker.layer(region);
//! for _ in 0..5 {
//!     assert_eq!(service.clone().oneshot(Request::default()).await.unwrap().status(), 503);
//! }
//!
//! // The sixth call does not get there, and knows for how long.
//! let error = service.clone().oneshot(Request::default()).await.unwrap_err();
//! let opens_at = error.rejected().and_then(Rejected::opens_at).unwrap();
//! assert_eq!(handle.snapshot().state, CircuitState::Open { until: Some(opens_at) });
//!
//! sleep_until(opens_at).await;
//! assert_eq!(service.oneshot(Request::default()).await.unwrap().status(), 200);
//! assert_eq!(handle.snapshot().state, CircuitState::Closed);
//! # }
//! ```
//!
//! # How it stands
//!
//! | state | calls | until |
//! |---|---|---|
//! | closed | go through | 5 failures come with no success among them, or half of at least 10 calls in 30 s fail, or, if asked for, too many answers begin late |
//! | open | are refused | the break is over: 5 s, then twice as long after each probe that failed, up to 60 s, less up to half by chance |
//! | half-open | one at a time goes through, as a probe | a probe succeeds, or fails |
//! | throttled | are refused | the wait is over that the server asked for; only where [asked for](CircuitPolicy::hold_throttled), and after a throttled probe |
//!
//! All of it is a [`CircuitPolicy`]. Below a balancer, [`CircuitBreakerLayer::below_balancer`]: a probe costs little there,
//! and breaks of at most 10 s bring the traffic back within 10 s.
//!
//! # Why so
//!
//! **It judges health, and only health.** What an answer means is said in one place
//! ([`Outcome`](tower_aoai_core::Outcome)). A throttled endpoint is a healthy one, and so is one that refuses a prompt or
//! a key: a breaker that opens for 429s takes away the quota that is left. By the
//! [default classifier](tower_aoai_core::classify) failures are 408, 409, 424, 5xx, connections and time limits lost, and
//! streams that break; 401, 403 and 404 are the configuration's, for the balancer to act upon.
//!
//! **At the end, not at the head.** A stream that began with a 200 may break, or be a 429. With
//! [`ObserveLayer`](tower_aoai_core::ObserveLayer) below, a call counts when its outcome is known; a caller who leaves
//! counts for nothing. Only a probe shows with its head already that connection and queue are well
//! ([`ProbeProof`] has the other way): a stream may last minutes, in which all others would be refused.
//!
//! **Both rules.** Failures in a row notice a total outage within five calls; the share of failures notices that half of
//! the backends are gone. The share looks at the last 30 s, by buckets that do not drift: ten thousand good calls do not
//! outweigh the outage that follows them. It does not look at rates, so a quiet endpoint is judged as a busy one.
//!
//! **Calls to models take long.** A call of a minute that was let through before the break ends in the middle of it, or
//! of the next one. Each carries the generation under which it was let through, and decides nothing in another one.
//!
//! **Half-open always ends.** Exactly so many probes are under way as are allowed, and each has a lease. A probe that is
//! dropped, refused by a layer below, or answered with what is neither good nor bad decides nothing, and gives its place
//! to the next; one that is never heard of again loses it when its lease is over. A probe that is throttled has not
//! succeeded: the next one waits for as long as the server asked.
//!
//! **What the server says counts.** A break is never shorter than the `Retry-After` of the failures that led to it.
//!
//! # In a stack
//!
//! Outermost of an endpoint's layers, above the token bucket, which keeps the server's gates so that calls wait in line.
//! Alone, without one, [`hold_throttled`](CircuitPolicy::hold_throttled) keeps them here, and refuses. A
//! retry layer above waits for the instant of a refusal (while a probe is under way a short one, so that callers are back
//! soon after it is); a balancer [asks](tower_aoai_core::Availability) before it sends, and is told the end of the lease. A time limit may stand in between: an error that comes up is the
//! endpoint's failure though it looks, from below, as if the caller had left.
//!
//! Without an observer below, an answer is judged by its head and by whether its body breaks, and one that is dropped
//! before its head counts for nothing. Without a door above, the call is known by its address alone, which is all that
//! the classifier needs for most answers.
//!
//! [`CircuitBreakerHandle`] shows state, counts and the last change, [trips](CircuitBreakerHandle::trip) and
//! [resets](CircuitBreakerHandle::reset) by hand, and has the [changes](CircuitChanges) as they come. Each change is one
//! event of `tracing`, target `tower_aoai::circuit`, with the fields `circuit`
//! ([name](CircuitBreakerLayer::name)), `sequence`, `from`, `to`, `reason` and `wait_ms`. There is no timer and no task:
//! a break that is over ends when the next call comes.
//!
//! # What comes of it
//!
//! `cargo run -p tower-aoai-circuit-breaker --example recovery` sends a call every 200 ms for a minute, in which the
//! deployment is down for 20 s, and prints second by second what becomes of them.
//!
//! A call through a closed circuit takes one atomic word to be let through, and a short lock to be counted when it is
//! over. It costs some 560 cycles (160 ns at 3.4 GHz; tower-resilience's in the same run 950): 210 of them to move a
//! guard through future and body, as every layer does that holds something for the length of a call; the record of the
//! attempt, 200 more, is shared with all other layers.
//!
//! # Neighbours
//!
//! tower and tower-http have no breaker. `tower::load_shed` refuses what is busy, not what is broken.
//! `tower-resilience` has one for any service: it sees `Ok` and `Err`, so a 503 is a success until a classifier of one's
//! own says otherwise, and a hint nothing; its count window forgets only when its state changes; and calls from before a
//! break decide it. `cargo bench -p tower-aoai-circuit-breaker` has both in one run.

mod breaker;
mod changes;
mod circuit;
mod finding;
mod future;
mod handle;
mod invalid;
mod layer;
mod permit;
mod policy;
mod probes;
mod service;
mod stamp;
mod state;
mod window;

use tower_aoai_core::GuardedBody;

pub use self::{
    changes::CircuitChanges,
    future::ResponseFuture,
    handle::{CircuitBreakerHandle, CircuitSnapshot},
    invalid::InvalidPolicy,
    layer::CircuitBreakerLayer,
    permit::Permit,
    policy::{CircuitPolicy, ProbeProof},
    service::CircuitBreaker,
    state::{ChangeReason, CircuitChange, CircuitState},
};

/// The response body of a [`CircuitBreaker`].
pub type ResponseBody<B> = GuardedBody<B, Permit>;
