//! Reading requests: the address first, then the body.

use std::{fmt, sync::Arc};

use http::{HeaderMap, Method, Uri, request::Parts};
use serde_json::{Map, Value};

use crate::{
    CACHED_TOKENS_HEADER, COMPLETION_TOKENS_HEADER, PROMPT_TOKENS_HEADER, TokenCounter,
    answer::errors::Failure,
};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `chat/completions`
    ChatCompletions,
    /// `completions`
    Completions,
    /// `embeddings`
    Embeddings,
    /// `responses`
    Responses,
    /// An address that is none of these.
    Unknown,
}

impl Operation {
    /// The name by which Azure's messages call it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::ChatCompletions => "ChatCompletions_Create",
            Self::Completions => "Completions_Create",
            Self::Embeddings => "Embeddings_Create",
            Self::Responses => "Responses_Create",
            Self::Unknown => "Unknown",
        }
    }

    fn at(path: &str) -> Option<Self> {
        match path {
            "chat/completions" => Some(Self::ChatCompletions),
            "completions" => Some(Self::Completions),
            "embeddings" => Some(Self::Embeddings),
            "responses" => Some(Self::Responses),
            _ => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The ways of addressing the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `/openai/deployments/{deployment}/…?api-version=…`
    Classic,
    /// `/openai/v1/…`, the deployment being the body's `model`.
    V1,
    /// Azure AI inference: `/models/…?api-version=…`, the deployment being the body's `model`.
    Inference,
}

/// A request's address, understood.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) style: Style,
    pub(crate) operation: Operation,
    pub(crate) deployment: Option<Arc<str>>,
    pub(crate) api_version: String,
}

impl Route {
    pub(crate) fn read(method: &Method, uri: &Uri) -> Option<Self> {
        if method != Method::POST {
            return None;
        }
        let path = uri.path().trim_end_matches('/');
        let version = query(uri, "api-version");
        if let Some(rest) = path.strip_prefix("/openai/deployments/") {
            let (deployment, operation) = rest.split_once('/')?;
            let operation = Operation::at(operation).filter(|op| *op != Operation::Responses)?;
            return Some(Self {
                style: Style::Classic,
                operation,
                deployment: Some(decode(deployment).into()),
                api_version: version?,
            });
        }
        let (style, operation, api_version) = if let Some(rest) = path.strip_prefix("/openai/v1/") {
            (Style::V1, rest, version.unwrap_or_else(|| "v1".to_owned()))
        } else if let Some(rest) = path.strip_prefix("/models/") {
            (Style::Inference, rest, version?)
        } else if path == "/openai/responses" {
            (Style::V1, "responses", version?)
        } else {
            return None;
        };
        let operation = Operation::at(operation)?;
        Some(Self {
            style,
            operation,
            deployment: None,
            api_version,
        })
    }

    /// Whether this api-version knows `stream_options`; versions are dates, so text order is age.
    fn knows_stream_options(&self) -> bool {
        /// The first version that took it (from memory: it is in no changelog at hand).
        const FIRST: &str = "2024-09-01";
        self.style != Style::Classic || self.api_version.as_str() >= FIRST
    }
}

fn query(uri: &Uri, name: &str) -> Option<String> {
    uri.query()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name && !value.is_empty()).then(|| decode(value))
    })
}

/// Percent-decoding; an escape that is none stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        if let Some(byte) = escaped {
            rest = tail.get(2..).unwrap_or_default();
            bytes.push(byte);
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

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
) -> Result<Ask, Failure> {
    let mut prompt = Prompt {
        counter,
        characters: 0,
        tokens: 0,
        inputs: 0,
    };
    let mut ask = Ask {
        choices: 1,
        charged_choices: 1,
        ..Ask::default()
    };
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
        Operation::Unknown => &[],
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
        }
        Operation::Completions => {
            ask.choices = choices(fields, "n")?;
            ask.charged_choices = choices(fields, "best_of")?.max(ask.choices);
            // The default of this operation, by its specification.
            ask.max_output = ask.max_output.or(Some(16));
        }
        Operation::Embeddings => {
            ask.dimensions = positive(fields, "dimensions")?;
            ask.base64 = fields
                .get("encoding_format")
                .is_some_and(|format| format == "base64");
        }
        Operation::Responses | Operation::Unknown => {}
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
    ask.cached_tokens = number_header(&parts.headers, CACHED_TOKENS_HEADER)
        .unwrap_or_default()
        .min(ask.prompt_tokens);
    ask.completion_tokens = number_header(&parts.headers, COMPLETION_TOKENS_HEADER);
    Ok(ask)
}

fn number_header(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn include_usage(
    fields: &Map<String, Value>,
    route: &Route,
    stream: bool,
) -> Result<bool, Failure> {
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
            _ => Err(Failure::wrong_type(
                name,
                "an integer",
                &Value::Number(number.clone()),
            )),
        },
        Some(other) => Err(Failure::wrong_type(name, "an integer", other)),
    }
}

/// What the overhead of a message and of the answer's beginning is, in tokens: three for the
/// message, one for its role; three to prime the answer.
const MESSAGE_OVERHEAD: u64 = 4;
const ANSWER_OVERHEAD: u64 = 3;
/// An image in low detail, as the 4o family counts it; finer detail is not modelled.
const IMAGE_TOKENS: u64 = 85;
/// Azure's documentation: the most messages in a request and inputs in an array.
const MOST_ITEMS: usize = 2_048;

struct Prompt<'a> {
    counter: &'a dyn TokenCounter,
    characters: u64,
    tokens: u64,
    inputs: usize,
}

impl Prompt<'_> {
    fn text(&mut self, text: &str) {
        self.characters += u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        self.tokens += self.counter.count(text);
    }

    fn overhead(&mut self, tokens: u64) {
        self.tokens += tokens;
    }

    fn messages(&mut self, fields: &Map<String, Value>) -> Result<(), Failure> {
        let messages = match fields.get("messages") {
            None | Some(Value::Null) => return Err(Failure::missing("messages")),
            Some(Value::Array(messages)) => messages,
            Some(other) => {
                return Err(Failure::wrong_type(
                    "messages",
                    "an array of objects",
                    other,
                ));
            }
        };
        bounds("messages", messages.len())?;
        for (index, message) in messages.iter().enumerate() {
            let at = format!("messages[{index}]");
            let Value::Object(message) = message else {
                return Err(Failure::wrong_type(&at, "an object", message));
            };
            match message.get("role") {
                Some(Value::String(_)) => {}
                None | Some(Value::Null) => return Err(Failure::missing(&format!("{at}.role"))),
                Some(other) => {
                    return Err(Failure::wrong_type(
                        &format!("{at}.role"),
                        "a string",
                        other,
                    ));
                }
            }
            self.overhead(MESSAGE_OVERHEAD);
            self.content(&at, message)?;
        }
        self.overhead(ANSWER_OVERHEAD);
        self.tools(fields);
        Ok(())
    }

    fn content(&mut self, at: &str, message: &Map<String, Value>) -> Result<(), Failure> {
        match message.get("content") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => self.text(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.part(part)),
            Some(other) => {
                let at = format!("{at}.content");
                return Err(Failure::wrong_type(
                    &at,
                    "a string or an array of objects",
                    other,
                ));
            }
        }
        if let Some(Value::String(name)) = message.get("name") {
            self.text(name);
        }
        if let Some(calls @ Value::Array(_)) = message.get("tool_calls") {
            self.text(&calls.to_string());
        }
        Ok(())
    }

    fn part(&mut self, part: &Value) {
        match part.get("text") {
            Some(Value::String(text)) => self.text(text),
            _ => self.overhead(IMAGE_TOKENS),
        }
    }

    /// Definitions of tools are read by the model as text of about their own length.
    fn tools(&mut self, fields: &Map<String, Value>) {
        if let Some(tools @ Value::Array(_)) = fields.get("tools") {
            self.text(&tools.to_string());
        }
    }

    /// `prompt` of completions and `input` of embeddings: a text, texts, tokens, or lists of them.
    fn inputs(&mut self, name: &'static str, fields: &Map<String, Value>) -> Result<(), Failure> {
        match fields.get(name) {
            None | Some(Value::Null) => return Err(Failure::missing(name)),
            Some(Value::String(text)) => {
                self.text(text);
                self.inputs = 1;
            }
            Some(Value::Array(items)) if items.iter().all(Value::is_u64) => {
                bounds(name, items.len().min(1))?;
                self.tokens(items.len());
                self.inputs = 1;
            }
            Some(Value::Array(items)) => {
                bounds(name, items.len())?;
                for (index, item) in items.iter().enumerate() {
                    match item {
                        Value::String(text) => self.text(text),
                        Value::Array(tokens) if tokens.iter().all(Value::is_u64) => {
                            self.tokens(tokens.len());
                        }
                        other => {
                            let at = format!("{name}[{index}]");
                            return Err(Failure::wrong_type(&at, "a string", other));
                        }
                    }
                }
                self.inputs = items.len();
            }
            Some(other) => {
                return Err(Failure::wrong_type(
                    name,
                    "a string or an array of strings",
                    other,
                ));
            }
        }
        Ok(())
    }

    fn tokens(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.tokens += count;
        self.characters += count.saturating_mul(4);
    }

    /// `input` of the Responses operation: a text, or items with content.
    fn response_input(&mut self, fields: &Map<String, Value>) -> Result<(), Failure> {
        match fields.get("input") {
            None | Some(Value::Null) => return Err(Failure::missing("input")),
            Some(Value::String(text)) => {
                self.overhead(MESSAGE_OVERHEAD);
                self.text(text);
            }
            Some(Value::Array(items)) => {
                bounds("input", items.len())?;
                for (index, item) in items.iter().enumerate() {
                    let at = format!("input[{index}]");
                    let Value::Object(item) = item else {
                        return Err(Failure::wrong_type(&at, "an object", item));
                    };
                    self.overhead(MESSAGE_OVERHEAD);
                    self.content(&at, item)?;
                }
            }
            Some(other) => {
                let expected = "a string or an array of objects";
                return Err(Failure::wrong_type("input", expected, other));
            }
        }
        if let Some(Value::String(text)) = fields.get("instructions") {
            self.overhead(MESSAGE_OVERHEAD);
            self.text(text);
        }
        self.overhead(ANSWER_OVERHEAD);
        self.tools(fields);
        Ok(())
    }
}

fn bounds(name: &str, length: usize) -> Result<(), Failure> {
    match length {
        0 => Err(Failure::empty_array(name)),
        length if length > MOST_ITEMS => Err(Failure::long_array(name, MOST_ITEMS, length)),
        _ => Ok(()),
    }
}
