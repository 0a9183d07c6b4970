//! What all services of one layer share.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tower_aoai_core::{CallContext, Classify, Generator, Operation};

use crate::{
    Strategy,
    pick::{Ask, Candidate, Choice, DecayingMean, Size, Turns, choose},
    roster::Roster,
    seat::View,
};

#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) settings: Settings,
    pub(crate) roster: Arc<Roster>,
    turns: Mutex<Turns>,
    /// How long answers are, in tokens.
    output: Mutex<DecayingMean>,
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) strategy: Strategy,
    pub(crate) tries: usize,
    pub(crate) generator: Generator,
    pub(crate) classify: Arc<dyn Classify>,
    pub(crate) is_off: bool,
}

/// The tokens of an answer, where nothing was learned of it.
const OUTPUT: f64 = 200.0;

impl Balancer {
    pub(crate) fn new(roster: Arc<Roster>, settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, roster, turns: Mutex::default(), output: Mutex::default() })
    }

    /// How large the call is: of the prompt a token for four bytes, of the answer what answers have been of late, but no
    /// more than was asked for.
    pub(crate) fn size(&self, context: &CallContext) -> Size {
        let call = context.call();
        let output = if call.operation == Operation::Embeddings {
            0.0
        } else {
            let usual = self.output.lock().value().unwrap_or(OUTPUT);
            call.max_output_tokens.map_or(usual, |most| usual.min(most as f64))
        };
        Size { prompt: (call.prompt_bytes / 4) as f64, output }
    }

    pub(crate) fn learn_output(&self, now: Instant, tokens: u64) {
        self.output.lock().learn(now, tokens as f64);
    }

    pub(crate) fn view(&self, context: &CallContext, now: Instant) -> View {
        View { now, size: self.size(context), strategy: self.settings.strategy }
    }

    pub(crate) fn choose(&self, candidates: &mut Vec<Candidate>, context: &CallContext, now: Instant) -> Choice {
        let draws = matches!(self.settings.strategy, Strategy::ExpectedFinish | Strategy::Shuffle);
        let ask = Ask {
            now,
            latest: context.latest_start(),
            deadline: context.deadline(),
            is_retried: context.retries_owned(),
            draw: if draws { self.settings.generator.fraction() } else { 0.0 },
        };
        choose(candidates, &ask, self.settings.strategy, &mut self.turns.lock())
    }

    /// Somebody new has this slot.
    pub(crate) fn slot_is_new(&self, slot: usize) {
        self.turns.lock().forget(slot);
    }

    pub(crate) fn reset(&self) {
        *self.turns.lock() = Turns::default();
        *self.output.lock() = DecayingMean::default();
    }
}
