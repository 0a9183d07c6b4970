//! A request that is kept to be sent again.

mod headers;

use std::fmt;

use http::{Extensions, Method, Request, Uri, Version};

use self::headers::KeptHeaders;
use crate::{CallContext, Replay};

/// What is kept of a request to send it again: all of it but the [`CallContext`], which whoever keeps it has anyway.
///
/// Cheaper than a [copy of the request](crate::try_clone_request) that most often is dropped unused: the headers are
/// copied as text, and become a map again when they are needed; where the context is the request's only extension, as
/// below [`PrepareLayer`](crate::PrepareLayer), no extensions are copied.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use tower_aoai_core::{CallContext, Spare};
///
/// let mut request = Request::post("/openai/v1/chat/completions").body(Full::<Bytes>::from("{}")).unwrap();
/// let context = CallContext::of(&mut request).clone();
/// let spare = Spare::of(&request).expect("a body that can be sent again");
/// // The request is sent, and sent in vain.
/// let again = spare.into_request(context);
/// assert_eq!(again.uri(), "/openai/v1/chat/completions");
/// ```
pub struct Spare<B> {
    method: Method,
    uri: Uri,
    version: Version,
    headers: KeptHeaders,
    extensions: Extensions,
    body: B,
}

impl<B: Replay> Spare<B> {
    /// Keeps what is needed to send the request again; `None` if its body can be sent only once.
    #[must_use]
    pub fn of(request: &Request<B>) -> Option<Self> {
        let body = request.body().try_clone()?;
        let extensions = request.extensions();
        let is_context_alone = extensions.len() == 1 && extensions.get::<CallContext>().is_some();
        Some(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: KeptHeaders::of(request.headers()),
            extensions: if is_context_alone { Extensions::new() } else { extensions.clone() },
            body,
        })
    }
}

impl<B> Spare<B> {
    /// The request once more, with this context in place of its own.
    #[must_use]
    pub fn into_request(self, context: CallContext) -> Request<B> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.into_map();
        *request.extensions_mut() = self.extensions;
        request.extensions_mut().insert(context);
        request
    }
}

/// Keeps a request that was not sent.
impl<B> From<Request<B>> for Spare<B> {
    fn from(request: Request<B>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: KeptHeaders::Whole(Box::new(head.headers)),
            extensions: head.extensions,
            body,
        }
    }
}

impl<B> fmt::Debug for Spare<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spare").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::time::Instant;

    use super::*;
    use crate::{Call, replay_with};

    #[derive(Debug, Clone, PartialEq)]
    struct Theirs(u8);

    fn request() -> Request<Full<Bytes>> {
        Request::put("/path?query")
            .version(Version::HTTP_2)
            .header("x", "1")
            .header("y", "2")
            .header("x", "3")
            .body(Full::from("{}"))
            .expect("valid")
    }

    fn context() -> CallContext {
        let mut context = CallContext::new(Call::default(), Instant::now());
        context.set_attempts_left(Some(7));
        context
    }

    #[test]
    fn all_of_a_request_comes_again_with_the_context_that_it_is_given() {
        for theirs in [None, Some(Theirs(3))] {
            for has_context in [false, true] {
                let mut request = request();
                if let Some(theirs) = theirs.clone() {
                    request.extensions_mut().insert(theirs);
                }
                if has_context {
                    CallContext::of(&mut request);
                }
                let kept = Spare::of(&request).expect("can be sent again");
                for spare in [kept, Spare::from(request)] {
                    let again = spare.into_request(context());
                    assert_eq!((again.method(), again.version()), (&Method::PUT, Version::HTTP_2));
                    assert_eq!((again.uri(), again.headers()), (self::request().uri(), self::request().headers()));
                    assert_eq!(again.extensions().get(), theirs.as_ref());
                    let left = again.extensions().get::<CallContext>().and_then(CallContext::attempts_left);
                    assert_eq!(left, Some(7));
                }
            }
        }
    }

    #[test]
    fn a_body_that_can_be_sent_only_once_makes_no_spare() {
        assert!(Spare::of(&request().map(|body| replay_with(body, |_| None))).is_none());
    }
}
