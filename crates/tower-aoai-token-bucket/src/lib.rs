//! Reserves tokens, requests and in-flight places of an Azure OpenAI quota together, in order, before the send.
//!
//! A caller should not be told 429 by a quota that could have been counted here, and no quota should go unused.
//! [`TokenBucketLayer`] keeps a mirror of the server's own count, lets calls through in order as soon as they fit, and
//! refuses at once, with nothing sent, what cannot start in time:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{Error, ObserveLayer, PrepareLayer};
//! use tower_aoai_token_bucket::{Quota, TokenBucketLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let bucket = TokenBucketLayer::of(Quota::standard(150_000).requests_per_minute(900));
//! let handle = bucket.handle();
//! let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(bucket).layer(ObserveLayer::new()).service_fn(
//!     |_| async { Ok::<_, Error>(Response::new(Full::<Bytes>::from("{}"))) },
//! );
//! let request = Request::post("https://r.openai.azure.com/openai/deployments/fast/chat/completions")
//!     .body(Full::<Bytes>::from(r#"{"messages":[],"max_tokens":100}"#))
//!     .unwrap();
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(handle.snapshot().tokens_used, 101);
//! # Ok(())
//! # }
//! ```
//!
//! # How it counts
//!
//! **All dimensions together or none.** Tokens per minute, requests in their own window, a minimum interval, calls in
//! flight: one queue before all of them, or who holds a place in flight while it waits for tokens overtakes the urgent.
//!
//! **As the server counts** ([`WindowModel`]). Where that is not known, never more than the limit over *any* minute,
//! which is safe against minutes of whatever phase, the last minute, and a bucket that holds a minute's tokens. Where a
//! bucket of another capacity, or a provisioned deployment's utilisation, is declared, after that.
//!
//! **What the server charges** ([`Estimate`], [`Accounting`]): an estimate made before the call. A standard deployment
//! gives nothing of it back; a provisioned one corrects it when the call is over, and so does the mirror.
//!
//! **From the send.** A reservation counts from its grant and ages from its send, which
//! [`ObserveLayer`](tower_aoai_core::ObserveLayer) below stamps. What was never sent is given back whole; what was sent
//! and did not say what it used is settled at its estimate.
//!
//! # How it waits
//!
//! Inside the call's future: a quota cannot be reserved before the request is there to be priced, so the service is
//! always ready. Nobody passes those who wait, but that a smaller call may go where there is room for it and nobody before
//! it, the head or another, starts later for it: who waits starts at the instant that could be told when it came, or
//! before, unless a more urgent one comes, a limit is lowered, or the server shuts the gate. (Of the queue, 64 behind the
//! head are looked at.) One timer, set by the head of the queue; no spawned task. The queue is bounded. The [order](Order)
//! is first come, first served, or by classes that age, by deadline, or in equal shares for tenants.
//!
//! A call whose deadline or start-by cannot be kept is refused at once with the earliest instant at which it could start;
//! one that is larger than the whole quota for good; one that waits and can no longer make it as soon as that is known.
//! Where not everybody can be served in time, those with the lowest
//! [spill cost](tower_aoai_core::CallContext::spill_cost) make room for dearer ones.
//!
//! # When the server refuses after all
//!
//! A 429's hint shuts the gate for every call of the quota, so that one 429 stops the herd; when it is over, calls go at
//! the quota's pace for as long again, up to a minute, not all at once. So does a 503 that says how long. A 429 without a
//! hint shuts it for a second. A 429 for tokens says, too, that the server counts more than we do: from then on 3 % less
//! of the limit is used, and a little more with every answer (0.002 %, near the share that was refused a tenth of that)
//! until it is the whole again.
//!
//! # What the answers teach
//!
//! A limit that `x-ratelimit-limit-*` tells is obeyed at once where it is lower than what is configured, and rises slowly
//! again; above what is configured only where the [server decides](Quota::server_decides). `x-ratelimit-remaining-tokens`
//! (of a provisioned deployment `azure-openai-deployment-utilization`) is compared with the mirror as it was when that
//! call was sent: what is missing there and not here, others have used, and it is booked as theirs and ages like any
//! charge. It never makes the mirror emptier, for the headers are known to tell too much; values that are not above zero
//! say nothing. What remains of the requests is not compared: captures do not agree on what it counts.
//!
//! # What comes of it
//!
//! `cargo run --release -p tower-aoai-token-bucket --example overload` offers half as much again as a deployment of 240,000
//! tokens per minute allows, for 20 minutes of simulated time, with requests whose way takes 8 ms and an exponential 6 ms
//! more. Used is what was admitted over the tokens per minute times the time, plus what a bucket held at the start; late
//! are refusals after the first two minutes.
//!
//! | the server counts | sent | refused | late | used |
//! |---|---|---|---|---|
//! | fixed minutes, 0, 17, 41 and 59 s into one | 4,759 to 4,829 | 0 | 0 | 99.8 % |
//! | the last minute | 4,792 | 0 | 0 | 99.9 % |
//! | a bucket of 240,000, declared | 5,085 | 0 | 0 | 100.0 % |
//! | a bucket of 40,000, declared | 4,882 | 0 | 0 | 100.0 % |
//! | the last minute, 8 % more of prompts than we do, with 10 % noise | 4,400 | 1 | 0 | 97.5 % |
//! | the same, without quota headers | 4,410 | 5 | 1 | 97.6 % |
//! | fixed minutes, biased so, with headers | 4,376 | 3 | 1 | 96.8 % |
//! | the same, without quota headers | 4,482 | 4 | 3 | 99.2 % |
//! | provisioned throughput | 5,984 | 2 | 2 | 99.9 % |
//!
//! That is one seed each. Over ten, a biased server that counts the last minute or fixed minutes refuses at most 0.09 %
//! late, a provisioned one 0.05 %. One that is biased and counts by a bucket that was not declared refuses up to 0.09 %
//! without headers, and up to 0.24 %, 0.11 % on average, with them: there the headers do more harm than good.
//!
//! `cargo bench -p tower-aoai-token-bucket` measures what it costs a call that goes at once, beside its neighbours.
//!
//! # Without the layers around it
//!
//! Without [`PrepareLayer`](tower_aoai_core::PrepareLayer) above, nothing is known of the request but its address: the
//! charge is the estimate's default output. Without [`ObserveLayer`](tower_aoai_core::ObserveLayer) below, a charge ages
//! from the response's head instead of the send, no usage is known, and a call that was dropped before its head is taken
//! to have been sent.
//!
//! # Neighbours
//!
//! `tower::limit` counts requests, not tokens; its rate limit belongs to one service instance, its concurrency limit
//! ends with the response's head and holds its place while what lies below waits. `governor` paces one dimension, has no
//! queue and gives nothing back.
//!
//! # Where it is kept
//!
//! In this process ([`Local`]), or wherever a [`Store`] keeps it: the layer asks it for a charge, tells it of the send,
//! and settles, and knows nothing of how it counts. Until there is one for many replicas, they share the limits out among
//! them, or let the headers tell them of each other.
//!
//! # What it does not do
//!
//! - A bucket that holds less than a minute's tokens is not recognised: declare [its capacity](WindowModel::Bucket), or the
//!   headers make the mirror careful for want of a better explanation.
//! - The estimate is never scaled down by what the headers say, and no factor is learned from them: what they tell could
//!   be others' use. A server that charges more than we do is met by the share, and by what is booked as others'.
//! - For a call with a deadline all those before it are worked out when it comes, which takes time in proportion to the
//!   queue: with deadlines, bound it by thousands.

mod accounting;
mod acquire;
mod adaptive;
mod charge;
mod desk;
mod forecast;
mod future;
mod handle;
mod layer;
mod learned;
mod ledger;
mod lengths;
mod limits;
mod local;
mod permit;
mod queue;
mod quota;
mod reservation;
mod service;
mod share;
mod shared;
mod store;
mod window;

use tower_aoai_core::GuardedBody;
pub use tower_aoai_core::{Priority, Tenant};

pub use self::{
    accounting::{Accounting, ChargeEstimate, CorrectOnCompletion, Used},
    acquire::Acquire,
    adaptive::InFlightRange,
    charge::{AzureEstimate, Charge, Estimate},
    forecast::Forecast,
    future::ResponseFuture,
    handle::{Risk, TokenBucketHandle, TokenBucketSnapshot},
    layer::TokenBucketLayer,
    ledger::{Dimension, Ending},
    lengths::Prediction,
    limits::{Limits, WindowModel},
    local::{Local, LocalTicket, LocalWaiting},
    permit::Permit,
    queue::Order,
    quota::Quota,
    reservation::Reservation,
    service::TokenBucket,
    store::{Ask, Cause, Granted, Settlement, Store},
};

/// The response body of a [`TokenBucket`].
pub type ResponseBody<B, St = Local> = GuardedBody<B, Reservation<St>>;
