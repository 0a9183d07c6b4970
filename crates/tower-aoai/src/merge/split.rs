//! The answer to a merged request, taken apart.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::join::members;

/// What one caller has in a merged request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) inputs: usize,
    pub(super) weight: u64,
}

/// A vector's entry, and where its number stands in it.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    index: &'a RawValue,
}

/// The answers for the callers, in the order of their shares; `None` if there is not exactly one vector for each input.
///
/// Vectors are numbered anew for each caller. Every whole number of `usage` is shared out by weight, so that the sum is
/// what the server says; what else is there each caller gets.
pub(super) fn split(body: &[u8], shares: &[Share]) -> Option<Vec<Bytes>> {
    let mut answer: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    let data: Vec<&RawValue> = serde_json::from_str(answer.remove("data")?.get()).ok()?;
    let vectors = in_order(&data, shares.iter().map(|share| share.inputs).sum())?;
    let usages = answer.remove("usage").and_then(|usage| share_usage(usage.get(), shares));
    let mut vectors = vectors.into_iter();
    let mut answers = Vec::with_capacity(shares.len());
    for (number, share) in shares.iter().enumerate() {
        let mut answer_of = b"{\"data\":[".to_vec();
        for (index, (before, after)) in vectors.by_ref().take(share.inputs).enumerate() {
            if index > 0 {
                answer_of.push(b',');
            }
            answer_of.extend_from_slice(before.as_bytes());
            answer_of.extend_from_slice(index.to_string().as_bytes());
            answer_of.extend_from_slice(after.as_bytes());
        }
        answer_of.push(b']');
        members(&mut answer_of, answer.iter().map(|(name, value)| (name.as_str(), value.get())));
        if let Some(usage) = usages.as_ref().and_then(|usages| usages.get(number)) {
            members(&mut answer_of, [("usage", usage.as_str())].into_iter());
        }
        answer_of.push(b'}');
        answers.push(answer_of.into());
    }
    Some(answers)
}

/// What stands before and after the number of each vector, by number.
fn in_order<'a>(data: &[&'a RawValue], count: usize) -> Option<Vec<(&'a str, &'a str)>> {
    let mut places = vec![None; count];
    for entry in data {
        let text = entry.get();
        let number = serde_json::from_str::<Entry<'_>>(text).ok()?.index.get();
        let place = places.get_mut(number.parse::<usize>().ok()?)?;
        let start = number.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let around = (text.get(..start)?, text.get(start + number.len()..)?);
        if place.replace(around).is_some() {
            return None;
        }
    }
    places.into_iter().collect()
}

fn share_usage(usage: &str, shares: &[Share]) -> Option<Vec<String>> {
    let usage: BTreeMap<String, &RawValue> = serde_json::from_str(usage).ok()?;
    let counts: Vec<(String, u64)> =
        usage.into_iter().filter_map(|(name, value)| Some((name, value.get().parse().ok()?))).collect();
    let shared: Vec<Vec<u64>> = counts.iter().map(|(_, total)| share_out(*total, shares)).collect();
    let of = |caller: usize| {
        let counts = counts
            .iter()
            .zip(&shared)
            .filter_map(|((name, _), shared)| Some((name.clone(), serde_json::Value::from(*shared.get(caller)?))));
        serde_json::Value::from_iter(counts).to_string()
    };
    Some((0..shares.len()).map(of).collect())
}

/// Whole parts of a total, by weight: each within one of its exact part, and all together the total.
fn share_out(total: u64, shares: &[Share]) -> Vec<u64> {
    let whole: u128 = shares.iter().map(|share| u128::from(share.weight)).sum::<u128>().max(1);
    let exact = |share: &Share| u128::from(total) * u128::from(share.weight);
    let mut parts: Vec<u64> =
        shares.iter().map(|share| u64::try_from(exact(share) / whole).unwrap_or(u64::MAX)).collect();
    let left = total.saturating_sub(parts.iter().sum());
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_by_key(|&caller| std::cmp::Reverse(exact(&shares[caller]) % whole));
    for &caller in by_remainder.iter().cycle().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        parts[caller] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn share(inputs: usize, weight: u64) -> Share {
        Share { inputs, weight }
    }

    #[test]
    fn each_has_its_vectors_in_order_whatever_the_order_of_the_answer() {
        let body = br#"{"object":"list","data":[
            {"object":"embedding","index":2,"embedding":[0.3]},
            {"embedding":"AAAA","index": 0 ,"object":"embedding"},
            {"object":"embedding","embedding":[0.2],"index":1}
        ],"model":"m","usage":{"prompt_tokens":10,"total_tokens":10,"details":{"a":1}}}"#;
        let answers = split(body, &[share(1, 1), share(2, 3)]).unwrap();
        let answers: Vec<Value> = answers.iter().map(|answer| serde_json::from_slice(answer).unwrap()).collect();
        assert_eq!(
            answers[0],
            json!({"object":"list","model":"m","usage":{"prompt_tokens":3,"total_tokens":3},
                "data":[{"object":"embedding","index":0,"embedding":"AAAA"}]})
        );
        assert_eq!(
            answers[1],
            json!({"object":"list","model":"m","usage":{"prompt_tokens":7,"total_tokens":7},
                "data":[{"object":"embedding","index":0,"embedding":[0.2]},{"object":"embedding","index":1,"embedding":[0.3]}]})
        );
    }

    #[test]
    fn an_answer_that_has_not_exactly_one_vector_for_each_input_is_not_taken_apart() {
        for body in [
            "",
            "{}",
            r#"{"data":null}"#,
            r#"{"data":[]}"#,
            r#"{"data":[{"index":0}]}"#,
            r#"{"data":[{"index":0},{"index":0}]}"#,
            r#"{"data":[{"index":0},{"index":2}]}"#,
            r#"{"data":[{"index":0},{"index":1},{"index":1}]}"#,
            r#"{"data":[{"index":0},{"index":-1}]}"#,
            r#"{"data":[{"index":0},{}]}"#,
            r#"{"data":[{"index":0},7]}"#,
        ] {
            assert_eq!(split(body.as_bytes(), &[share(1, 1), share(1, 1)]), None, "{body}");
        }
        assert!(split(br#"{"data":[{"index":0},{"index":1}]}"#, &[share(1, 1), share(1, 1)]).is_some());
    }

    proptest! {
        #[test]
        fn what_is_shared_out_adds_up_and_each_part_is_within_one_of_its_weight(
            total in 0_u64..1_000_000_000,
            weights in proptest::collection::vec(1_u64..100_000, 1..40),
        ) {
            let shares: Vec<Share> = weights.iter().map(|weight| share(1, *weight)).collect();
            let parts = share_out(total, &shares);
            prop_assert_eq!(parts.iter().sum::<u64>(), total);
            let whole: u64 = weights.iter().sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let exact = total as f64 * *weight as f64 / whole as f64;
                prop_assert!((*part as f64 - exact).abs() < 1.0 + 1e-6, "{part} for {exact}");
            }
        }

        #[test]
        fn no_answer_whatever_makes_it_panic(body in "\\PC*", inputs in 0_usize..4) {
            let _ = split(body.as_bytes(), &[share(inputs, 1)]);
        }
    }
}
