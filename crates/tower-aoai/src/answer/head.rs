//! The head of a request, as far as it decides what is answered.

use std::{fmt, hash::Hash};

use http::{HeaderName, Request};
use tower_aoai_core::{CallContext, Tenant};

/// Headers of one call alone; all others must agree.
const OF_ONE_CALL: [&str; 11] = [
    "baggage",
    "content-length",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "x-correlation-id",
    "x-ms-client-request-id",
    "x-ms-correlation-request-id",
    "x-request-id",
    "x-stainless-retry-count",
];

/// What requests that are to share an answer must have in common beside their bodies: where they go, whose they are,
/// which credential they carry.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Head {
    /// Method, address and headers, a line each: slices of a connection's buffer would keep the whole of it.
    text: Box<[u8]>,
    tenant: Option<Tenant>,
    /// By which prompts are cut to fit.
    #[cfg(feature = "context-window")]
    tag: Option<std::sync::Arc<str>>,
}

impl Head {
    /// Whether a header names or traces one call, and says nothing of what is asked.
    pub(crate) fn is_of_one_call(name: &HeaderName) -> bool {
        OF_ONE_CALL.contains(&name.as_str())
    }

    /// In bytes.
    #[cfg(feature = "cache")]
    pub(crate) fn size(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let mut headers: Vec<_> = request.headers().iter().filter(|(name, _)| !Self::is_of_one_call(name)).collect();
        // Stable: values of one name keep their order.
        headers.sort_by_key(|(name, _)| name.as_str());
        let mut text = format!("{} {}\n", request.method(), request.uri()).into_bytes();
        for (name, value) in headers {
            // Neither has an end of a line in it, and no name a colon.
            for part in [name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"] {
                text.extend_from_slice(part);
            }
        }
        Self {
            text: text.into(),
            tenant: request.extensions().get().and_then(CallContext::tenant),
            #[cfg(feature = "context-window")]
            tag: request.extensions().get().map(|tag: &tower_aoai_context_window::ContextTag| tag.0.clone()),
        }
    }
}

/// Credentials are among the headers.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use tower_aoai_core::Call;

    use super::*;

    fn request() -> http::request::Builder {
        Request::post("https://r.openai.azure.com/openai/v1/embeddings").header("api-key", "k").header("accept", "a")
    }

    fn head(builder: http::request::Builder) -> Head {
        Head::of(&builder.body(()).unwrap())
    }

    #[test]
    fn what_names_or_traces_one_call_does_not_set_requests_apart() {
        for name in OF_ONE_CALL {
            assert!(head(request().header(name, "1")) == head(request()), "{name}");
        }
        let reordered = Request::post("https://r.openai.azure.com/openai/v1/embeddings");
        assert!(head(reordered.header("accept", "a").header("api-key", "k")) == head(request()));
    }

    #[test]
    fn everything_else_does() {
        let mut theirs = CallContext::new(Call::default(), Instant::now());
        theirs.set_tenant(Some(Tenant::named("acme")));
        for other in [
            request().header("authorization", "Bearer t"),
            request().header("api-key", "another"),
            request().header("x-user", "1"),
            request().method(http::Method::GET),
            request().uri("https://s.openai.azure.com/openai/v1/embeddings"),
            request().uri("https://r.openai.azure.com/openai/v1/embeddings?api-version=preview"),
            request().extension(theirs),
        ] {
            let shown = format!("{other:?}");
            assert!(head(other) != head(request()), "{shown}");
        }
    }

    #[cfg(feature = "context-window")]
    #[test]
    fn whose_prompts_may_be_cut_otherwise_is_another() {
        let of = |agent: &str| head(request().extension(tower_aoai_context_window::ContextTag(agent.into())));
        assert!(of("planner") == of("planner") && of("planner") != of("writer") && of("planner") != head(request()));
    }

    #[test]
    fn no_key_is_shown() {
        assert!(!format!("{:?}", head(request().header("api-key", "secret"))).contains("secret"));
    }
}
