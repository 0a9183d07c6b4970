//! Embeddings: vectors of length one, drawn from the request's generator.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Answer;
use crate::{draw::Draws, request::Ask};

/// The length of a vector when the request does not say: that of all models but the large one.
const DIMENSIONS: u64 = 1_536;
/// The longest that can be asked for: that of the large model.
pub(super) const MOST_DIMENSIONS: u64 = 3_072;

pub(super) fn whole(answer: &Answer, ask: &Ask, draws: &mut Draws) -> Bytes {
    let large = answer.model.starts_with("text-embedding-3-large");
    let usual = if large { MOST_DIMENSIONS } else { DIMENSIONS };
    let dimensions = ask.dimensions.unwrap_or(usual).min(MOST_DIMENSIONS);
    let data: Vec<Value> = (0..ask.inputs)
        .map(|index| {
            let vector = vector(dimensions, draws);
            let embedding = if ask.base64 { base64(&vector).into() } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let body = json!({
        "object": "list", "data": data, "model": answer.model, "usage": {
            "prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens,
        },
    });
    body.to_string().into()
}

#[expect(clippy::cast_possible_truncation, reason = "vectors are of single precision")]
fn vector(dimensions: u64, draws: &mut Draws) -> Vec<f32> {
    let raw: Vec<f64> = (0..dimensions).map(|_| draws.unit() - 0.5).collect();
    let length = raw.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    raw.into_iter().map(|value| (value / length) as f32).collect()
}

/// The vector's little-endian bytes in base64, as official clients ask for it.
fn base64(vector: &[f32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut bits = 0_u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(index).copied().unwrap_or_default());
        }
        for index in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * index) & 63).unwrap_or_default();
            let digit = if index > chunk.len() { b'=' } else { DIGITS[digit] };
            // Writing to a string cannot fail.
            let _ = write!(text, "{}", char::from(digit));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_known_bytes() {
        // 1.0_f32 is 00 00 80 3F, 2.0_f32 is 00 00 00 40, little-endian.
        assert_eq!(base64(&[1.0]), "AACAPw==");
        assert_eq!(base64(&[1.0, 2.0]), "AACAPwAAAEA=");
        assert_eq!(base64(&[1.0, 2.0, 1.0]), "AACAPwAAAEAAAIA/");
    }
}
