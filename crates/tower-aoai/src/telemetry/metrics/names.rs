//! What the metrics are called.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const DURATION: &str = "gen_ai.client.operation.duration";
pub(super) const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
pub(super) const PER_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";
pub(super) const TOKEN_USAGE: &str = "gen_ai.client.token.usage";
pub(super) const WAITED: &str = "tower_aoai.call.waited";
pub(super) const SPEND: &str = "tower_aoai.call.spend_dollars";
pub(super) const CALLS_IN_FLIGHT: &str = "tower_aoai.calls.in_flight";
pub(super) const SPILLS: &str = "tower_aoai.spills";
pub(super) const LEG_FAILURES: &str = "tower_aoai.leg.failures";
pub(super) const ATTEMPTS: &str = "tower_aoai.attempts";
pub(super) const ATTEMPT_DURATION: &str = "tower_aoai.attempt.duration";
pub(super) const FIRST_BYTE: &str = "tower_aoai.attempt.first_byte";
pub(super) const ATTEMPT_TOKENS: &str = "tower_aoai.attempt.tokens";
pub(super) const ATTEMPTS_IN_FLIGHT: &str = "tower_aoai.attempts.in_flight";
pub(super) const RETRIES: &str = "tower_aoai.retries";
pub(super) const GATE: &str = "tower_aoai.gate.duration";

/// Upper bounds of buckets for the histograms of seconds, as OpenTelemetry recommends them for
/// `gen_ai.client.operation.duration`.
pub const SECONDS: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Upper bounds of buckets for the histogram of tokens, as OpenTelemetry recommends them for
/// `gen_ai.client.token.usage`.
pub const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Tells the exporter what they are.
pub(super) fn describe() {
    describe_histogram!(DURATION, Unit::Seconds, "From the door to the end of a call");
    describe_histogram!(FIRST_CHUNK, Unit::Seconds, "From the door to the first content of a streamed answer");
    describe_histogram!(PER_CHUNK, Unit::Seconds, "From each event of a streamed answer with content to the next one");
    describe_histogram!(TOKEN_USAGE, Unit::Count, "Tokens of a call, as its answer says");
    describe_histogram!(WAITED, Unit::Seconds, "What a call spent waiting for hints, backoff and quota");
    describe_histogram!(SPEND, "What a call cost with all its attempts, in US dollars");
    describe_gauge!(CALLS_IN_FLIGHT, Unit::Count, "Calls that have not ended");
    describe_counter!(SPILLS, Unit::Count, "Calls meant for a provisioned deployment that another one served");
    describe_counter!(LEG_FAILURES, Unit::Count, "Legs that did not serve a call");
    describe_counter!(ATTEMPTS, Unit::Count, "Attempts by what they came to");
    describe_histogram!(ATTEMPT_DURATION, Unit::Seconds, "From the send until the outcome of an attempt was known");
    describe_histogram!(FIRST_BYTE, Unit::Seconds, "From the send to the head of the answer");
    describe_counter!(ATTEMPT_TOKENS, Unit::Count, "Tokens of attempts, as their answers say");
    describe_gauge!(ATTEMPTS_IN_FLIGHT, Unit::Count, "Attempts that have not ended");
    describe_counter!(RETRIES, Unit::Count, "Attempts that sent a call again, by what the one before came to");
    describe_histogram!(GATE, Unit::Seconds, "How long the server asks to wait when it throttles");
}
