//! One text, made shorter.

use crate::{TokenCounter, Tokenizer};

/// Which end of a text that is too long stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Keep {
    /// The beginning; the marker follows it.
    #[default]
    Beginning,
    /// The end; the marker precedes it.
    End,
}

/// The marker that stands where something was cut, unless another is [set](crate::Policy::marker).
pub const DEFAULT_MARKER: &str = "\n[…]\n";

/// Cuts a text at a boundary of tokens so that with `marker` in the place of what is missing it has at most `tokens`.
///
/// A text that fits is returned as it is, without a marker. `None` if not even the marker fits.
///
/// ```
/// use tower_aoai_context_window::{FourBytes, Keep, Tokenizer, cut_text};
///
/// let cut = |tokens| cut_text(&FourBytes, Tokenizer::O200kBase, "a text of some length", tokens, " […]", Keep::Beginning);
/// assert_eq!(cut(6).as_deref(), Some("a text of some length"));
/// assert_eq!(cut(5).as_deref(), Some("a text of so […]"));
/// assert_eq!(cut(1), None);
/// ```
#[must_use]
pub fn cut_text(
    counter: &dyn TokenCounter,
    tokenizer: Tokenizer,
    text: &str,
    tokens: u64,
    marker: &str,
    keep: Keep,
) -> Option<String> {
    if counter.count_up_to(tokenizer, text, tokens).is_some() {
        return Some(text.to_owned());
    }
    let mut room = tokens.checked_sub(counter.count(tokenizer, marker))?;
    loop {
        let cut = match keep {
            Keep::Beginning => format!("{}{marker}", &text[..counter.beginning(tokenizer, text, room)]),
            Keep::End => format!("{marker}{}", &text[text.len() - counter.ending(tokenizer, text, room)..]),
        };
        // Where text and marker meet, the vocabulary may see other tokens than in either.
        let excess = counter.count(tokenizer, &cut).saturating_sub(tokens);
        if excess == 0 {
            return Some(cut);
        }
        if room == 0 {
            return Some(marker.to_owned());
        }
        room = room.saturating_sub(excess);
    }
}

/// The beginning of a text, of four characters for each token: the rule of thumb, where nothing counts tokens.
///
/// ```
/// use tower_aoai_context_window::cut_characters;
///
/// assert_eq!(cut_characters("twelve chars and more", 3), "twelve chars");
/// ```
#[must_use]
pub fn cut_characters(text: &str, tokens: usize) -> &str {
    text.char_indices().nth(tokens.saturating_mul(4)).map_or(text, |(end, _)| &text[..end])
}
