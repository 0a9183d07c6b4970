//! The span of a call.

use tower_aoai_core::CallContext;
use tracing::{Span, field::Empty, info_span};

use crate::telemetry::{
    CallRecord,
    figures::millis,
    semantic::{PROVIDER, api_type, operation_name},
};

/// The span of the call that a request belongs to: an extension, for a layer in between may run it in another task.
#[derive(Clone)]
pub(in crate::telemetry) struct CallSpan(pub(in crate::telemetry) Span);

pub(super) fn begin(context: &CallContext) -> Span {
    let call = context.call();
    info_span!(
        target: "tower_aoai::call",
        "call",
        otel.name = %format_args!("{} {}", operation_name(call.operation), call.target().unwrap_or_default()),
        otel.kind = "client",
        gen_ai.operation.name = operation_name(call.operation),
        gen_ai.provider.name = PROVIDER,
        gen_ai.request.model = call.target(),
        gen_ai.request.max_tokens = call.max_output_tokens,
        gen_ai.request.stream = call.stream,
        openai.api.type = api_type(call.operation),
        gen_ai.response.model = Empty,
        gen_ai.response.time_to_first_chunk = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.cache_creation.input_tokens = Empty,
        gen_ai.usage.reasoning.output_tokens = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
        otel.status_code = Empty,
        tower_aoai.ending = Empty,
        tower_aoai.endpoint = Empty,
        tower_aoai.leg = Empty,
        tower_aoai.spilled_from = Empty,
        tower_aoai.attempts = Empty,
        tower_aoai.retries = Empty,
        tower_aoai.waited_ms = Empty,
        tower_aoai.spend_nano_dollars = Empty,
    )
}

pub(super) fn end(span: &Span, record: &CallRecord) {
    if span.is_disabled() {
        return;
    }
    let served = &record.served;
    span.record("tower_aoai.ending", record.ending.name());
    span.record("tower_aoai.attempts", record.attempts);
    span.record("tower_aoai.retries", record.retries);
    span.record("tower_aoai.waited_ms", millis(record.waited));
    span.record("gen_ai.response.model", record.answer_model.as_deref());
    span.record("http.response.status_code", record.status.map(|status| status.as_u16()));
    span.record("error.type", record.ending.error_type());
    span.record("otel.status_code", record.ending.error_type().map(|_| "ERROR"));
    span.record("tower_aoai.endpoint", served.endpoint.as_deref());
    span.record("tower_aoai.leg", served.leg.as_deref());
    span.record("tower_aoai.spilled_from", served.spilled_from.as_deref());
    span.record("tower_aoai.spend_nano_dollars", record.spend_nano_dollars);
    if record.is_streamed {
        span.record("gen_ai.response.time_to_first_chunk", record.first_content.map(|time| time.as_secs_f64()));
    }
    if let Some(usage) = record.usage {
        span.record("gen_ai.usage.input_tokens", usage.input);
        span.record("gen_ai.usage.output_tokens", usage.output);
        span.record("gen_ai.usage.cache_read.input_tokens", usage.cached);
        span.record("gen_ai.usage.cache_creation.input_tokens", usage.cache_write);
        span.record("gen_ai.usage.reasoning.output_tokens", usage.reasoning);
    }
}
