//! Writing another model's name into a request.

use std::sync::Arc;

use http::{Request, Uri, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower_aoai_core::{Address, Call, CallContext, Reason, Rejected, RequestBody};

const NAME: &str = "model layer";

/// All but what stands for itself in any path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The request asks for `model` now; or it is as it was, and the refusal says why.
pub(super) fn ask_for(request: &mut Request<RequestBody>, model: &Arc<str>) -> Result<(), Rejected> {
    let (asked, spans) = {
        let call = Call::of(request);
        (call.target().map(Arc::<str>::from), call.spans.clone())
    };
    if asked.as_ref() == Some(model) {
        return Ok(());
    }
    let path = deployed(request, model)?;
    let name = serde_json::Value::from(&**model).to_string();
    let written = match spans.model {
        Some(span) => request.body_mut().replace(span, name),
        // A classic path says it all.
        None if path.is_some() => Ok(()),
        None => request.body_mut().add_member(&spans, "model", &name),
    };
    written.map_err(|_| {
        Rejected::new(Reason::Unsupported, NAME)
            .detail("the request names its model neither in its path nor in a JSON body: no other can be asked for")
    })?;
    let is_deployed = path.is_some();
    if let Some(path) = path {
        *request.uri_mut() = path;
    }
    let context = CallContext::of(request);
    context.amend_call(|call| {
        if is_deployed {
            call.deployment = Some(Arc::clone(model));
        }
        if !is_deployed || call.model.is_some() {
            call.model = Some(Arc::clone(model));
        }
    });
    context.note_served(|served| served.model = Some(Arc::clone(model)));
    tracing::debug!(asked = asked.as_deref(), model = &**model, "another model is asked for");
    Ok(())
}

/// The address with the model as its deployment; `None` if it names none.
fn deployed(request: &Request<RequestBody>, model: &str) -> Result<Option<Uri>, Rejected> {
    let address = Address::read(request.uri(), request.headers());
    if address.deployment.is_none() {
        return Ok(None);
    }
    let path = request.uri().path();
    let marked = path.strip_suffix(address.rest).unwrap_or(path);
    let before = marked.trim_end_matches('/').rsplit_once('/').map_or("", |(before, _)| before);
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let path =
        PathAndQuery::try_from(format!("{before}/{}/{}{query}", utf8_percent_encode(model, UNRESERVED), address.rest));
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.ok();
    let uri = parts.path_and_query.is_some().then(|| Uri::from_parts(parts).ok()).flatten();
    match uri {
        Some(uri) => Ok(Some(uri)),
        None => Err(Rejected::new(Reason::Unsupported, NAME).detail("the model's name does not fit into an address")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(uri: &str, body: &str) -> Request<RequestBody> {
        let mut request = Request::post(uri).body(RequestBody::from(body.to_owned())).expect("a valid request");
        let call = Call::read(request.uri(), request.headers(), request.body().source());
        request.extensions_mut().insert(CallContext::new(call, tokio::time::Instant::now()));
        request
    }

    fn asked(uri: &str, body: &str, model: &str) -> (String, String) {
        let mut request = request(uri, body);
        ask_for(&mut request, &model.into()).expect("a rewritten request");
        let target = Call::of(&request).target().map(str::to_owned);
        assert_eq!(target.as_deref(), Some(model), "what lies below goes by the new name");
        let read = Call::read(request.uri(), request.headers(), &request.body().to_bytes());
        assert_eq!(read.target(), Some(model), "and so does the server");
        (request.uri().to_string(), String::from_utf8_lossy(&request.body().to_bytes()).into_owned())
    }

    #[test]
    fn the_name_is_written_where_the_request_has_its_own() {
        let uri = "https://r.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
        let body = r#"{"messages": [], "temperature":0.20}"#;
        let (to, left) = asked(uri, body, "mini");
        assert_eq!(to, uri.replace("gpt-4o", "mini"));
        assert_eq!(left, body, "the body names no model");
        let named = r#"{"model" : "gpt-4o","messages":[]}"#;
        assert_eq!(asked(uri, named, "mini").1, r#"{"model" : "mini","messages":[]}"#);
        let v1 = "https://r.openai.azure.com/openai/v1/chat/completions";
        assert_eq!(asked(v1, named, "mini"), (v1.to_owned(), r#"{"model" : "mini","messages":[]}"#.to_owned()));
        assert_eq!(asked(v1, r#"{"messages":[]}"#, "mini").1, r#"{"model":"mini","messages":[]}"#);
    }

    #[test]
    fn what_cannot_be_rewritten_is_refused_and_left_as_it_was() {
        let uri = "https://r.openai.azure.com/openai/v1/audio/transcriptions";
        let mut multipart = request(uri, "--boundary\r\n");
        let refused = ask_for(&mut multipart, &"whisper".into()).expect_err("no model is found");
        assert_eq!(refused.reason(), Reason::Unsupported);
        assert_eq!(multipart.body().to_bytes(), "--boundary\r\n");
    }

    proptest! {
        #[test]
        fn f5_any_name_arrives_as_it_was_given(
            name in "[^\u{0}-\u{1f}/?#]{1,24}",
            before in "[a-z0-9-]{1,12}",
        ) {
            let uri = format!("https://r.openai.azure.com/openai/deployments/{before}/embeddings?api-version=1");
            asked(&uri, r#"{"input":"x"}"#, &name);
            asked("http://localhost/openai/v1/responses", &format!(r#"{{"model":"{before}","input":"x"}}"#), &name);
        }
    }
}
