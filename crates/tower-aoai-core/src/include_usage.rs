//! Streamed answers that say what they used.
//!
//! A streamed chat answer tells its usage only if the request says `"stream_options":{"include_usage":true}`; without
//! it there is no number to settle a quota or a price with. This layer says it for callers who did not, and marks the
//! call ([`CallContext::usage_added`]) so that [`ObserveLayer`](crate::ObserveLayer), below it, takes the extra last
//! event out of the answer again: the caller sees what they asked for.
//!
//! It touches only streamed `chat/completions` and `completions` that do not ask for it already. The other members of
//! their `stream_options` are kept, and every other byte of the body. It leaves alone
//!
//! - responses, which always tell their usage, and embeddings, which are not streamed;
//! - Azure AI inference (`/models/…`), which by default refuses parameters it does not define;
//! - `stream_options` of a wrong type, of which the server should tell the caller itself.
//!
//! # Where it stands
//!
//! Per endpoint, below the choice of one: an endpoint on an old api-version answers the parameter with 400
//! `unknown_parameter`, and gets [`IncludeUsageLayer::off`].
//!
//! It differs from tower's `MapRequest` in that it is a type with a name, keeps the length and the replay of the body,
//! and tells the layers below what it did. It never waits, reserves nothing, makes no errors of its own and adds no
//! future: readiness, errors and future are those of the inner service.
//!
//! Without [`PrepareLayer`](crate::PrepareLayer) above, it reads the body itself.
//!
//! # Example
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_aoai_core::{CallContext, IncludeUsageLayer, RequestBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), std::convert::Infallible> {
//! let client = ServiceBuilder::new()
//!     .layer(IncludeUsageLayer::new())
//!     .service(service_fn(|request: Request<RequestBody>| async move {
//!         assert!(request.extensions().get::<CallContext>().unwrap().usage_added());
//!         Ok::<_, std::convert::Infallible>(Response::new(request.into_body().to_bytes()))
//!     }));
//!
//! let request = Request::post("https://r.openai.azure.com/openai/v1/chat/completions")
//!     .body(RequestBody::from(r#"{"stream":true,"messages":[]}"#))
//!     .unwrap();
//! let response = client.oneshot(request).await?;
//! assert_eq!(
//!     response.into_body(),
//!     r#"{"stream_options":{"include_usage":true},"stream":true,"messages":[]}"#
//! );
//! # Ok(())
//! # }
//! ```

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::{ApiStyle, Call, CallContext, EditError, Operation, RequestBody, Spans, call::object};

/// Asks for the usage of streamed answers: see [the module](self).
#[derive(Debug, Clone, Copy)]
pub struct IncludeUsageLayer {
    on: bool,
}

/// Asks for the usage of streamed answers: see [the module](self).
#[derive(Debug, Clone, Copy)]
pub struct IncludeUsage<S> {
    inner: S,
    on: bool,
}

impl IncludeUsageLayer {
    /// Asks for it.
    #[must_use]
    pub const fn new() -> Self {
        Self { on: true }
    }

    /// Leaves every request as it is, without changing the stack's type: for an endpoint whose api-version does not
    /// know `stream_options`.
    #[must_use]
    pub const fn off() -> Self {
        Self { on: false }
    }
}

impl Default for IncludeUsageLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for IncludeUsageLayer {
    type Service = IncludeUsage<S>;

    fn layer(&self, inner: S) -> IncludeUsage<S> {
        IncludeUsage { inner, on: self.on }
    }
}

impl<S> Service<Request<RequestBody>> for IncludeUsage<S>
where
    S: Service<Request<RequestBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> S::Future {
        if self.on {
            ask(&mut request);
        }
        self.inner.call(request)
    }
}

fn ask(request: &mut Request<RequestBody>) {
    if request.extensions().get::<CallContext>().is_none() {
        let context = CallContext::new(read(request), Instant::now());
        request.extensions_mut().insert(context);
    }
    let Some(context) = request.extensions().get::<CallContext>() else {
        return;
    };
    if context.usage_added() {
        return;
    }
    let call = context.call();
    let spans = if call.body_bytes == request.body().source().len() {
        lacks_usage(call)
    } else {
        // The context knows another body than this one, or none.
        lacks_usage(&read(request))
    };
    if spans.is_some_and(|spans| add(request.body_mut(), &spans).is_ok()) {
        CallContext::of(request).set_usage_added(true);
    }
}

fn read(request: &Request<RequestBody>) -> Call {
    Call::read(request.uri(), request.headers(), request.body().source())
}

fn lacks_usage(call: &Call) -> Option<Spans> {
    let answers = matches!(call.operation, Operation::Chat | Operation::Completions);
    let lacks = answers && call.style != ApiStyle::Inference && call.stream && !call.include_usage;
    lacks.then(|| call.spans.clone())
}

/// `Ok` if the body asks for its usage now.
fn add(body: &mut RequestBody, spans: &Spans) -> Result<(), EditError> {
    const ASKING: &str = r#"{"include_usage":true}"#;
    let Some(span) = spans.stream_options.clone() else {
        return body.add_member(spans, "stream_options", ASKING);
    };
    let options = body.source().get(span.clone()).ok_or(EditError::OutOfRange)?;
    let asking = if options == b"null" {
        Bytes::from_static(ASKING.as_bytes())
    } else {
        asking(&body.source().slice(span.clone()))?
    };
    body.replace(span, asking)
}

/// The options as they are, but asking.
fn asking(options: &Bytes) -> Result<Bytes, EditError> {
    let object = object::read(options, &["include_usage"]).ok_or(EditError::NoObject)?;
    let mut asking = RequestBody::from(options.clone());
    match object.values[0] {
        Some(said) => {
            let refuses = matches!(said.get(), "false" | "null");
            let span = object::span(options, said).filter(|_| refuses);
            asking.replace(span.ok_or(EditError::OutOfRange)?, "true")?;
        }
        None => {
            let spans =
                Spans { first_member: Some(object.first_member), is_empty_object: object.is_empty, ..Spans::default() };
            asking.add_member(&spans, "include_usage", "true")?;
        }
    }
    Ok(asking.to_bytes())
}
