//! Azure OpenAI's throttling without Azure OpenAI.
//!
//! Nobody can make the real service throttle on demand, and a test that waits for a real minute
//! to pass is not run often. This crate is the service's behaviour in a box:
//!
//! - [`quota`]: the models of its quotas as pure state machines over `now`, for benchmarks;
//! - [`Simulator`]: a tower `Service` over them in this process, which answers chat completions
//!   (streamed or not), legacy completions, embeddings and responses with the headers, error
//!   bodies and events of the real one, exact under tokio's paused time;
//! - [`Script`]: answers dictated one by one, down to a stream that breaks in the middle;
//! - [`Served`]: the journal of what it served, with what callers dropped;
//! - [`World`]: several resources with names, and [`TokenIssuer`], Bearer tokens for them;
//! - [`fixture`]: single answers, ready-made, for mocks of one's own;
//! - `server` (feature `server`): all of it on a port, for SDKs in any language, with an admin API
//!   and a configuration file. `cargo run --example simulator` in a checkout runs one, and prints
//!   what to say to an SDK.
//!
//! It shares no code with the crates it is used to test: a reader of requests that both had would
//! hide the reader's mistakes.
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use tower::ServiceExt;
//! use tower_aoai_simulator::{Deployment, Scripted, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::builder()
//!     .deployment(Deployment::standard("gpt-4o").tokens_per_minute(30_000))
//!     .build();
//! simulator.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(2)));
//!
//! let ask = || {
//!     http::Request::post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
//!         .body(Full::<Bytes>::from(
//!             r#"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":10}"#,
//!         ))
//! };
//! let refused = simulator.clone().oneshot(ask()?).await?;
//! assert_eq!(refused.status(), 429);
//! assert_eq!(refused.headers()["retry-after-ms"], "2000");
//!
//! let answered = simulator.clone().oneshot(ask()?).await?;
//! assert_eq!(answered.status(), 200);
//! // Two tokens of prompt, by its characters, and ten of output were debited.
//! assert_eq!(answered.headers()["x-ratelimit-remaining-tokens"], "29988");
//! let body = answered.into_body().collect().await?.to_bytes();
//! let body: serde_json::Value = serde_json::from_slice(&body)?;
//! assert_eq!(body["usage"]["completion_tokens"], 10);
//! assert_eq!(body["choices"][0]["finish_reason"], "length");
//!
//! assert_eq!(simulator.journal().len(), 2);
//! # Ok(()) }
//! ```
//!
//! # Time
//!
//! All time is `tokio::time`, so under `#[tokio::test(start_paused = true)]` everything happens
//! at exact instants and nothing waits. The quotas reckon in nanoseconds; tokio's timers, and with
//! them answers and their events, tick in whole milliseconds. A request is admitted or refused at the instant it has
//! arrived with its whole body; nothing happens before its future is first polled.
//!
//! # Dictating sizes
//!
//! Benchmarks replay traces without writing prompts: the request headers
//! [`x-simulator-prompt-tokens`](PROMPT_TOKENS_HEADER),
//! [`x-simulator-cached-tokens`](CACHED_TOKENS_HEADER) and
//! [`x-simulator-completion-tokens`](COMPLETION_TOKENS_HEADER) say how large a request is taken
//! to be and how long its answer would be if nothing limited it; [`x-simulator-pace`](PACE_HEADER)
//! gives it the same pace in every run.
//!
//! # What is modelled, and what is not
//!
//! Facts come from Azure's documentation and from captured traffic; where the two leave a gap,
//! the item concerned says what was assumed. A model's answer is filler of four characters a
//! token, unless a [script](Scripted::text) says otherwise. A tool is called when the request
//! forces it (`tool_choice`), with arguments made up after its schema, or when a
//! [script](Scripted::tool_calls) says so. Not modelled: images beyond a flat count, audio, files,
//! batches, service tiers, stored responses.
//!
//! # Features
//!
//! - `server`: the HTTP server (axum, hyper, toml). Off by default, so that a crate that tests
//!   against the simulator in process builds no server.
//! - `bpe`: real token counts, by `BytePairs`. 35 MB of tables and a minute of build.

mod answer;
mod body;
mod booking;
#[cfg(feature = "bpe")]
mod bpe;
mod builder;
mod deployment;
mod draw;
mod estimate;
mod fault;
pub mod fixture;
mod future;
mod issuer;
mod journal;
mod latency;
mod models;
pub mod quota;
mod request;
mod scene;
mod script;
mod serve;
#[cfg(feature = "server")]
pub mod server;
mod simulator;
mod state;
mod ticket;
mod world;

#[cfg(feature = "bpe")]
pub use self::bpe::BytePairs;
pub use self::{
    body::SimulatedBody,
    builder::SimulatorBuilder,
    deployment::{Deployment, HeaderStyle, RetryHints, Wording},
    estimate::{Estimate, FourCharacters, TokenCounter},
    fault::ConnectionFault,
    future::SimulatedFuture,
    issuer::TokenIssuer,
    journal::{Ending, Served},
    latency::{CompletionLength, Latency},
    request::Operation,
    script::Scripted,
    simulator::{Script, Simulator},
    world::{World, WorldBuilder},
};

/// Request header: how many tokens the prompt is taken to have, in place of a count.
pub const PROMPT_TOKENS_HEADER: &str = "x-simulator-prompt-tokens";

/// Request header: how many of the prompt's tokens are taken to be cached; none by default.
pub const CACHED_TOKENS_HEADER: &str = "x-simulator-cached-tokens";

/// Request header: how many tokens each choice of the answer would have if nothing limited it.
pub const COMPLETION_TOKENS_HEADER: &str = "x-simulator-completion-tokens";

/// Request header, a number: with the same number and the same seed, requests draw the same [spread](Latency::spread)
/// of their time per token, wherever and whenever they are served; so that two runs differ by what they are to compare
/// and not by chance. By default each request draws its own.
pub const PACE_HEADER: &str = "x-simulator-pace";
