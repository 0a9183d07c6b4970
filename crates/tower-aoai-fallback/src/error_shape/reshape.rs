//! What another provider's error says, in OpenAI's words.

use http::StatusCode;
use serde_json::{Map, Value, json};
use tower_aoai_core::rejected_response::error_type;

/// How much of a text that is no JSON is taken over.
const TEXT: usize = 1_000;

/// The error in OpenAI's shape; `None` if it has that already.
pub(super) fn reshaped(status: StatusCode, body: &[u8]) -> Option<Vec<u8>> {
    let found = serde_json::from_slice::<Value>(body).ok();
    let said = match &found {
        Some(Value::Object(object)) if has_the_shape(object) => return None,
        Some(Value::Object(object)) => object.get("error").and_then(Value::as_object).unwrap_or(object),
        _ => &Map::new(),
    };
    let plain = || match &found {
        Some(Value::Object(object)) => text(object.get("error")),
        Some(other) => text(Some(other)),
        None => Some(String::from_utf8_lossy(body).trim().chars().take(TEXT).collect()),
    };
    let message = ["message", "detail", "title", "msg"].iter().find_map(|key| text(said.get(*key)));
    let message = message.or_else(plain).filter(|message| !message.is_empty());
    let kind = text(said.get("type")).unwrap_or_else(|| error_type(status).to_owned());
    let shaped = json!({ "error": {
        "message": message.unwrap_or_else(|| format!("the server answered {status} and said nothing more")),
        "type": kind,
        "param": text(said.get("param")),
        "code": text(said.get("code")).unwrap_or_else(|| status.as_u16().to_string()),
    }});
    serde_json::to_vec(&shaped).ok()
}

fn has_the_shape(object: &Map<String, Value>) -> bool {
    let message = object.get("error").and_then(|error| error.get("message"));
    message.is_some_and(Value::is_string)
}

/// Text, a number, or the first message of a list of them.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) => {
            let first = list.first()?;
            text(Some(first)).or_else(|| text(first.get("msg"))).or_else(|| text(first.get("message")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shaped(status: u16, body: &str) -> Option<Value> {
        let status = StatusCode::from_u16(status).expect("a status");
        reshaped(status, body.as_bytes()).map(|shaped| serde_json::from_slice(&shaped).expect("JSON"))
    }

    #[test]
    fn what_has_the_shape_stays() {
        assert_eq!(shaped(400, r#"{"error":{"message":"no","code":"content_filter","innererror":{}}}"#), None);
    }

    #[test]
    fn the_message_is_found_where_providers_put_it() {
        for (body, message, code) in [
            (r#"{"message":"no such model","code":404}"#, "no such model", "404"),
            (r#"{"error":"invalid_grant"}"#, "invalid_grant", "429"),
            (r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, "field required", "429"),
            (r#"{"type":"error","error":{"type":"overloaded","detail":"busy"}}"#, "busy", "429"),
            (r#"{"statusCode":429,"title":"slow down"}"#, "slow down", "429"),
            ("upstream connect error", "upstream connect error", "429"),
        ] {
            let error = shaped(429, body).expect("a new shape")["error"].take();
            assert_eq!(error["message"], message, "{body}");
            assert_eq!(error["code"], code, "{body}");
            assert!(error["type"].is_string());
        }
        let silent = shaped(503, "").expect("a new shape");
        assert_eq!(silent["error"]["type"], "server_error");
        assert!(silent["error"]["message"].as_str().is_some_and(|message| message.contains("503")));
    }

    proptest! {
        #[test]
        fn anything_comes_out_in_the_shape(body in prop::collection::vec(any::<u8>(), 0..200), status in 400u16..600) {
            let status = StatusCode::from_u16(status).expect("a status");
            if let Some(shaped) = reshaped(status, &body) {
                let read: Value = serde_json::from_slice(&shaped).expect("JSON");
                prop_assert!(has_the_shape(read.as_object().expect("an object")));
                prop_assert_eq!(reshaped(status, &shaped), None, "once is enough");
            }
        }
    }
}
