//! Turns the usage of Azure OpenAI calls into money, by tag, and keeps budgets.
//!
//! Callers learn of their spend from the bill: weeks later, by deployment, without a word on who asked for it. What a call
//! costs is known when it ends, though, in its `usage`, or, where it was cut or given up, nearly; and who asked for it is
//! known to the caller. [`CostLayer`] stands above every layer that may send a call more than once, writes both down, and
//! says no *before* a call is sent that a budget has no room for:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{Error, ObserveLayer, PrepareLayer, Reason, RequestBody};
//! use tower_aoai_cost::{Budget, CostLayer, Money, Period, Query, Tag, Tags};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let transport = service_fn(|_: Request<RequestBody>| async {
//!     let answer = r#"{"model":"gpt-4o-2024-11-20","usage":{"prompt_tokens":1000,"completion_tokens":200}}"#;
//!     let response = Response::builder().header("content-type", "application/json");
//!     Ok::<_, Error>(response.body(Full::<Bytes>::from(answer)).unwrap())
//! });
//! let layer = CostLayer::new().budget(Budget::new("each agent", Money::cents(1), Period::Day).each(Tag::Agent).enforce());
//! let books = layer.handle();
//! let service = ServiceBuilder::new()
//!     .layer(PrepareLayer::new())
//!     .layer(layer)
//!     // Retries, endpoints, … stand here.
//!     .layer(ObserveLayer::new())
//!     .service(transport);
//!
//! let ask = || {
//!     Request::post("https://r.openai.azure.com/openai/deployments/gpt-4o/chat/completions")
//!         .extension(Tags::new().task("summarise").agent("writer"))
//!         .body(Full::<Bytes>::from(r#"{"messages":[{"role":"user","content":"…"}],"max_tokens":400}"#))
//!         .unwrap()
//! };
//! // 1,000 tokens at $2.50 for a million, and 200 at $10.
//! service.clone().oneshot(ask()).await?.into_body().collect().await?;
//! assert_eq!(books.sum(&Query::total().tag(Tag::Task, "summarise")).exact.cost.to_string(), "$0.0045");
//!
//! service.clone().oneshot(ask()).await?.into_body().collect().await?;
//! // What is left of the cent is less than what 400 tokens could cost.
//! let refused = service.oneshot(ask()).await.map(|_| ()).unwrap_err();
//! assert_eq!(refused.rejected().unwrap().reason(), Reason::BudgetSpent);
//! # Ok(())
//! # }
//! ```
//!
//! # What is booked
//!
//! Every **attempt**, for each may be billed, by what its *answer* says: its model, its service tier, the deployment that
//! served it. A call counts in the hour in which it began. Amounts are whole [nano-dollars](Money), rounded up for each
//! attempt. They stand in [columns](Spend):
//!
//! | column | |
//! |---|---|
//! | `exact` | the server said what it used, and the price of what it named is known |
//! | `estimated` | it may be billed, but the server did not say how much |
//! | `provisioned` | paid for by the hour, nothing at the margin; what is spilled from it is not |
//! | `unpriced` | it may be billed, and **nobody knows at what price**: tokens without a cost, never taken for free |
//! | `free` | a 429, a wrong key, a mistake of the caller's |
//!
//! An estimate is meant to be too high: a token for three bytes of prompt, or what the server counted in another attempt of
//! the call; and of output what was asked for, or 4,096 tokens, or, of a stream that was cut, twice the events that were
//! seen and a few more (all that was asked for, where a model reasons unseen). Azure documents that it may charge calls
//! that the content filter refused, whose input was too long, or that ran out of time; of a 5xx the prompt is booked,
//! and of a call without an answer all that it may have made.
//!
//! # What it costs
//!
//! [`Prices`] are dated data by model, deployment type, tier and length of prompt, which a file of yours overrides. Say
//! which [deployments](Prices::deployment) are provisioned, or are not called like their model. What becomes of calls whose
//! price is not known, [`UnknownPrice`] says. Not counted are pictures and audio that are billed otherwise than by the
//! token, tools, storage, and the charge of `model-router`.
//!
//! # Whose it is
//!
//! [`Tags`], an extension of the request, name task, workflow, agent and tenant; a [header](CostLayer::tag_header) may. What
//! was spent is [asked for](CostHandle::sum) by any combination of these, model, deployment and endpoint, in any hour, day,
//! month, and in all. Memory is [bounded](CostLayer::bounds): values beyond the first 1,000 of a tag are booked as [`OTHER`],
//! and old hours and days go, with their sums kept in longer times. A [log](CostLog) on disk outlasts the process.
//!
//! # Budgets
//!
//! A [`Budget`] for everything, for one value of a tag, or for each value by itself tells when 80 % and 100 % of it are
//! spent: once in a period, by `tracing` (target `tower_aoai::cost`), a [callback](CostLayer::on_alert) and a
//! [channel](CostHandle::alerts). An [enforced](Budget::enforce) one reserves the worst case of a call before it is sent
//! (its bytes as tokens, the most output that it can have) and settles when it has ended, so that what is spent and
//! reserved never exceeds it, however many calls are made at once. What does not fit is refused with
//! [`Reason::BudgetSpent`](tower_aoai_core::Reason::BudgetSpent) and the time of the renewal. A call that is tried again may
//! be billed again, and at another endpoint dearer: a [`CostGateLayer`] below the retries reserves for each attempt what
//! it may cost beyond that, or the layer is told of [how many](CostLayer::attempts) there are. What is not text may have more tokens than bytes: such a call can exceed what
//! it reserved, and is [counted](BudgetStatus::overrun).
//!
//! # Alone, or in a stack
//!
//! It goes below [`PrepareLayer`](tower_aoai_core::PrepareLayer) and what changes prompts, above retries and fallbacks, and
//! wants an [`ObserveLayer`](tower_aoai_core::ObserveLayer) around each transport, and above that an
//! [`IncludeUsageLayer`](tower_aoai_core::IncludeUsageLayer), for streams do not tell their usage unasked. Without an
//! observer every answer is an estimate. Without the door it reads bodies that are in memory,
//! [`RequestBody`](tower_aoai_core::RequestBody) and [`Full<Bytes>`](http_body_util::Full).
//!
//! # Time and cancellation
//!
//! Nothing waits. A call is booked when its body ends or is dropped, or its future is; what it had reserved goes back then,
//! exactly once. Periods are those of UTC, by the system's clock or [another](CostLayer::wall_clock).
//!
//! # Its neighbours
//!
//! tower and tower-http count requests and bytes. Metrics add up tokens, without prices, tags of a caller's own, or a no.
//! Azure's cost management knows the whole bill, a day late, and its budgets only tell.

mod account;
mod alert;
mod assess;
mod booking;
mod books;
mod budget;
mod future;
mod gate;
mod handle;
mod layer;
mod ledger;
mod log;
mod money;
mod period;
mod price;
mod query;
mod service;
mod spend;
mod tags;

pub use self::{
    account::BudgetStatus,
    alert::{Alert, AlertKind, Alerts},
    booking::{Booking, CallCost},
    budget::Budget,
    future::{ResponseBody, ResponseFuture},
    gate::{CostGate, CostGateLayer, GateFuture},
    handle::{CostHandle, CostSnapshot, Line},
    layer::{CostLayer, UnknownPrice},
    log::{CostLog, LogStatus, Tear},
    money::Money,
    period::{Period, Span},
    price::{BUILT_IN, DeploymentType, Prices, PricesError, Rates, ServiceTier},
    query::Query,
    service::Cost,
    spend::{Column, Spend, Tokens},
    tags::{OTHER, Tag, Tags, UNTAGGED},
};
