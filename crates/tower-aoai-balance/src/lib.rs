//! Makes one client service many Azure OpenAI endpoints, and sends each call to the one that would finish it first.
//!
//! One deployment is never enough: its quota is spent, its region is slow today and down tomorrow. [`BalanceLayer`] takes
//! one client and the layers of each endpoint, and is one service over them all:
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn, util::MapRequestLayer};
//! use tower_aoai_balance::{BalanceLayer, Member};
//! use tower_aoai_retry_after::RetryAfterLayer;
//! use tower_aoai_token_bucket::{Quota, TokenBucketLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // In place of an HTTP client: the deployment in eastus is down, the other one well.
//! let client = service_fn(|request: Request<Full<Bytes>>| async move {
//!     let mut answer = Response::new(Full::<Bytes>::from("{}"));
//!     if request.uri().host() == Some("contoso-eastus.openai.azure.com") {
//!         *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!     }
//!     Ok::<_, Infallible>(answer)
//! });
//!
//! let members = BalanceLayer::from_fn(["eastus", "sweden"], |region| {
//!     // `tower-aoai-endpoint` does this thoroughly, with credentials.
//!     let address = move |mut request: Request<Full<Bytes>>| {
//!         let host = format!("https://contoso-{region}.openai.azure.com{}", request.uri().path());
//!         *request.uri_mut() = host.parse().expect("a valid address");
//!         request
//!     };
//!     Member::new(region)
//!         .asked(TokenBucketLayer::of(Quota::standard(150_000)))
//!         .layer(MapRequestLayer::new(address))
//! })?;
//! let handle = members.handle();
//! let service = ServiceBuilder::new().layer(RetryAfterLayer::default()).layer(members).service(client);
//!
//! for _ in 0..20 {
//!     let request = Request::post("/openai/deployments/gpt-4o/chat/completions").body(Full::default())?;
//!     assert_eq!(service.clone().oneshot(request).await?.status(), 200);
//! }
//! let snapshot = handle.snapshot();
//! assert_eq!(snapshot.member("sweden").map(|member| member.answered), Some(20));
//! assert!(snapshot.member("eastus").is_some_and(|member| member.failed <= 2), "tried, and then left alone");
//! # Ok(())
//! # }
//! ```
//!
//! # Asking, not guessing
//!
//! A balancer that asks services for readiness cannot know what a call will cost them, parks readiness it does not use,
//! and has to choose between losing an endpoint for ever on one error and sending calls to a broken one. This one asks the
//! shared *state* of each member's gates ([`Availability`](tower_aoai_core::Availability)): when could this call start
//! there? A circuit breaker says "not before 10:04:12", a token bucket "in 0.4 s, behind those who wait". So anything may
//! stand between them and the client: a gate is stacked with [`Member::asked`], any other layer with [`Member::layer`].
//! A gate without a member's own state is no help, so one state used for two members is refused.
//!
//! An answer promises nothing: another call may be faster. If a gate refuses after all, that is a lost race and no attempt,
//! and the balancer asks the others, each at most once; a call that waits because nobody is ready asks one that refused
//! it again when that said it would open.
//!
//! # Which member
//!
//! 1. One where the call has not failed yet, if there is one. Then one where it did not fail last. Where the answer was
//!    final (a wrong key, a quota too small) it does not go again, unless it was final everywhere. With
//!    [`tries_per_member`](BalanceLayer::tries_per_member), that many tries are made at one before.
//! 2. Of these, one that can start it before its [start-by](tower_aoai_core::CallContext::start_by) and deadline; as far as
//!    is known, finish it by the deadline.
//! 3. Of the lowest [tier](Member::tier) that has one. A later tier takes exactly the calls that earlier ones cannot serve
//!    in time: give the provisioned deployment tier 0, and what is paid for by the token tier 1.
//! 4. By the [`Strategy`]. By default where it is expected to end first: the wait, plus the time to the first token for a
//!    prompt of this length, plus the usual output at the time per token. These are learned from what
//!    [`ObserveLayer`](tower_aoai_core::ObserveLayer) below writes, with a half-life of 10 s. Few or old answers are a
//!    doubt, and in doubt a member is tried.
//!
//! Where nobody can: a refusal with [`Reason::NoEndpoint`](tower_aoai_core::Reason::NoEndpoint),
//! [`StartBy`](tower_aoai_core::Reason::StartBy) or [`Deadline`](tower_aoai_core::Reason::Deadline), and the instant at
//! which the first could, for the retry layer or fallback above. The same where a member that is shut opens sooner than any
//! other would start the call, if a retry layer above comes back then.
//!
//! # What speaks against a member
//!
//! | it answered | then |
//! |---|---|
//! | 429, 503 with a hint | it is shut until the hint is over, whether or not a gate heeds that |
//! | 408, 5xx, a lost connection or time limit, a broken stream | it counts as up to 5 s slower, and less and less over 8 s; by least in flight it comes last; who goes by turns or chance leaves it to a circuit breaker |
//! | 429 without a hint | the same over 1 s |
//! | 401, 403, a deployment that does not exist | for that deployment it is out of rotation, with a warning in the log; one call tries it after 60 s, then after twice as long, up to 10 min |
//! | nothing yet, for longer than is usual | it counts as that slow |
//!
//! **A failure never makes a member look fast.** Speed is learned from good answers alone; who left without an answer is
//! remembered as having waited at least that long. **Not all are ever out of rotation**: where every member is, all are in.
//! Results that are older than what is known are ignored.
//!
//! What went wrong is the answer of the call: **this layer sends nothing twice**. It tells the retry layer above from when
//! on the call may be tried again, which is "now" where another member has not failed it
//! ([`retry_at`](tower_aoai_core::CallContext::retry_at)). Without a retry layer above, a caller sees the first failure.
//!
//! # Watching and changing it
//!
//! A [`BalanceHandle`] shows each member's state and figures; adds members, drains them (no new calls; it tells when the
//! last one has ended), removes them and changes weights. Services notice with their next call, and calls under way go on.
//! A call counts as in flight until its body has ended. [`Served`](tower_aoai_core::Served) says who served a call.
//!
//! # What comes of it
//!
//! `cargo run --release -p tower-aoai-balance --example outage` sends three regions ten requests a second each. One has a
//! third of the quota that is asked of it, which only its 429s tell; another one is down for a minute.
//! With circuit breakers and token buckets below and a retry layer above, over three seeds each:
//!
//! | strategy, the region in its outage | calls failed | of all requests to that region meanwhile | back to four fifths of its share after |
//! |---|---|---|---|
//! | expected finish, answers 503 or resets | 0 | 0.4 to 0.5 % | 5 to 6 s |
//! | expected finish, does not answer, noticed after 2 s | 0 | 0.6 to 0.8 % | 3 to 4 s |
//! | least in flight, any of these | 0 | 0.4 to 0.7 % | 3 to 7 s |
//! | round robin or shuffle, answers 503 or resets | 0 | 0.7 to 0.9 % | 0 to 8 s |
//! | round robin or shuffle, does not answer | 0 | 1.2 to 1.8 % | 0 to 10 s |
//!
//! `cargo bench -p tower-aoai-balance` measures what a choice costs, from 1 to 64 members, beside tower's. It asks each
//! member's gates once, so it grows with the members: 5,200 instructions for one, and 650 more for each other one, plus
//! what its gates need. With more than one member the request's head is cloned for each send, for the case that a gate
//! refuses after all.
//!
//! # Without the layers around it
//!
//! Without [`PrepareLayer`](tower_aoai_core::PrepareLayer) above, the size of a call is not known, and a misconfigured
//! deployment that is named in the body alone is not told from others. Without an observer below, an answer is judged by its
//! head, by the layer's own [classifier](BalanceLayer::classify); how fast a member is, is learned from when its heads come,
//! waits at its gates included; and a member that falls silent is not noticed until its calls end. A body that can be sent
//! only once ([`Replay`](tower_aoai_core::Replay)) is not offered to a second member.
//!
//! # Neighbours
//!
//! `tower::balance::p2c` compares two endpoints by a load; one error of readiness removes an endpoint until it is discovered
//! anew, and with a static list for ever. Its `PeakEwma` measures whatever answers, so that an endpoint that refuses
//! fast draws the traffic, and ends with the head of a stream. Here a stack whose readiness failed is made anew, a stack
//! that is not ready is passed over for one that is, and readiness that is not used is dropped. `tower::steer` and
//! `tower::discover` choose, or list; they have no opinion about when.

mod balancer;
mod future;
mod handle;
mod history;
mod layer;
mod mark;
mod member;
mod pick;
mod roster;
mod seat;
mod selection;
mod sending;
mod service;
mod spurned;
mod stacks;

use tower_aoai_core::GuardedBody;

pub use self::{
    future::ResponseFuture,
    handle::{BalanceHandle, BalanceSnapshot, Draining, MemberSnapshot, UnknownMember},
    layer::BalanceLayer,
    mark::Mark,
    member::Member,
    pick::{OutOfRotation, Strategy},
    roster::InvalidMembers,
    service::Balance,
};

/// The response body of a [`Balance`].
pub type ResponseBody<B> = GuardedBody<B, Mark>;
