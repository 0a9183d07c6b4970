//! Bodies that can be read and rewritten.

use std::any::Any;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tower_aoai_core::{CallContext, RequestBody};

use crate::judge::Changes;

/// The body, if it is one that is in memory.
pub(crate) fn read<B: 'static>(body: &B) -> Option<RequestBody> {
    let body: &dyn Any = body;
    if let Some(body) = body.downcast_ref::<RequestBody>() {
        return Some(body.clone());
    }
    body.downcast_ref::<Full<Bytes>>().map(|full| full.clone().into())
}

/// Makes all changes, or, if one overlaps what a layer above has changed, none and says so.
///
/// What the request asks for is amended for the layers below, who reserve and charge by it.
pub(crate) fn rewrite<B: 'static>(request: &mut Request<B>, changes: Changes) -> bool {
    if changes.edits.is_empty() {
        return true;
    }
    let Some(mut body) = read(request.body()) else {
        return false;
    };
    if changes.edits.into_iter().any(|(span, with)| body.replace(span, with).is_err()) {
        return false;
    }
    let place: &mut dyn Any = request.body_mut();
    if let Some(place) = place.downcast_mut::<RequestBody>() {
        *place = body;
    } else if let Some(place) = place.downcast_mut::<Full<Bytes>>() {
        *place = Full::new(body.to_bytes());
    }
    request.headers_mut().remove(header::CONTENT_LENGTH);
    CallContext::of(request).amend_call(|call| {
        call.prompt_bytes = call.prompt_bytes.saturating_sub(changes.shorter);
        call.max_output_tokens = changes.output.or(call.max_output_tokens);
    });
    true
}
