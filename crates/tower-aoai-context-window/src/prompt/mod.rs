//! A prompt as it stands in a body: read once, when its bytes alone do not say that it fits.

mod chat;
mod raw;
mod responses;
mod texts;

use std::{borrow::Cow, collections::HashMap};

use tower_aoai_core::Operation;

use crate::{fit::Kind, tools::Function};

/// What a prompt consists of.
#[derive(Debug, Default)]
pub(crate) struct Prompt<'a> {
    /// What may go or be cut, in the order of the body.
    pub(crate) items: Vec<Item<'a>>,
    /// What belongs to the request as a whole.
    pub(crate) rest: Rest<'a>,
    /// Each item is a prompt of its own, with the whole window to itself.
    pub(crate) apart: bool,
    /// The server was asked to cut the prompt itself.
    pub(crate) cut_by_server: bool,
}

/// A message of a chat, an item of a response's input, or a text.
#[derive(Debug, Default)]
pub(crate) struct Item<'a> {
    /// As it is written.
    pub(crate) json: &'a str,
    /// An element of the array that holds the prompt, so that it can go.
    pub(crate) is_element: bool,
    pub(crate) kind: Kind,
    pub(crate) texts: Vec<Text<'a>>,
    /// Tokens of its frame that are documented, and of its frame that are only known to be there.
    pub(crate) frame: u64,
    pub(crate) guessed_frame: u64,
    /// Written to the model in some form that nobody documents: calls of tools.
    pub(crate) undocumented: Option<&'a str>,
    pub(crate) images: Vec<Image>,
    /// The calls of tools that it makes or answers.
    pub(crate) calls: Vec<usize>,
    pub(crate) follows: bool,
    pub(crate) leads: bool,
}

/// A text that is counted.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub(crate) text: Cow<'a, str>,
    /// As it is written, if it may be cut.
    pub(crate) json: Option<&'a str>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Image {
    pub(crate) is_low_detail: bool,
}

/// What belongs to the request as a whole, and always stays.
#[derive(Debug, Default)]
pub(crate) struct Rest<'a> {
    pub(crate) frame: u64,
    pub(crate) guessed_frame: u64,
    pub(crate) texts: Vec<Cow<'a, str>>,
    pub(crate) functions: Vec<Function<'a>>,
    /// Written to the model in some form that nobody documents: definitions, schemas.
    pub(crate) undocumented: Vec<&'a str>,
}

impl<'a> Prompt<'a> {
    /// Reads the prompt of a body; `None` if it is of another shape than the operation's.
    pub(crate) fn read(operation: Operation, body: &'a [u8]) -> Option<Self> {
        match operation {
            Operation::Chat => chat::read(body),
            Operation::Completions => texts::read_completions(body),
            Operation::Embeddings => texts::read_embeddings(body),
            Operation::Responses => responses::read(body),
            _ => None,
        }
    }
}

/// Gives each call a number. Some clients use their ids anew in every turn: a result is that of the last call of its id.
#[derive(Debug, Default)]
struct CallNumbers<'a> {
    last: HashMap<Cow<'a, str>, usize>,
    next: usize,
}

impl<'a> CallNumbers<'a> {
    fn made(&mut self, id: Cow<'a, str>) -> usize {
        let number = self.next;
        self.next += 1;
        self.last.insert(id, number);
        number
    }

    fn answered(&mut self, id: Cow<'a, str>) -> usize {
        match self.last.get(&id) {
            Some(number) => *number,
            None => self.made(id),
        }
    }
}
