//! The whole stack, put together from a configuration: what most people want.
//!
//! Each layer of the workspace is right by itself and wrong in the wrong place: retries above a fallback send a call to
//! another model before they try another region, a gate of 429s in a circuit breaker makes everyone who waits come back
//! at once, a limit of time above the observer looks like a caller who left. [`Stack`] puts them where they belong, with
//! settings that fit each other, and is one service over it all:
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use tower::ServiceExt;
//! use tower_aoai::{Stack, config::{Config, EndpointConfig, ResourceConfig}};
//! # use tower_aoai_simulator::{Deployment, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let simulator = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
//! let config = Config::new()
//!     .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef"))
//!     .endpoint(EndpointConfig::new("chat", "contoso").deployment("gpt-4o").tokens_per_minute(150_000));
//! // `Stack::new(config)?` has a transport of its own; here it is a simulator.
//! let stack = Stack::builder(config).transport(simulator).build()?;
//!
//! let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}],"max_tokens":50}"#;
//! let request = http::Request::post("/openai/v1/chat/completions").body(Full::<Bytes>::from(body))?;
//! let response = stack.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! assert!(response.into_body().collect().await?.to_bytes().starts_with(b"{"));
//! # Ok(())
//! # }
//! ```
//!
//! With the variables set that [`config`](crate::config) lists, `Stack::from_env()?` says all of that.
//!
//! # The way of a call
//!
//! ```text
//! refusals as answers          where asked for: door.answer_refusals
//! prepare                      body into memory, read once
//! call telemetry               span, record
//! ◆ door_layer                 of your own: a cache, say
//! agents' limits               max_tokens of calls that say none
//! context window
//! cost                         budgets; the call's attempts are booked
//! deadline
//! model router                 by what the call asks for
//! └ fallback                   leg by leg
//!   └ ◆ leg_layer              of your own
//!     model, error shape       of legs to other models and providers
//!     retry
//!     └ balance
//!       └ ◆ endpoint_layer     of your own
//!         circuit breaker
//!         token bucket
//!         endpoint             address, deployment, credential
//!         cost gate            further attempts reserve what they may cost
//!         attempt telemetry
//!         include usage
//!         observe
//!         attempt timeouts
//!         └ transport          built in, or any service
//! ```
//!
//! Each part is switched off, and set up, in the [configuration](crate::config), and changed in code by the `map_`
//! methods of [`StackBuilder`]. A cache or anything else goes into the positions marked ◆: they cost nothing while they
//! are empty.
//!
//! # Which model, which chain
//!
//! The `model` of a call's body, or the deployment of its path, names a [model](crate::config::Config::models) of the
//! configuration, whose legs serve it. A name that is not known goes to the default model, or is refused with the names
//! that there are. Calls may come in any of the API's styles, whatever the endpoints' own is.
//!
//! # While it runs
//!
//! - [`Stack::reload`] takes another configuration: calls under way end as they began, quota that was used stays used,
//!   circuits, books and history go on; a bad one is refused, with all that is wrong.
//! - [`SharedLimits`] make several stacks one as far as quotas, circuits and credentials go: agents of one application
//!   that must not add up to more than there is.
//! - [`Stack::statistics`] shows how it does.
//! - [`Stack::shutdown`] takes no new calls and waits for those under way, the cost log and the alerts.
//!
//! # What it costs
//!
//! Clones are one `Arc`. A call is three boxed futures (at the edge, below the choice of its model, and for its attempt)
//! and its answer two boxed bodies, whatever they are made of; the indirection of a reload is an atomic load, and no lock is
//! held over a call. The whole is some 64,000 instructions and 24 allocations past the door for a call that needs nothing of
//! it, and copies no body: microseconds before calls of seconds.
//! `cargo bench -p tower-aoai --bench preset` measures it, beside a stack of neighbours' layers.
//!
//! # Neighbours
//!
//! tower and tower-resilience bring layers, and leave the order and the settings to those who compose them; SDKs bring
//! retries. For a stack of one's own there is [`ServiceBuilderExt`](crate::ServiceBuilderExt).

mod agent;
mod assembly;
mod body;
mod boxed;
mod builder;
mod flight;
mod future;
mod invalid;
mod layers;
mod make;
mod parts;
mod plan;
mod router;
mod service;
mod shared;
mod sight;
mod slot;
#[cfg(feature = "transport")]
mod webhook;

pub use self::{
    body::AnswerBody,
    builder::StackBuilder,
    future::StackFuture,
    invalid::InvalidStack,
    service::{Draining, Leftover, Stack},
    shared::SharedLimits,
    slot::Below,
};
