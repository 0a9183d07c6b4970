//! What becomes of one call: decided from its body, its model and the policy, with no I/O and no clock.

use std::{ops::Range, sync::atomic::AtomicBool};

use bytes::Bytes;
use tower_aoai_core::{Call, ContextLength, Operation, RequestBody};

use crate::{
    ContextUse, Counted, Model, Policy, PromptTokens, TokenCounter,
    fit::{self, Kind, Slot},
    policy::Overflow,
    prompt::{Item, Prompt},
    rewrite::Rewrite,
    weigh::{AtLeast, Scales, Weights},
};

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) body: &'a RequestBody,
    pub(crate) call: &'a Call,
    pub(crate) model: &'a Model,
    pub(crate) policy: &'a Policy,
}

/// What becomes of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It goes on as it is, or with these changes.
    Pass {
        used: ContextUse,
        changes: Changes,
    },
    Refuse {
        lengths: ContextLength,
        used: ContextUse,
    },
    /// Its prompt is not of the shape that the operation takes: the server shall say so.
    Unread,
}

/// What is put in the place of spans of the body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) edits: Vec<(Range<usize>, Bytes)>,
    /// By how many bytes the prompt gets shorter.
    pub(crate) shorter: usize,
    pub(crate) output: Option<u64>,
}

/// The output that a request for completions gets if it does not say how much it wants, by the API's specification.
const COMPLETIONS_OUTPUT: u64 = 16;

impl Question<'_> {
    /// Accepts what fits by its bytes: no token is shorter than one.
    pub(crate) fn by_bytes(&self) -> Option<Judgement> {
        let bytes = self.body.source().len() as u64;
        let output = self.possible_output();
        if bytes > self.room(self.needed_output(output)) {
            return None;
        }
        let used = ContextUse { prompt: bytes, sent: bytes, window: self.model.window, ..ContextUse::default() };
        Some(self.pass(used, output, Changes::default()))
    }

    /// Counts.
    pub(crate) fn by_count(&self, counter: &dyn TokenCounter, cancelled: &AtomicBool) -> Judgement {
        let Some(prompt) = Prompt::read(self.call.operation, self.body.source()) else {
            return Judgement::Unread;
        };
        let scales = Scales::new(self.model, counter, cancelled);
        let counted = if scales.is_exact { Counted::Exactly } else { Counted::Estimated };
        let used = ContextUse { counted, window: self.model.window, ..ContextUse::default() };
        let is_only_refused = self.policy.overflow == Overflow::Reject && !self.policy.clamps_output;
        if is_only_refused && scales.is_exact && !prompt.cut_by_server {
            return self.refuse_early(&scales, &prompt, used);
        }
        let weights = scales.weigh(&prompt);
        let total = if prompt.apart { weights.heaviest() } else { weights.total() };
        let used = ContextUse { prompt: total.text(), sent: total.text(), images: total.images, ..used };
        let output = self.clamped_output(total.text());
        let fits = total.text() <= self.room(self.needed_output(output));
        if fits || prompt.cut_by_server || self.policy.overflow == Overflow::LetThrough {
            return self.pass(used, output, Changes::default());
        }
        if self.policy.overflow == Overflow::Truncate {
            return self.truncate(&scales, &prompt, &weights, used);
        }
        match self.too_long(total.certain, self.least_output()) {
            Some(lengths) => Judgement::Refuse { lengths, used },
            None => self.pass(used, output, Changes::default()),
        }
    }

    fn refuse_early(&self, scales: &Scales<'_>, prompt: &Prompt<'_>, used: ContextUse) -> Judgement {
        let output = self.possible_output();
        let maximum = self.model.prompt.min(self.model.window);
        match scales.up_to(prompt, maximum) {
            Err(AtLeast(tokens)) => {
                let lengths = ContextLength::prompt(maximum, tokens).or_more();
                Judgement::Refuse { lengths, used: ContextUse { prompt: tokens, sent: tokens, ..used } }
            }
            Ok(tokens) => {
                let used = ContextUse { prompt: tokens, sent: tokens, ..used };
                match self.too_long(tokens, self.needed_output(output)) {
                    Some(lengths) => Judgement::Refuse { lengths, used },
                    None => self.pass(used, output, Changes::default()),
                }
            }
        }
    }

    fn truncate(&self, scales: &Scales<'_>, prompt: &Prompt<'_>, weights: &Weights, used: ContextUse) -> Judgement {
        let (least, room) = (self.least_output(), self.room(self.output_after_a_cut()));
        let mut rewrite = Rewrite::new(self.body, scales, self.policy);
        let left = if prompt.apart {
            let shorter = |(item, weight): (&Item<'_>, &PromptTokens)| {
                weight.less(rewrite.shorten(std::iter::once(item), weight.text().saturating_sub(room)))
            };
            let left = prompt.items.iter().zip(&weights.items).map(shorter);
            left.max_by_key(|weight| weight.text()).unwrap_or_default()
        } else {
            let plan = fit::fit(&slots(&prompt.items, weights), room.saturating_sub(weights.rest.all()));
            rewrite.drop_items(&prompt.items, &plan.dropped);
            let kept = || prompt.items.iter().zip(&weights.items).zip(&plan.dropped).filter(|(_, gone)| !**gone);
            let left = kept().fold(weights.rest, |sum, ((_, weight), _)| sum.plus(*weight));
            left.less(rewrite.shorten(kept().map(|((item, _), _)| item), left.text().saturating_sub(room)))
        };
        let is_too_long = self.too_long(left.certain, least).is_some();
        if let Some(lengths) = self.too_long(used.prompt, least).filter(|_| is_too_long) {
            return Judgement::Refuse { lengths, used };
        }
        let (dropped, cut) = (rewrite.dropped, rewrite.cut);
        let Some(changes) = rewrite.changes() else {
            return Judgement::Unread;
        };
        let sent = left.text();
        let used = ContextUse { sent, images: left.images, dropped, cut, ..used };
        self.pass(used, self.clamped_output(sent), changes)
    }

    fn pass(&self, mut used: ContextUse, output: Option<u64>, mut changes: Changes) -> Judgement {
        let asked = self.asked_output();
        used.is_over = used.counted != Counted::ByBytes && self.too_long(used.sent, self.least_output()).is_some();
        if let (Some(asked), Some(output), Some(span)) = (asked, output, &self.call.spans.max_output_tokens)
            && output < asked
        {
            used.clamped = Some((asked, output));
            changes.output = Some(output);
            changes.edits.push((span.clone(), output.to_string().into()));
        }
        Judgement::Pass { used, changes }
    }

    /// What is said of a prompt that is too long, if so much has to be left for the output.
    fn too_long(&self, tokens: u64, output: u64) -> Option<ContextLength> {
        let Model { window, prompt, .. } = *self.model;
        let maximum = prompt.min(window);
        if tokens > maximum {
            return Some(ContextLength::prompt(maximum, tokens));
        }
        let is_too_much = tokens.saturating_add(output) > window;
        is_too_much.then(|| ContextLength::prompt(window, tokens).with_output(output))
    }

    fn asked_output(&self) -> Option<u64> {
        self.call.max_output_tokens.filter(|_| self.call.operation != Operation::Embeddings)
    }

    /// What the model can give of it.
    fn possible_output(&self) -> Option<u64> {
        let most = if self.policy.clamps_output { self.model.output } else { u64::MAX };
        self.asked_output().map(|asked| asked.min(most))
    }

    /// What a prompt of so many tokens leaves of it, if that is enough to be worth it.
    fn clamped_output(&self, prompt: u64) -> Option<u64> {
        let output = self.possible_output()?;
        let least = self.policy.least_output_of(self.model).min(output);
        let left = self.model.window.saturating_sub(prompt).saturating_sub(self.margin());
        Some(if self.policy.clamps_output { output.min(left.max(least)) } else { output })
    }

    /// The output without room for which the call is refused.
    fn least_output(&self) -> u64 {
        let least = if self.policy.clamps_output { self.policy.least_output_of(self.model) } else { u64::MAX };
        self.possible_output().unwrap_or(self.usual_output()).min(least)
    }

    /// What a cut leaves for the output: once something is lost, the answer shall not be short as well.
    fn output_after_a_cut(&self) -> u64 {
        let usual = self.policy.output_room_of(self.model);
        self.possible_output()
            .map_or_else(|| self.needed_output(None), |output| output.min(usual))
            .max(self.least_output())
    }

    /// The room for an output of which so much is asked for.
    fn needed_output(&self, output: Option<u64>) -> u64 {
        let room = match (self.policy.overflow, self.call.operation) {
            (Overflow::Truncate, Operation::Chat | Operation::Responses) => self.policy.output_room_of(self.model),
            _ => self.usual_output(),
        };
        output.unwrap_or(room)
    }

    /// What the server leaves room for if nothing is asked for.
    fn usual_output(&self) -> u64 {
        if self.call.operation == Operation::Completions { COMPLETIONS_OUTPUT } else { 0 }
    }

    fn margin(&self) -> u64 {
        if self.policy.overflow == Overflow::Truncate { self.policy.margin_of(self.model) } else { 0 }
    }

    /// What the prompt may have beside so much output.
    fn room(&self, output: u64) -> u64 {
        let beside = self.model.window.saturating_sub(output).min(self.model.prompt);
        beside.saturating_sub(self.margin())
    }
}

fn slots(items: &[Item<'_>], weights: &Weights) -> Vec<Slot> {
    let slot = |(item, weight): (&Item<'_>, &PromptTokens)| Slot {
        // What is no element of a list cannot be taken out of it.
        kind: if item.is_element { item.kind } else { Kind::Pinned },
        weight: weight.all(),
        calls: item.calls.clone(),
        follows: item.follows,
        leads: item.leads,
    };
    items.iter().zip(&weights.items).map(slot).collect()
}
