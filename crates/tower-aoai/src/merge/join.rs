//! The body of a merged request.

use std::io::Write;

use bytes::Bytes;

use super::asked::Rest;

/// All inputs in one array, beside what all requests say alike.
pub(super) fn join(rest: &Rest, inputs: impl Iterator<Item: AsRef<[u8]>>) -> Bytes {
    let mut body = b"{\"input\":[".to_vec();
    for (number, input) in inputs.enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.extend_from_slice(input.as_ref());
    }
    body.push(b']');
    members(&mut body, rest.iter().map(|(name, value)| (name.as_str(), &**value)));
    body.push(b'}');
    body.into()
}

/// Writes members behind another one.
pub(super) fn members<'a>(object: &mut Vec<u8>, members: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, value) in members {
        // Neither can fail: it is a text, and memory.
        let _ = write!(object, ",{}:{value}", serde_json::Value::from(name));
    }
}
