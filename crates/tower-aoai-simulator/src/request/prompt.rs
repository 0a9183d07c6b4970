use serde_json::{Map, Value};

use crate::{TokenCounter, answer::errors::Failure};

/// What the overhead of a message and of the answer's beginning is, in tokens: three for the
/// message, one for its role; three to prime the answer.
const MESSAGE_OVERHEAD: u64 = 4;
const ANSWER_OVERHEAD: u64 = 3;
/// An image in low detail, as the 4o family counts it; finer detail is not modelled.
const IMAGE_TOKENS: u64 = 85;
/// Azure's documentation: the most messages in a request and inputs in an array.
const MOST_ITEMS: usize = 2_048;

/// A prompt while it is being counted.
pub(super) struct Prompt<'a> {
    counter: &'a dyn TokenCounter,
    /// Whose tokens are counted.
    model: &'a str,
    pub(super) characters: u64,
    pub(super) tokens: u64,
    pub(super) inputs: usize,
}

impl<'a> Prompt<'a> {
    pub(super) fn new(counter: &'a dyn TokenCounter, model: &'a str) -> Self {
        Self { counter, model, characters: 0, tokens: 0, inputs: 0 }
    }
}

impl Prompt<'_> {
    fn text(&mut self, text: &str) {
        let characters = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        self.characters = self.characters.saturating_add(characters);
        self.tokens = self.tokens.saturating_add(self.counter.count_for(self.model, text));
    }

    fn overhead(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    pub(super) fn messages(&mut self, fields: &Map<String, Value>) -> Result<(), Failure> {
        let messages = match fields.get("messages") {
            None | Some(Value::Null) => return Err(Failure::missing("messages")),
            Some(Value::Array(messages)) => messages,
            Some(other) => {
                return Err(Failure::wrong_type("messages", "an array of objects", other));
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
                    return Err(Failure::wrong_type(&format!("{at}.role"), "a string", other));
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
            Some(Value::String(text)) => {
                short_enough(&format!("{at}.content"), text)?;
                self.text(text);
            }
            Some(Value::Array(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    if let Some(Value::String(text)) = part.get("text") {
                        short_enough(&format!("{at}.content[{index}].text"), text)?;
                    }
                    self.part(part);
                }
            }
            Some(other) => {
                let at = format!("{at}.content");
                return Err(Failure::wrong_type(&at, "a string or an array of objects", other));
            }
        }
        if let Some(Value::String(name)) = message.get("name") {
            self.text(name);
            // After OpenAI's cookbook.
            self.overhead(1);
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
    pub(super) fn inputs(&mut self, name: &'static str, fields: &Map<String, Value>) -> Result<(), Failure> {
        match fields.get(name) {
            None | Some(Value::Null) => return Err(Failure::missing(name)),
            Some(Value::String(text)) => {
                self.text(text);
                self.inputs = 1;
            }
            Some(Value::Array(items)) if items.iter().all(Value::is_u64) => {
                bounds(name, items.len().min(1))?;
                self.count(items.len());
                self.inputs = 1;
            }
            Some(Value::Array(items)) => {
                bounds(name, items.len())?;
                for (index, item) in items.iter().enumerate() {
                    match item {
                        Value::String(text) => self.text(text),
                        Value::Array(tokens) if tokens.iter().all(Value::is_u64) => {
                            self.count(tokens.len());
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
                return Err(Failure::wrong_type(name, "a string or an array of strings", other));
            }
        }
        Ok(())
    }

    fn count(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.tokens = self.tokens.saturating_add(count);
        self.characters = self.characters.saturating_add(count.saturating_mul(4));
    }

    /// `input` of the Responses operation: a text, or items with content.
    pub(super) fn response_input(&mut self, fields: &Map<String, Value>) -> Result<(), Failure> {
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

/// Azure's documentation: the most characters in a message.
fn short_enough(name: &str, text: &str) -> Result<(), Failure> {
    const MOST: usize = 1_048_576;
    // No text has more characters than bytes.
    if text.len() <= MOST {
        return Ok(());
    }
    match text.chars().count() {
        count if count > MOST => Err(Failure::long_string(name, MOST, count)),
        _ => Ok(()),
    }
}

fn bounds(name: &str, length: usize) -> Result<(), Failure> {
    match length {
        0 => Err(Failure::empty_array(name)),
        length if length > MOST_ITEMS => Err(Failure::long_array(name, MOST_ITEMS, length)),
        _ => Ok(()),
    }
}
