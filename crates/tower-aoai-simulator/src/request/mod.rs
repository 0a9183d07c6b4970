//! Reading requests: the address here, then the body, then the prompt in it.

mod ask;
mod prompt;
mod tools;

use std::{fmt, sync::Arc};

use http::{Method, Uri};

pub(crate) use self::ask::{Ask, ask, model, object};

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
    /// `GET models` and `GET models/{model}`
    Models,
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
            Self::Models => "Models_List",
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
    /// Of a question about one model, its name.
    pub(crate) model: Option<String>,
}

impl Route {
    pub(crate) fn read(method: &Method, uri: &Uri) -> Option<Self> {
        if method == Method::GET {
            return Self::read_models(uri);
        }
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
                model: None,
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
        Some(Self { style, operation, deployment: None, api_version, model: None })
    }

    fn read_models(uri: &Uri) -> Option<Self> {
        let path = uri.path().trim_end_matches('/');
        let version = query(uri, "api-version");
        let (style, rest, api_version) = match path.strip_prefix("/openai/v1/models") {
            Some(rest) => (Style::V1, rest, version.unwrap_or_else(|| "v1".to_owned())),
            None => (Style::Classic, path.strip_prefix("/openai/models")?, version?),
        };
        let model = match rest.strip_prefix('/') {
            Some(model) => Some(decode(model)),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { style, operation: Operation::Models, deployment: None, api_version, model })
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

/// A field of a form, decoded; `None` if it is missing or empty.
#[cfg(feature = "server")]
pub(crate) fn form_value(form: &str, name: &str) -> Option<String> {
    form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name && !value.is_empty()).then(|| decode(&value.replace('+', " ")))
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
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
