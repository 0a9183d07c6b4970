use std::sync::Arc;

use http::{HeaderMap, request::Parts};
use serde_json::{Map, Value};

use super::{Operation, Route, prompt::Prompt, tools};
use crate::{
    CACHED_TOKENS_HEADER, COMPLETION_TOKENS_HEADER, PACE_HEADER, PROMPT_TOKENS_HEADER, TokenCounter,
    answer::{Call, errors::Failure},
};

/// A request's body, understood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// Answers that are given, and answers that are charged (`best_of`).
    pub(crate) choices: u64,
    pub(crate) charged_choices: u64,
    pub(crate) max_output: Option<u64>,
    /// The name of the field that limited the output, for messages.
    pub(crate) max_output_field: &'static str,
    pub(crate) characters: u64,
    pub(crate) prompt_tokens: u64,
    /// Whether the prompt's tokens were dictated by a header rather than counted.
    pub(crate) dictated: bool,
    pub(crate) cached_tokens: u64,
    pub(crate) completion_tokens: Option<u64>,
    /// Whose pace it has, in place of one of its own.
    pub(crate) pace: Option<u64>,
    /// The call of a tool that the request forces.
    pub(crate) forced_call: Option<Call>,
    /// Embeddings: the tokens of each input, how long the vectors are, and whether they are
    /// wanted in base64.
    pub(crate) inputs: usize,
    pub(crate) dimensions: Option<u64>,
    pub(crate) base64: bool,
}

/// The body's `model`, and the body itself.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Failure::invalid_json()),
    }
}

pub(crate) fn model(fields: &Map<String, Value>) -> Result<Arc<str>, Failure> {
    match fields.get("model") {
        Some(Value::String(model)) if !model.is_empty() => Ok(model.as_str().into()),
        None | Some(Value::Null | Value::String(_)) => Err(Failure::missing("model")),
        Some(other) => Err(Failure::wrong_type("model", "a string", other)),
    }
}

/// Reads the body of a request whose route is known.
pub(crate) fn ask(
    parts: &Parts,
    route: &Route,
    fields: &Map<String, Value>,
    counter: &dyn TokenCounter,
    model: &str,
) -> Result<Ask, Failure> {
    let mut prompt = Prompt::new(counter, model);
    let mut ask = Ask { choices: 1, charged_choices: 1, ..Ask::default() };
    let limits: &[&'static str] = match route.operation {
        Operation::ChatCompletions => {
            prompt.messages(fields)?;
            &["max_completion_tokens", "max_tokens"]
        }
        Operation::Completions => {
            prompt.inputs("prompt", fields)?;
            &["max_tokens"]
        }
        Operation::Embeddings => {
            prompt.inputs("input", fields)?;
            &[]
        }
        Operation::Responses => {
            prompt.response_input(fields)?;
            &["max_output_tokens"]
        }
        Operation::Models | Operation::Unknown => &[],
    };
    for field in limits {
        if let Some(limit) = positive(fields, field)? {
            ask.max_output = Some(limit);
            ask.max_output_field = field;
            break;
        }
    }
    match route.operation {
        Operation::ChatCompletions => {
            ask.choices = choices(fields, "n")?;
            ask.charged_choices = ask.choices;
            ask.forced_call = tools::forced(fields)?;
        }
        Operation::Completions => {
            ask.choices = choices(fields, "n")?;
            ask.charged_choices = choices(fields, "best_of")?.max(ask.choices);
            // The default of this operation, by its specification.
            ask.max_output = ask.max_output.or(Some(16));
        }
        Operation::Embeddings => {
            ask.dimensions = positive(fields, "dimensions")?;
            ask.base64 = fields.get("encoding_format").is_some_and(|format| format == "base64");
        }
        Operation::Responses => ask.forced_call = tools::forced(fields)?,
        Operation::Models | Operation::Unknown => {}
    }
    if route.operation != Operation::Embeddings {
        ask.stream = boolean(fields, "stream")?;
        ask.include_usage = include_usage(fields, route, ask.stream)?;
    }
    ask.characters = prompt.characters;
    ask.prompt_tokens = prompt.tokens;
    ask.inputs = prompt.inputs;
    if let Some(tokens) = number_header(&parts.headers, PROMPT_TOKENS_HEADER) {
        ask.prompt_tokens = tokens;
        ask.dictated = true;
    }
    ask.cached_tokens = number_header(&parts.headers, CACHED_TOKENS_HEADER).unwrap_or_default().min(ask.prompt_tokens);
    ask.completion_tokens = number_header(&parts.headers, COMPLETION_TOKENS_HEADER);
    ask.pace = number_header(&parts.headers, PACE_HEADER);
    Ok(ask)
}

fn number_header(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn include_usage(fields: &Map<String, Value>, route: &Route, stream: bool) -> Result<bool, Failure> {
    let options = match fields.get("stream_options") {
        None | Some(Value::Null) => return Ok(false),
        Some(_) if !route.knows_stream_options() => {
            return Err(Failure::unknown_parameter("stream_options"));
        }
        Some(Value::Object(options)) => options,
        Some(other) => return Err(Failure::wrong_type("stream_options", "an object", other)),
    };
    if !stream {
        return Err(Failure::stream_options_without_stream());
    }
    boolean(options, "include_usage")
}

/// `n` and `best_of`: from 1 to 128, the most the specification allows.
fn choices(fields: &Map<String, Value>, name: &'static str) -> Result<u64, Failure> {
    match positive(fields, name)? {
        Some(count) if count > 128 => Err(Failure::above_maximum(name, 128, count)),
        count => Ok(count.unwrap_or(1)),
    }
}

fn boolean(fields: &Map<String, Value>, name: &'static str) -> Result<bool, Failure> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(Failure::wrong_type(name, "a boolean", other)),
    }
}

fn positive(fields: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, Failure> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) if value > 0 => Ok(Some(value)),
            (Some(0), _) => Err(Failure::below_minimum(name, 0)),
            (_, Some(value)) => Err(Failure::below_minimum(name, value)),
            _ => Err(Failure::wrong_type(name, "an integer", &Value::Number(number.clone()))),
        },
        Some(other) => Err(Failure::wrong_type(name, "an integer", other)),
    }
}
