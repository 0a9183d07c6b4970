//! Long texts in pieces.

use std::{error::Error, fmt, sync::Arc};

use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

use crate::{TokenCounter, Tokenizer};

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
}

/// Why there is no such chunker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChunkerError {
    /// A piece must have room for the longest character, which has four tokens.
    TooSmall,
    /// The overlap must be smaller than a piece.
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
        Ok(Self { splitter: TextSplitter::new(ChunkConfig::new(tokens).with_sizer(sizer).with_trim(false)) })
    }

    /// Each piece begins with the end of the one before, of up to so many tokens, as far as its boundaries allow.
    ///
    /// # Errors
    ///
    /// [`ChunkerError::OverlapTooLarge`] if it is not less than a piece.
    pub fn overlap(
        counter: Arc<dyn TokenCounter>,
        tokenizer: Tokenizer,
        tokens: usize,
        overlap: usize,
    ) -> Result<Self, ChunkerError> {
        if tokens < LONGEST_CHARACTER {
            return Err(ChunkerError::TooSmall);
        }
        let sizer = Sizer { counter, tokenizer, most: tokens };
        let config = ChunkConfig::new(tokens).with_sizer(sizer).with_trim(false);
        let config = config.with_overlap(overlap).map_err(|_| ChunkerError::OverlapTooLarge)?;
        Ok(Self { splitter: TextSplitter::new(config) })
    }

    /// The pieces of a text, in order.
    pub fn pieces<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.splitter.chunks(text)
    }

    /// The pieces of a text, in order, each with where it begins, in bytes.
    pub fn places<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        self.splitter.chunk_indices(text)
    }
}

#[derive(Debug)]
struct Sizer {
    counter: Arc<dyn TokenCounter>,
    tokenizer: Tokenizer,
    most: usize,
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
            Self::OverlapTooLarge => "the overlap must be smaller than a piece",
        })
    }
}

impl Error for ChunkerError {}
