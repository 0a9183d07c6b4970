//! How events that carry content are put together, one at a time.

use std::sync::Arc;

use bytes::Bytes;

use super::text;

/// All are put together from text, not from JSON: they are the bulk of what is ever sent.
#[derive(Debug, Clone)]
pub(super) enum Renderer {
    /// Chunks: `before`, the choice, `between`, the piece, `after`.
    Chunks { frame: Frame, pieces: Pieces, choices: u64 },
    /// Responses events: `before`, the piece, `between`, the event's number, `after`.
    Numbered {
        frame: Frame,
        pieces: Pieces,
        /// The number of the first.
        first: u64,
    },
    /// These, as they are.
    Given(Vec<Bytes>),
}

/// What surrounds the two things that change from one event to the next.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) before: String,
    pub(super) between: String,
    pub(super) after: String,
}

/// The pieces of an answer, as they stand in the event.
#[derive(Debug, Clone)]
pub(super) enum Pieces {
    Filler,
    Given(Arc<[Box<str>]>),
}

impl Pieces {
    fn get(&self, index: u64) -> &str {
        match self {
            Self::Filler => text::piece(index),
            Self::Given(pieces) => {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                pieces.get(index).map_or("", |piece| piece)
            }
        }
    }
}

impl Renderer {
    pub(super) fn choices(&self) -> u64 {
        match self {
            Self::Chunks { choices, .. } => (*choices).max(1),
            Self::Numbered { .. } | Self::Given(_) => 1,
        }
    }

    /// The event number `index`, from 0.
    pub(super) fn event(&self, index: u64) -> Bytes {
        match self {
            Self::Chunks { frame, pieces, .. } => {
                let choices = self.choices();
                let (piece, choice) = (pieces.get(index / choices), index % choices);
                let Frame { before, between, after } = frame;
                format!("{before}{choice}{between}{piece}{after}").into()
            }
            Self::Numbered { frame, pieces, first } => {
                let (piece, number) = (pieces.get(index), index.saturating_add(*first));
                let Frame { before, between, after } = frame;
                format!("{before}{piece}{between}{number}{after}").into()
            }
            Self::Given(events) => {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                events.get(index).cloned().unwrap_or_default()
            }
        }
    }
}

/// The events of an answer, in the order in which they are sent.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) opening: std::collections::VecDeque<Bytes>,
    pub(super) renderer: Renderer,
    /// Events without content, each with the number of the content event before which it comes.
    pub(super) interludes: std::collections::VecDeque<(u64, Bytes)>,
    pub(super) closing: std::collections::VecDeque<Bytes>,
}
