//! What becomes of a prompt that does not fit.

use std::borrow::Cow;

use crate::{DEFAULT_MARKER, Keep, Model};

/// What becomes of a prompt that does not fit, and of an output that asks for more than is left.
///
/// ```
/// use tower_aoai_context_window::{Keep, Policy};
///
/// let chat = Policy::truncate().marker(" [cut] ").keep(Keep::End).clamp_output();
/// assert_ne!(chat, Policy::reject());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Policy {
    pub(crate) overflow: Overflow,
    pub(crate) cuts_texts: bool,
    pub(crate) keep: Keep,
    pub(crate) marker: Cow<'static, str>,
    pub(crate) clamps_output: bool,
    least_output: Option<u64>,
    output_room: Option<u64>,
    margin: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    Reject,
    Truncate,
    LetThrough,
}

impl Policy {
    /// Refuses it with [`Reason::ContextLength`](tower_aoai_core::Reason::ContextLength), before anything is reserved or
    /// sent for it. Never on a guess: what is counted by an estimate, or not documented, is let through.
    pub const fn reject() -> Self {
        Self::new(Overflow::Reject)
    }

    const fn new(overflow: Overflow) -> Self {
        Self {
            overflow,
            cuts_texts: true,
            keep: Keep::Beginning,
            marker: Cow::Borrowed(DEFAULT_MARKER),
            clamps_output: false,
            least_output: None,
            output_room: None,
            margin: None,
        }
    }

    /// Makes it fit. Of a conversation the oldest turns go first, whole; then, in the last turn, the oldest rounds of
    /// tools. What the system, the developer and the user said last always stays, and so does the last round; a call of a tool and its
    /// results stay or go together. What then is still too long has its longest text cut, if it is not the system's.
    ///
    /// What cannot be made to fit is refused, if its count is certain.
    pub const fn truncate() -> Self {
        Self::new(Overflow::Truncate)
    }

    /// Lets it through, and tells.
    pub const fn let_through() -> Self {
        Self::new(Overflow::LetThrough)
    }

    /// Only ever drops whole messages; no text is cut. Default: the longest text is cut where dropping is not enough.
    pub const fn whole_messages(mut self) -> Self {
        self.cuts_texts = false;
        self
    }

    /// Which end of a text that is cut stays. Default: the beginning.
    pub const fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// What stands where a text was cut. Default: [`DEFAULT_MARKER`].
    pub fn marker(mut self, marker: impl Into<Cow<'static, str>>) -> Self {
        self.marker = marker.into();
        self
    }

    /// Lowers `max_tokens`, `max_completion_tokens` or `max_output_tokens`, where the request gives one, to what the
    /// model can give and what the prompt leaves. Default: not.
    pub const fn clamp_output(mut self) -> Self {
        self.clamps_output = true;
        self
    }

    /// The least to which the output is lowered for a prompt's sake; with less left, the prompt does not fit. Default:
    /// 256 tokens, 4,096 for a model that reasons, whose reasoning is output, too.
    pub const fn least_output(mut self, tokens: u64) -> Self {
        self.least_output = Some(tokens);
        self
    }

    /// What [`truncate`](Self::truncate) leaves for the output of a request that does not say how much it wants, or, with
    /// [`clamp_output`](Self::clamp_output), wants more; nothing is refused for its sake. Default: 4,096 tokens, 16,384
    /// for a model that reasons; at most a quarter of the window.
    pub const fn output_room(mut self, tokens: u64) -> Self {
        self.output_room = Some(tokens);
        self
    }

    /// What [`truncate`](Self::truncate) leaves free besides, for tokens that are documented nowhere. Default: a 128th
    /// of the window.
    pub const fn margin(mut self, tokens: u64) -> Self {
        self.margin = Some(tokens);
        self
    }

    pub(crate) fn least_output_of(&self, model: &Model) -> u64 {
        self.least_output.unwrap_or(if model.reasons { 4_096 } else { 256 })
    }

    pub(crate) fn output_room_of(&self, model: &Model) -> u64 {
        let usual = if model.reasons { 16_384 } else { 4_096 };
        self.output_room.unwrap_or(usual).min(model.output).min(model.window / 4)
    }

    pub(crate) fn margin_of(&self, model: &Model) -> u64 {
        self.margin.unwrap_or(model.window / 128)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::reject()
    }
}
