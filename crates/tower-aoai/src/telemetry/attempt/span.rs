//! The span of an attempt.

use http::Request;
use tower_aoai_core::CallContext;
use tracing::{Span, field::Empty, info_span};

use crate::telemetry::{AttemptRecord, call::span::CallSpan, figures::millis};

/// A child of the call's span, also where a layer in between has the request sent by another task.
pub(super) fn begin<B>(endpoint: &str, resends: u32, request: &Request<B>) -> Span {
    let above = || match request.extensions().get::<CallSpan>() {
        Some(CallSpan(call)) => call.id(),
        None => Span::current().id(),
    };
    let target = || request.extensions().get::<CallContext>()?.call().target();
    info_span!(
        target: "tower_aoai::attempt",
        parent: above(),
        "attempt",
        otel.name = %format_args!("attempt {endpoint}"),
        otel.kind = "client",
        tower_aoai.endpoint = endpoint,
        gen_ai.request.model = target(),
        server.address = request.uri().host(),
        server.port = request.uri().port_u16(),
        http.request.resend_count = (resends > 0).then_some(resends),
        gen_ai.response.model = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
        otel.status_code = Empty,
        tower_aoai.leg = Empty,
        tower_aoai.outcome = Empty,
        tower_aoai.is_sent = Empty,
        tower_aoai.hint_ms = Empty,
        tower_aoai.first_byte_ms = Empty,
        tower_aoai.first_content_ms = Empty,
        tower_aoai.input_tokens = Empty,
        tower_aoai.output_tokens = Empty,
    )
}

pub(super) fn end(span: &Span, record: &AttemptRecord) {
    if span.is_disabled() {
        return;
    }
    span.record("tower_aoai.outcome", record.outcome.name());
    span.record("tower_aoai.is_sent", record.is_sent);
    span.record("tower_aoai.leg", record.leg.as_deref());
    span.record("gen_ai.response.model", record.answer_model.as_deref());
    span.record("http.response.status_code", record.status.map(|status| status.as_u16()));
    span.record("error.type", record.error_type());
    span.record("otel.status_code", record.error_type().map(|_| "ERROR"));
    span.record("tower_aoai.hint_ms", record.outcome.hint().map(|hint| millis(hint.after)));
    span.record("tower_aoai.first_byte_ms", record.first_byte.map(millis));
    span.record("tower_aoai.first_content_ms", record.first_content.map(millis));
    span.record("tower_aoai.input_tokens", record.usage.map(|usage| usage.input));
    span.record("tower_aoai.output_tokens", record.usage.map(|usage| usage.output));
}
