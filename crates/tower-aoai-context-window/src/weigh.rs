//! What a prompt weighs in tokens, and how sure that is.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tower_aoai_core::Operation;

use crate::{
    Images, Model, TokenCounter, Tokenizer,
    prompt::{Item, Prompt, Rest},
    tools,
};

/// The tokens of a prompt, by how they are known: what [`count_prompt`] says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptTokens {
    /// Counted by the service's tokenizer and by documented rules: the only reason to refuse.
    pub certain: u64,
    /// Counted where nobody documents how (calls of tools, schemas, the frame of a response's input), or estimated: a
    /// reason to cut.
    pub guessed: u64,
    /// Estimated for images, audio and files: never a reason for anything.
    pub images: u64,
}

/// Counts a prompt as the service does, as far as that is documented.
///
/// Chats after OpenAI's cookbook: three tokens a message, those of its role, its content and its name, one more for a
/// name, three that begin the answer; functions by the cookbook's rule, for models that do not reason. Embeddings and
/// completions: the longest of their texts. Responses: their texts.
///
/// `None` if the body is not of the shape that the operation takes. It does not block, but takes 3 ms for 100 KB.
///
/// ```
/// use tower_aoai_context_window::{FourBytes, Model, count_prompt};
/// use tower_aoai_core::Operation;
///
/// let body = br#"{"messages":[{"role":"user","content":"Hello, world!"}]}"#;
/// let tokens = count_prompt(Operation::Chat, body, &Model::new(128_000), &FourBytes).unwrap();
/// assert_eq!((tokens.certain, tokens.guessed), (0, 11)); // with feature `bpe` and BytePairs: (11, 0)
/// ```
#[must_use]
pub fn count_prompt(
    operation: Operation,
    body: &[u8],
    model: &Model,
    counter: &dyn TokenCounter,
) -> Option<PromptTokens> {
    let prompt = Prompt::read(operation, body)?;
    let never = AtomicBool::new(false);
    let weights = Scales::new(model, counter, &never).weigh(&prompt);
    Some(if prompt.apart { weights.heaviest() } else { weights.total() })
}

impl PromptTokens {
    /// Without images.
    #[must_use]
    pub const fn text(self) -> u64 {
        self.certain.saturating_add(self.guessed)
    }

    /// What goes with it.
    pub(crate) const fn all(self) -> u64 {
        self.text().saturating_add(self.images)
    }

    /// With so many tokens of text fewer.
    pub(crate) const fn less(self, tokens: u64) -> Self {
        let guessed = tokens.saturating_sub(self.certain);
        Self { certain: self.certain.saturating_sub(tokens), guessed: self.guessed.saturating_sub(guessed), ..self }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            certain: self.certain.saturating_add(other.certain),
            guessed: self.guessed.saturating_add(other.guessed),
            images: self.images.saturating_add(other.images),
        }
    }
}

/// How to weigh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scales<'a> {
    pub(crate) counter: &'a dyn TokenCounter,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) images: Images,
    /// Whether the counts are the service's own; else all is guessed.
    pub(crate) is_exact: bool,
    /// Whether the rule for functions is documented for the model: it is not for those that reason.
    knows_functions: bool,
    /// Set when nobody waits for the result any more.
    pub(crate) cancelled: &'a AtomicBool,
}

/// What each part of a prompt weighs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weights {
    pub(crate) items: Vec<PromptTokens>,
    pub(crate) rest: PromptTokens,
}

impl Weights {
    pub(crate) fn total(&self) -> PromptTokens {
        self.items.iter().fold(self.rest, |sum, weight| sum.plus(*weight))
    }

    /// The heaviest prompt, of prompts that stand apart.
    pub(crate) fn heaviest(&self) -> PromptTokens {
        self.items.iter().copied().max_by_key(|weight| weight.text()).unwrap_or_default()
    }
}

impl<'a> Scales<'a> {
    pub(crate) fn new(model: &Model, counter: &'a dyn TokenCounter, cancelled: &'a AtomicBool) -> Self {
        let Model { tokenizer, images, assumed, reasons, .. } = *model;
        let is_exact = counter.is_exact(tokenizer) && !assumed;
        Self { counter, tokenizer, images, is_exact, knows_functions: !reasons, cancelled }
    }

    pub(crate) fn count(&self, text: &str) -> u64 {
        if self.cancelled.load(Relaxed) {
            return 0;
        }
        self.counter.count(self.tokenizer, text)
    }

    /// Weighs the whole prompt.
    pub(crate) fn weigh(&self, prompt: &Prompt<'_>) -> Weights {
        let items = prompt.items.iter().map(|item| self.item(item)).collect();
        Weights { items, rest: self.rest(&prompt.rest) }
    }

    /// What the prompt certainly has, counted no further than it takes to see that it is more than `limit`.
    pub(crate) fn up_to(&self, prompt: &Prompt<'_>, limit: u64) -> Result<u64, AtLeast> {
        let mut so_far = if prompt.apart { 0 } else { self.rest(&prompt.rest).certain };
        let mut most = so_far;
        for item in &prompt.items {
            if prompt.apart {
                so_far = 0;
            }
            so_far = so_far.saturating_add(item.frame);
            for text in &item.texts {
                let left = limit.checked_sub(so_far).ok_or(AtLeast(so_far))?;
                let count = match self.cancelled.load(Relaxed) {
                    true => Some(0),
                    false => self.counter.count_up_to(self.tokenizer, &text.text, left),
                };
                so_far = so_far.saturating_add(count.ok_or(AtLeast(limit.saturating_add(1)))?);
            }
            most = most.max(so_far);
        }
        if most > limit { Err(AtLeast(most)) } else { Ok(most) }
    }

    fn item(&self, item: &Item<'_>) -> PromptTokens {
        let texts = item.texts.iter().fold(0_u64, |sum, text| sum.saturating_add(self.count(&text.text)));
        // Not known how, but no shorter than its own text.
        let undocumented = item.undocumented.map_or(0, |json| self.count(json));
        let images = item.images.iter().map(|image| self.images.estimate(image.is_low_detail));
        let weight = PromptTokens {
            certain: texts.saturating_add(item.frame),
            guessed: undocumented.saturating_add(item.guessed_frame),
            images: images.fold(0, u64::saturating_add),
        };
        self.known(weight)
    }

    fn rest(&self, rest: &Rest<'_>) -> PromptTokens {
        let texts = rest.texts.iter().fold(0_u64, |sum, text| sum.saturating_add(self.count(text)));
        let functions =
            if self.knows_functions { tools::count(&rest.functions, self.counter, self.tokenizer) } else { 0 };
        let undocumented = rest.undocumented.iter().fold(0_u64, |sum, json| sum.saturating_add(self.count(json)));
        let weight = PromptTokens {
            certain: texts.saturating_add(functions).saturating_add(rest.frame),
            // What is documented of the functions is in there once more.
            guessed: undocumented.saturating_sub(functions).saturating_add(rest.guessed_frame),
            images: 0,
        };
        self.known(weight)
    }

    fn known(&self, weight: PromptTokens) -> PromptTokens {
        if self.is_exact {
            return weight;
        }
        PromptTokens { certain: 0, guessed: weight.text(), ..weight }
    }
}

/// A prompt that is too long has at least so many tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AtLeast(pub(crate) u64);
