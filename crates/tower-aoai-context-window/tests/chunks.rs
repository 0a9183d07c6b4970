//! Pieces of a text: no larger than asked for, overlapping as stated, and together the text.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use proptest::prelude::*;
use tower_aoai_context_window::{BytePairs, Chunker, ChunkerError, TokenCounter, Tokenizer};

mod support;

const TOKENIZER: Tokenizer = Tokenizer::O200kBase;

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => support::text(0..300),
        1 => prop::collection::vec(any::<char>(), 0..200).prop_map(String::from_iter),
        1 => (0_usize..3_000).prop_map(|count| "a".repeat(count)),
        1 => (0_usize..3_000).prop_map(|count| format!("{}x", " ".repeat(count))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn pieces_are_no_larger_than_asked_for_and_together_the_text(text in any_text(), tokens in 4_usize..120) {
        let chunker = Chunker::new(Arc::new(BytePairs), TOKENIZER, tokens).expect("large enough");
        let pieces: Vec<_> = chunker.pieces(&text).collect();
        prop_assert_eq!(&pieces.concat(), &text);
        for piece in pieces {
            prop_assert!(!piece.is_empty() && BytePairs.count(TOKENIZER, piece) <= tokens as u64);
        }
    }

    #[test]
    fn overlapping_pieces_cover_the_text_and_overlap_by_no_more_than_stated(
        text in any_text(),
        tokens in 8_usize..120,
        share in 1_usize..9,
    ) {
        let overlap = (tokens * share / 8).min(tokens - 4);
        let chunker = Chunker::new(Arc::new(BytePairs), TOKENIZER, tokens).and_then(|chunker| chunker.overlap(overlap));
        let chunker = chunker.expect("smaller than a piece");
        let (mut start, mut end) = (0, 0);
        for (place, piece) in chunker.places(&text) {
            prop_assert_eq!(&text[place..place + piece.len()], piece);
            prop_assert!(BytePairs.count(TOKENIZER, piece) <= tokens as u64);
            prop_assert!(place <= end, "nothing is left out");
            prop_assert!(place + piece.len() > end && place >= start, "and it goes on");
            prop_assert!(BytePairs.count(TOKENIZER, &text[place..end]) <= overlap as u64);
            (start, end) = (place, place + piece.len());
        }
        prop_assert_eq!(end, text.len());
    }
}

#[test]
fn boundaries_are_paragraphs_then_sentences_then_words() {
    let chunker = |tokens| Chunker::new(Arc::new(BytePairs), TOKENIZER, tokens).expect("large enough");
    let text = "A first paragraph. It has two sentences.\n\nAnd a second one.";
    let pieces = |tokens| chunker(tokens).pieces(text).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(pieces(12), ["A first paragraph. It has two sentences.\n\n", "And a second one."]);
    let overlapping = chunker(14).overlap(3).expect("smaller");
    let overlapping: Vec<_> = overlapping.pieces(text).collect();
    assert_eq!(overlapping, ["A first paragraph. It has two sentences.\n\n", "two sentences.\n\nAnd a second one."]);
    assert_eq!(pieces(6), ["A first paragraph. ", "It has two sentences.\n\n", "And a second one."]);
}

#[test]
fn what_cannot_be_is_an_error_that_says_what_would() {
    let chunker = |tokens| Chunker::new(Arc::new(BytePairs), TOKENIZER, tokens);
    assert_eq!(chunker(3).err(), Some(ChunkerError::TooSmall));
    assert_eq!(chunker(10).and_then(|chunker| chunker.overlap(10)).err(), Some(ChunkerError::OverlapTooLarge));
    assert!(ChunkerError::TooSmall.to_string().contains("at least 4"));
}

/// Counts the bytes that are counted.
#[derive(Debug, Default)]
struct Metered(AtomicU64);

impl TokenCounter for Metered {
    fn count(&self, tokenizer: Tokenizer, text: &str) -> u64 {
        self.0.fetch_add(text.len() as u64, Relaxed);
        BytePairs.count(tokenizer, text)
    }

    fn count_up_to(&self, tokenizer: Tokenizer, text: &str, limit: u64) -> Option<u64> {
        self.0.fetch_add((text.len() as u64).min(limit * 128), Relaxed);
        BytePairs.count_up_to(tokenizer, text, limit)
    }

    fn is_exact(&self, tokenizer: Tokenizer) -> bool {
        BytePairs.is_exact(tokenizer)
    }
}

#[test]
fn twice_the_text_takes_twice_the_work_whatever_is_in_it() {
    for piece in ["a", " ", "Some words of prose, and then some more. ", "東"] {
        let work = |bytes: usize| {
            let meter = Arc::new(Metered::default());
            let chunker = Chunker::new(Arc::<Metered>::clone(&meter), TOKENIZER, 64).expect("large enough");
            let pieces = chunker.pieces(&piece.repeat(bytes / piece.len())).count();
            assert!(pieces > 1);
            meter.0.load(Relaxed) as f64
        };
        let ratio = work(64 << 10) / work(32 << 10);
        assert!((1.5..2.5).contains(&ratio), "{piece:?}: {ratio}");
    }
}
