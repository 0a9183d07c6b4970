//! Long texts in pieces.

use std::{error::Error, fmt, sync::Arc};

use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

use crate::{TokenCounter, Tokenizer, boundary};

/// Splits a long text into pieces of at most so many tokens, on sensible boundaries: paragraphs, else lines, sentences,
/// words, characters. With feature `chunk`.
///
/// Nothing of the text is lost or changed: without overlap the pieces, one behind the other, are the text.
///
/// ```
/// use std::sync::Arc;
/// use tower_aoai_context_window::{Chunker, FourBytes, Tokenizer};
///
/// let chunker = Chunker::new(Arc::new(FourBytes), Tokenizer::O200kBase, 6)?;
/// let pieces: Vec<_> = chunker.pieces("One sentence. Another one.\n\nA paragraph.").collect();
/// assert_eq!(pieces, ["One sentence. ", "Another one.\n\n", "A paragraph."]);
/// # Ok::<(), tower_aoai_context_window::ChunkerError>(())
/// ```
#[derive(Debug)]
pub struct Chunker {
    splitter: TextSplitter<Sizer>,
    sizer: Sizer,
    tokens: u64,
    overlap: u64,
}

/// Why there is no such chunker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChunkerError {
    /// A piece must have room for the longest character, which has four tokens.
    TooSmall,
    /// The overlap must leave room for the longest character.
    OverlapTooLarge,
}

/// The most tokens of one character: as many as it has bytes.
const LONGEST_CHARACTER: usize = 4;

impl Chunker {
    /// Pieces of at most so many tokens, without overlap.
    ///
    /// # Errors
    ///
    /// [`ChunkerError::TooSmall`] if it is less than 4.
    pub fn new(counter: Arc<dyn TokenCounter>, tokenizer: Tokenizer, tokens: usize) -> Result<Self, ChunkerError> {
        if tokens < LONGEST_CHARACTER {
            return Err(ChunkerError::TooSmall);
        }
        let sizer = Sizer { counter, tokenizer, most: tokens };
        Ok(Self { splitter: sizer.splitter(), sizer, tokens: tokens as u64, overlap: 0 })
    }

    /// Each piece begins with the end of the one before, of at most so many tokens and, where there is one, from the
    /// beginning of a word on. Default: 0.
    ///
    /// # Errors
    ///
    /// [`ChunkerError::OverlapTooLarge`] if it leaves less than 4 tokens of a piece.
    pub fn overlap(mut self, tokens: usize) -> Result<Self, ChunkerError> {
        let piece = usize::try_from(self.tokens).unwrap_or(usize::MAX);
        let most = piece.checked_sub(tokens).filter(|most| *most >= LONGEST_CHARACTER);
        self.sizer.most = most.ok_or(ChunkerError::OverlapTooLarge)?;
        self.splitter = self.sizer.splitter();
        self.overlap = tokens as u64;
        Ok(self)
    }

    /// The pieces of a text, in order.
    pub fn pieces<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.places(text).map(|(_, piece)| piece)
    }

    /// The pieces of a text, in order, each with where it begins, in bytes.
    pub fn places<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        let (mut start, mut before) = (0, 0);
        let mut found = Vec::<(usize, &'a str)>::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some((place, piece)) = found.next() {
                    let from = self.overlap_from(text, before, place, place + piece.len());
                    before = place;
                    return Some((from, &text[from..place + piece.len()]));
                }
                if start == text.len() {
                    return None;
                }
                let (pieces, next) = self.some(text, start);
                (found, start) = (pieces.into_iter(), next);
            }
        })
    }

    /// Where the overlap of a piece begins with the one before it.
    fn overlap_from(&self, text: &str, before: usize, start: usize, end: usize) -> usize {
        let Sizer { counter, tokenizer, .. } = &self.sizer;
        let fits = |part: &str, most| counter.count_up_to(*tokenizer, part, most).is_some();
        let mut overlap = if before == start { 0 } else { self.overlap };
        while overlap > 0 {
            let from = start - counter.ending(*tokenizer, &text[before..start], overlap);
            let from = if from == before { from } else { word_from(text, from, start).unwrap_or(from) };
            if fits(&text[from..start], self.overlap) && fits(&text[from..end], self.tokens) {
                return from;
            }
            overlap -= 1;
        }
        start
    }

    /// A few pieces from `start` on, and where the next begins.
    ///
    /// The splitter looks for sentences and words in all that is left of a text, anew for each piece: it is shown no more
    /// than a few pieces' worth at once, so that a text that is one word does not take quadratic time.
    fn some<'a>(&self, text: &'a str, start: usize) -> (Vec<(usize, &'a str)>, usize) {
        let mut shown = self.sizer.most.saturating_mul(SHOWN).max(LEAST_SHOWN);
        loop {
            let end = boundary::ceil(text, start.saturating_add(shown));
            let pieces = self.splitter.chunk_indices(&text[start..end]).map(|(place, piece)| (start + place, piece));
            let mut pieces: Vec<_> = pieces.collect();
            if end == text.len() {
                return (pieces, end);
            }
            // What ends where the view ends might have gone on.
            match pieces.iter().position(|(place, piece)| place + piece.len() == end) {
                Some(0) | None => shown = shown.saturating_mul(2),
                Some(cut) => {
                    let next = pieces[cut].0;
                    pieces.truncate(cut);
                    return (pieces, next);
                }
            }
        }
    }
}

/// Where the first word begins that begins in this part of a text.
fn word_from(text: &str, from: usize, end: usize) -> Option<usize> {
    let before = from.saturating_sub(1);
    let begins = |pair: &[u8]| pair[0].is_ascii_whitespace() && !pair[1].is_ascii_whitespace();
    text.as_bytes()[before..end].windows(2).position(begins).map(|place| before + place + 1)
}

/// What the splitter is shown at once, in bytes: so many for each token of a piece, and at least so many.
const SHOWN: usize = 16;
const LEAST_SHOWN: usize = 256;

#[derive(Debug, Clone)]
struct Sizer {
    counter: Arc<dyn TokenCounter>,
    tokenizer: Tokenizer,
    most: usize,
}

impl Sizer {
    fn splitter(&self) -> TextSplitter<Self> {
        TextSplitter::new(ChunkConfig::new(self.most).with_sizer(self.clone()).with_trim(false))
    }
}

impl ChunkSizer for Sizer {
    /// What is too long is counted no further than that.
    fn size(&self, chunk: &str) -> usize {
        let count = self.counter.count_up_to(self.tokenizer, chunk, self.most as u64);
        count.and_then(|count| usize::try_from(count).ok()).unwrap_or(self.most + 1)
    }
}

impl fmt::Display for ChunkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooSmall => "a piece must have room for the longest character: at least 4 tokens",
            Self::OverlapTooLarge => "the overlap must leave at least 4 tokens of a piece",
        })
    }
}

impl Error for ChunkerError {}
