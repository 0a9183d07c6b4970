use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use crate::Scripted;

/// One answer that is dictated, as the admin API's JSON has it: see [the table](super).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerSpec {
    kind: String,
    times: Option<usize>,
    after_ms: Option<u64>,
    seconds: Option<u64>,
    status: Option<u16>,
    body: Option<Value>,
    events: Option<u64>,
    pieces: Option<Vec<String>>,
    text: Option<String>,
    calls: Option<Vec<CallSpec>>,
    bytes: Option<usize>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    without_headers: Vec<String>,
    delay_ms: Option<u64>,
    first_token_ms: Option<u64>,
    gap_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallSpec {
    name: String,
    /// JSON, or a text that is sent as it is.
    arguments: Value,
}

const KINDS: &str = "ok, text, tool_calls, rate_limited, rate_limited_zero, too_large, no_capacity, gateway_rate_limited, refused_stream, status, response, content_filter, context_length, filtered, virtual_network, permission_denied, wrong_key, plain_text_503, hang, reset, cut, error, stall, end, malformed, without_done, events, drip";

impl AnswerSpec {
    pub(super) fn times(&self) -> usize {
        self.times.unwrap_or(1)
    }

    /// What it stands for, or a sentence about what it lacks.
    pub(super) fn scripted(self) -> Result<Scripted, String> {
        let mut scripted = self.kind()?;
        for (name, value) in &self.headers {
            scripted = scripted.header(name, value);
        }
        for name in &self.without_headers {
            scripted = scripted.without_header(name);
        }
        if let Some(delay) = self.delay_ms {
            scripted = scripted.after(Duration::from_millis(delay));
        }
        if let Some(delay) = self.first_token_ms {
            scripted = scripted.first_token_after(Duration::from_millis(delay));
        }
        if let Some(gap) = self.gap_ms {
            scripted = scripted.every(Duration::from_millis(gap));
        }
        Ok(scripted)
    }

    fn kind(&self) -> Result<Scripted, String> {
        let lacks = |key: &str| format!("{:?} needs {key}", self.kind);
        let events = || self.events.ok_or_else(|| lacks("events, a number"));
        let after = self.after_ms.map(Duration::from_millis);
        Ok(match self.kind.as_str() {
            "ok" => Scripted::ok(),
            "text" => Scripted::text(self.text.as_deref().ok_or_else(|| lacks("text"))?),
            "tool_calls" => self.tool_calls().ok_or_else(|| lacks("calls"))?,
            "rate_limited" => match (after, self.seconds) {
                (Some(after), None) => Scripted::rate_limited(after),
                (None, Some(seconds)) => Scripted::rate_limited_seconds(seconds),
                (None, None) => Scripted::rate_limited_silently(),
                (Some(_), Some(_)) => return Err("give after_ms or seconds, not both".to_owned()),
            },
            "rate_limited_zero" => Scripted::rate_limited_zero(),
            "too_large" => Scripted::too_large(),
            "no_capacity" => Scripted::no_capacity(),
            "gateway_rate_limited" => {
                let seconds = self.seconds.ok_or_else(|| lacks("seconds"))?;
                Scripted::gateway_rate_limited(seconds)
            }
            "refused_stream" => Scripted::refused_stream(after.unwrap_or(Duration::from_secs(1))),
            "status" => Scripted::status(self.status(&lacks)?),
            "response" => {
                let body = match &self.body {
                    None => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(json) => json.to_string(),
                };
                Scripted::response(self.status(&lacks)?, body)
            }
            "content_filter" => Scripted::content_filter(),
            "context_length" => Scripted::context_length(),
            "filtered" => Scripted::filtered_after(self.events.unwrap_or_default()),
            "virtual_network" => Scripted::virtual_network(),
            "permission_denied" => Scripted::permission_denied(),
            "wrong_key" => Scripted::status(401),
            "plain_text_503" => Scripted::plain_text_503(),
            "hang" => Scripted::hang(),
            "reset" => Scripted::reset(),
            "cut" => Scripted::cut_after(events()?),
            "error" => Scripted::error_after(events()?),
            "stall" => Scripted::stall_after(events()?),
            "end" => Scripted::end_after(events()?),
            "malformed" => Scripted::malformed_after(events()?),
            "without_done" => Scripted::without_done(),
            "events" => {
                let pieces = self.pieces.clone();
                Scripted::events(pieces.ok_or_else(|| lacks("pieces, a list of texts"))?)
            }
            "drip" => {
                let gap = self.gap_ms.ok_or_else(|| lacks("gap_ms"))?;
                Scripted::drip(self.bytes.unwrap_or(1), Duration::from_millis(gap))
            }
            other => return Err(format!("kind: {other:?} is none of {KINDS}")),
        })
    }

    fn status(&self, lacks: &dyn Fn(&str) -> String) -> Result<u16, String> {
        match self.status {
            Some(status) if (200..=599).contains(&status) => Ok(status),
            Some(status) => Err(format!("status: {status} is none: give one from 200 to 599")),
            None => Err(lacks("status")),
        }
    }

    fn tool_calls(&self) -> Option<Scripted> {
        let calls: Vec<(&str, String)> = self
            .calls
            .as_ref()?
            .iter()
            .map(|call| {
                let arguments = match &call.arguments {
                    Value::String(text) => text.clone(),
                    json => json.to_string(),
                };
                (&*call.name, arguments)
            })
            .collect();
        let calls = calls.iter().map(|(name, arguments)| (*name, &**arguments));
        Some(Scripted::tool_calls(calls))
    }
}
