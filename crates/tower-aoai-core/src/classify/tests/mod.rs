//! Every answer that Azure is known to give, to the letter.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;
use crate::{ApiStyle, Hint, HintSource, Operation, Scope};

mod bodies;
mod failures;
mod garbage;
mod statuses;
mod streams;
mod throttles;
mod zero_hint;

type Pairs<'a> = &'a [(&'static str, &'a str)];

const AZURE: AzureClassifier = AzureClassifier::new();

fn headers(pairs: Pairs<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn call(operation: Operation) -> Call {
    Call { operation, style: ApiStyle::Classic, ..Call::default() }
}

/// A chat whose estimate is so many tokens.
fn costing(tokens: u64) -> Call {
    Call { max_output_tokens: Some(tokens), choices: 1, ..call(Operation::Chat) }
}

/// The verdict on a whole answer, by the two phases.
fn verdict(call: &Call, status: u16, pairs: Pairs<'_>, body: &[u8]) -> Verdict {
    let headers = headers(pairs);
    let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers: &headers };
    match AZURE.head(call, head) {
        HeadVerdict::Known(verdict) => {
            assert_eq!(AZURE.error_body(call, head, body), verdict, "two phases, two verdicts");
            verdict
        }
        HeadVerdict::ReadBody => AZURE.error_body(call, head, body),
        HeadVerdict::Open => Outcome::Success.into(),
    }
}

fn judge(status: u16, pairs: Pairs<'_>, body: &str) -> Outcome {
    verdict(&call(Operation::Chat), status, pairs, body.as_bytes()).outcome
}

fn hint(millis: u64, source: HintSource) -> Option<Hint> {
    Some(Hint { after: Duration::from_millis(millis), source })
}

fn throttled(scope: Scope, hint: Option<Hint>) -> Outcome {
    Outcome::Throttled { hint, scope }
}
