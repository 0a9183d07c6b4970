//! What a status says, and what would have been one.

use http::StatusCode;

use super::{error_body::ErrorBody, words};
use crate::{Call, Operation, Outcome};

/// What a status says whatever the body is.
pub(super) const fn by_status(status: u16) -> Option<Outcome> {
    match status {
        100..=199 => Some(Outcome::Success), // 101: the protocol was switched as asked; no other is a final answer
        300..=399 | 401 | 402 | 407 => Some(Outcome::Misconfigured),
        499 => Some(Outcome::Cancelled),
        _ => None,
    }
}

/// The status that a stream's error would have had as an answer of its own.
pub(super) fn status_of(error: &ErrorBody<'_>) -> StatusCode {
    let is_error = |status: &StatusCode| status.is_client_error() || status.is_server_error();
    let coded = error.code.as_deref().and_then(|code| code.parse().ok());
    if let Some(status) = coded.filter(is_error) {
        status
    } else if error.is_coded(words::CALLER_TYPES) {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

/// A 404 that does not name the deployment: of the route, or of a thing that the caller named (a response, a file).
///
/// For chat, completions and embeddings nothing but the endpoint's address can be missing; otherwise an error that
/// is well-formed and does not speak of the route is the caller's.
pub(super) fn not_found(call: &Call, error: &ErrorBody<'_>) -> Outcome {
    let inference = matches!(call.operation, Operation::Chat | Operation::Completions | Operation::Embeddings);
    let route = error.is_coded(words::NO_ROUTE_CODES) || error.says(words::NO_ROUTE_WORDS);
    if inference || route || !error.is_json { Outcome::Misconfigured } else { Outcome::Refused }
}
