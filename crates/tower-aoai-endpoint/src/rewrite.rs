//! A request made into one for an endpoint, all but its credential.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use http::{HeaderValue, Request, Version, header};
use tower_aoai_core::{ApiStyle, Call, CallContext, EditError, Reason, Rejected, RequestBody, Spans};

use crate::{
    layer::{NAME, Settings},
    strip::strip_headers,
    translate::Untranslatable,
};

/// Addresses the request; it stays as it is where that is refused.
pub(crate) fn rewrite(settings: &Settings, request: &mut Request<RequestBody>) -> Result<(), Rejected> {
    try_rewrite(settings, request).map_err(|Untranslatable(why)| {
        settings.counters.unsupported.fetch_add(1, Relaxed);
        tracing::debug!(why, "the endpoint cannot serve the call");
        Rejected::new(Reason::Unsupported, NAME).detail(why)
    })
}

fn try_rewrite(settings: &Settings, request: &mut Request<RequestBody>) -> Result<(), Untranslatable> {
    let route = &settings.route;
    let call = Call::of(request);
    let translated = route.translate(request, &call)?;
    let mut body = request.body().clone();
    if let Some(name) = translated.name.as_deref().filter(|_| translated.writes_model) {
        write_model(&mut body, &call.spans, name).map_err(uneditable)?;
    }
    let added = match &settings.defaults {
        Some(defaults) => defaults.add(&call, &mut body).map_err(uneditable)?,
        None => None,
    };
    let (style, version) = (route.style.api_style(), route.style.api_version());
    let is_same = call.style == style
        && version.is_none_or(|version| call.api_version.as_ref() == Some(version))
        && call.target() == translated.name.as_deref().or(call.target())
        && added.is_none();
    if !is_same {
        let mut call = call.into_owned();
        amend(&mut call, style, version, translated.name, added);
        CallContext::of(request).amend_call(|known| *known = call);
    }
    *request.body_mut() = body;
    *request.uri_mut() = translated.uri;
    // The transport chooses; what the caller's connection spoke does not matter.
    *request.version_mut() = Version::default();
    let headers = request.headers_mut();
    strip_headers(headers);
    headers.insert(header::HOST, HeaderValue::clone(&route.base.host_header));
    Ok(())
}

fn write_model(body: &mut RequestBody, spans: &Spans, name: &str) -> Result<(), EditError> {
    let json = serde_json::Value::from(name).to_string();
    match spans.model.clone() {
        Some(span) => body.replace(span, json),
        None => body.add_member(spans, "model", &json),
    }
}

/// What the call is from here on.
fn amend(call: &mut Call, style: ApiStyle, version: Option<&Arc<str>>, name: Option<Arc<str>>, added: Option<u64>) {
    call.style = style;
    call.api_version = version.cloned();
    if let Some(name) = name {
        let in_path = style == ApiStyle::Classic;
        call.deployment = in_path.then(|| Arc::clone(&name));
        if !in_path {
            call.model = Some(name);
        }
    }
    call.max_output_tokens = call.max_output_tokens.or(added);
}

fn uneditable(error: EditError) -> Untranslatable {
    Untranslatable(format!("its body cannot be rewritten: {error}"))
}
