//! The text of answers: one piece of four characters for each token, so that the default rule of
//! counting finds as many tokens in it as `usage` says.

const PIECES: [&str; 16] = [
    "The ", "sea ", "was ", "dim ", "and ", "the ", "old ", "man ", "had ", "not ", "put ", "his ", "oar ", "out ",
    "for ", "us. ",
];

/// The piece that token number `index` (from 0) is.
pub(crate) fn piece(index: u64) -> &'static str {
    let index = usize::try_from(index % 16).unwrap_or_default();
    PIECES.get(index).copied().unwrap_or_default()
}

/// A text of so many tokens.
pub(crate) fn text(tokens: u64) -> String {
    (0..tokens).map(piece).collect()
}
