//! How a request is made to ask.

use bytes::Bytes;
use http::Request;
use tokio::time::Instant;

use crate::{ApiStyle, Call, CallContext, EditError, Operation, RequestBody, Spans, json_object};

/// Asks for the usage where the answer would lack it, and says so in the context.
pub(super) fn ask(request: &mut Request<RequestBody>) {
    if request.extensions().get::<CallContext>().is_none() {
        let context = CallContext::new(Call::of(request).into_owned(), Instant::now());
        request.extensions_mut().insert(context);
    }
    if CallContext::of(request).usage_added() {
        return;
    }
    let spans = lacks_usage(&Call::of(request));
    if spans.is_some_and(|spans| add(request.body_mut(), &spans).is_ok()) {
        CallContext::of(request).set_usage_added(true);
    }
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
    let object = json_object::read(options, &["include_usage"]).ok_or(EditError::NoObject)?;
    let mut asking = RequestBody::from(options.clone());
    match object.values[0] {
        Some(said) => {
            let refuses = matches!(said.get(), "false" | "null");
            let span = json_object::span(options, said).filter(|_| refuses);
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
