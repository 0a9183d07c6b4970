//! Addresses a call to one Azure OpenAI endpoint: base URL, deployment, credential.
//!
//! A caller says what they want in one of several ways: the classic path with its deployment and api-version, the v1 path
//! with the deployment in the body's `model`, the inference route, OpenAI's own paths. An endpoint understands one of
//! them, under a host, a deployment's name and a credential of its own. [`EndpointLayer`] stands between: whatever way a
//! call came in, it leaves as one for *this* endpoint.
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_aoai_core::{ObserveLayer, PrepareLayer};
//! use tower_aoai_endpoint::{BaseUrl, EndpointLayer, Token};
//! use tower_aoai_simulator::{Deployment, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // In place of a client: Azure as it would be in this process, with a key.
//! let azure = Simulator::builder().api_key("the-key-of-east").deployment(Deployment::standard("east-4o")).build();
//!
//! let base: BaseUrl = "https://contoso-east.openai.azure.com".parse()?;
//! let endpoint = EndpointLayer::new(base)
//!     .classic("2024-10-21")?
//!     .model("gpt-4o", "east-4o")
//!     .credential(Token::api_key("the-key-of-east")?);
//! let service = ServiceBuilder::new()
//!     .layer(PrepareLayer::new())
//!     .layer(endpoint)
//!     .layer(ObserveLayer::new())
//!     .service(azure);
//!
//! // OpenAI's own path, and a key that must not go to Azure.
//! let request = Request::post("https://api.openai.com/v1/chat/completions")
//!     .header("authorization", "Bearer sk-of-the-caller")
//!     .body(Full::<Bytes>::from(r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}"#))?;
//! assert_eq!(service.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Addresses
//!
//! | | classic | v1 | inference |
//! |---|---|---|---|
//! | chat completions, embeddings | `/openai/deployments/{d}/…` | `/openai/v1/…` | `/models/…` |
//! | completions, `audio/*`, `images/generations`, `images/edits` | the same | the same | refused |
//! | responses, one of them and what is below it, models, files, batches, … | `/openai/…` | `/openai/v1/…` | refused |
//! | anything else below a deployment, or of the inference route | from classic | refused | from inference |
//!
//! The columns are what an endpoint is ([`classic`](EndpointLayer::classic), [`v1`](EndpointLayer::v1),
//! [`inference`](EndpointLayer::inference)), the rows what is asked for, in whatever style, below whatever prefix, by a
//! relative address or an absolute one. OpenAI itself and servers that speak its language have v1 paths; [`BaseUrl`] says
//! below which path. **What cannot be said in an endpoint's way is refused**, with
//! [`Reason::Unsupported`](tower_aoai_core::Reason::Unsupported) and a sentence for the caller, and never guessed; a
//! balancer takes another endpoint. So is a path that climbs (`..`), which would reach with our credential what was not
//! asked for.
//!
//! **The deployment** is that of the model which the call names, by [`model`](EndpointLayer::model) and
//! [`deployment`](EndpointLayer::deployment), else the name itself. On v1 and inference it is written into the body, in
//! the place of the old name or as a first member: nothing else changes by a byte, and nothing is copied. On classic
//! paths it stands in the path, and the body's `model`, which Azure ignores there and its SDKs send all the same, stays.
//! A form (`audio/transcriptions`, `images/edits`) is not read: it goes to classic paths where the path it came by, or
//! the endpoint, names the deployment, and to v1 paths where the name need not change.
//!
//! **The api-version** is the endpoint's own, whatever the caller's was. At Azure's v1 paths a caller's `preview`, `v1` or
//! `latest` stays.
//!
//! # Credentials
//!
//! **In neither direction does one leak.** Of the caller's request every header that is a credential or names an account
//! is dropped, every parameter of the query that is one, and what belongs to the caller's connection; scheme, host and
//! `host` header are the endpoint's, always; the token goes in last, marked sensitive. Redirects are answers like any
//! other here: a transport below that follows them must not carry `api-key` to another host. No `Debug`, log or error
//! holds a secret.
//!
//! A [`Token`] is a key that never changes. Any other [`Credential`] is asked through a [`TokenCache`]: once for many
//! calls, ahead of expiry, without failing a call while the old token is good. With the feature `entra`,
//! `EntraCredential` asks Microsoft Entra ID by `azure_identity`.
//!
//! **After a 401** the token is given up, and the call sent once more if another token came of it. That send is an attempt
//! of its own: it is counted, and whoever above decided or reserved for the attempt judges by the one that counts
//! ([`CallContext::restart_attempt`](tower_aoai_core::CallContext::restart_attempt)). It is no retry of a policy: it has no
//! backoff, and happens once for each token, not for each call that fails. An owner of the retries above that has
//! [no attempt left](tower_aoai_core::CallContext::attempts_left) gets the 401 itself; one that has some sees that this was
//! one of them ([`Progress::restarts`](tower_aoai_core::Progress::restarts)).
//!
//! # Where it stands
//!
//! Below the quota and above [`ObserveLayer`](tower_aoai_core::ObserveLayer): the token is there before the send is
//! stamped, so that a charge does not age while it is waited for. A balancer that
//! [asks](tower_aoai_core::Asked) it passes by an endpoint without a token.
//! [`PrepareLayer`](tower_aoai_core::PrepareLayer) belongs at the door; without it the body must be a
//! [`RequestBody`](tower_aoai_core::RequestBody) all the same, and is read here. What lies below sees the call as it is
//! now, in the [`CallContext`](tower_aoai_core::CallContext).
//!
//! # Neighbours
//!
//! tower's `MapRequest` and tower-http's `SetRequestHeader` and `AddAuthorization` change what they are told to, the same
//! for every request; none waits for a token, tells a caller's credential from its own, or knows what an address means.
//! The official SDKs do what this layer does, in the one direction and for the one endpoint that they were made for.
//!
//! `cargo run -p tower-aoai-endpoint --example entra` shows tokens that expire and are taken back, and
//! `cargo bench -p tower-aoai-endpoint` what addressing costs.
//!
//! # Features
//!
//! - `entra`: `EntraCredential`, and with it `azure_identity` and its HTTP client over rustls; off by default.

mod base_url;
mod credential;
mod defaults;
mod deployments;
#[cfg(feature = "entra")]
mod entra;
mod future;
mod handle;
mod invalid;
mod layer;
mod refresh;
mod rewrite;
mod service;
mod strip;
mod style;
mod token;
mod token_cache;
mod translate;

#[cfg(feature = "entra")]
pub use self::entra::EntraCredential;
pub use self::{
    base_url::{BaseUrl, Host},
    credential::{Credential, CredentialError, TokenFuture},
    defaults::Defaults,
    future::ResponseFuture,
    handle::{EndpointHandle, EndpointSnapshot},
    invalid::{InvalidBaseUrl, InvalidSecret, InvalidStyle},
    layer::EndpointLayer,
    service::Endpoint,
    token::Token,
    token_cache::{TokenCache, TokenState},
};
