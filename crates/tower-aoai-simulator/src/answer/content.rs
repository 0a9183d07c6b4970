//! What an answer says: filler, a given text, or calls of tools; each in pieces of about a token.

use std::sync::Arc;

use super::{quoted, text};

/// What an answer says before any limit cuts it.
#[derive(Debug, Clone, Default)]
pub(crate) enum Content {
    /// As much text as wanted, of no meaning.
    #[default]
    Filler,
    /// This text, in its pieces.
    Text(Arc<[Box<str>]>),
    /// Calls of tools.
    Calls(Arc<[Call]>),
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: String,
    /// Whether the request named this very tool: then the answer ends with `stop`.
    pub(crate) by_name: bool,
}

/// As much of a call as there were tokens for.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) name: String,
    pub(crate) fragments: Vec<Box<str>>,
}

impl Called {
    pub(crate) fn arguments(&self) -> String {
        self.fragments.concat()
    }
}

impl Content {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(pieces(text).into())
    }

    /// Its tokens, where it is not for others to decide: a piece each, and one for a call's head.
    pub(crate) fn tokens(&self) -> Option<u64> {
        let count = match self {
            Self::Filler => return None,
            Self::Text(pieces) => pieces.len(),
            Self::Calls(calls) => calls.iter().map(|call| 1 + pieces(&call.arguments).len()).sum(),
        };
        Some(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// The text of its first `tokens` tokens.
    pub(crate) fn said(&self, tokens: u64) -> String {
        match self {
            Self::Filler => text(tokens),
            Self::Text(pieces) => {
                let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
                pieces.iter().take(tokens).map(|piece| &**piece).collect()
            }
            Self::Calls(_) => String::new(),
        }
    }

    /// The calls in its first `tokens` tokens.
    pub(crate) fn called(&self, tokens: u64) -> Vec<Called> {
        let Self::Calls(calls) = self else {
            return Vec::new();
        };
        let mut left = usize::try_from(tokens).unwrap_or(usize::MAX);
        let mut called = Vec::new();
        for call in calls.iter() {
            if left == 0 {
                break;
            }
            left -= 1;
            let mut fragments = pieces(&call.arguments);
            fragments.truncate(left);
            left -= fragments.len();
            called.push(Called { name: call.name.clone(), fragments });
        }
        called
    }

    /// The pieces of a text as they stand inside a JSON string; `None` for filler, which needs no
    /// list of them.
    pub(crate) fn escaped_pieces(&self) -> Option<Arc<[Box<str>]>> {
        let Self::Text(pieces) = self else {
            return None;
        };
        let escaped = pieces.iter().map(|piece| escaped(piece));
        Some(escaped.collect::<Vec<_>>().into())
    }
}

/// A text as it stands between the quotes of a JSON string.
pub(crate) fn escaped(text: &str) -> Box<str> {
    let quoted = quoted(text);
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().into()
}

/// Four characters each, as the default rule counts tokens.
fn pieces(text: &str) -> Vec<Box<str>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(4).map_or(rest.len(), |(at, _)| at);
        let (piece, tail) = rest.split_at(end);
        pieces.push(piece.into());
        rest = tail;
    }
    pieces
}
