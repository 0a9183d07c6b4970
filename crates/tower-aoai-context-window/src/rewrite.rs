//! Messages taken out and texts cut, as changes of spans: every other byte of the body stays.

use std::{cmp::Reverse, ops::Range};

use bytes::Bytes;
use tower_aoai_core::RequestBody;

use crate::{Policy, cut_text, fit::Kind, judge::Changes, prompt::Item, weigh::Scales};

/// The changes to one body, while they are being made.
#[derive(Debug)]
pub(crate) struct Rewrite<'a> {
    body: &'a RequestBody,
    scales: &'a Scales<'a>,
    policy: &'a Policy,
    /// `None` once a part did not stand where it was read from.
    edits: Option<Vec<(Range<usize>, Bytes)>>,
    /// Messages, or items.
    pub(crate) dropped: usize,
    /// Texts.
    pub(crate) cut: usize,
}

impl<'a> Rewrite<'a> {
    pub(crate) fn new(body: &'a RequestBody, scales: &'a Scales<'a>, policy: &'a Policy) -> Self {
        Self { body, scales, policy, edits: Some(Vec::new()), dropped: 0, cut: 0 }
    }

    /// Takes elements out of their array, each with the comma that stands between it and what stays.
    pub(crate) fn drop_items(&mut self, items: &[Item<'_>], dropped: &[bool]) {
        let spans: Option<Vec<_>> = items.iter().map(|item| self.body.span_of(item.json.as_bytes())).collect();
        let Some(spans) = spans else {
            self.edits = None;
            return;
        };
        let mut index = 0;
        while let Some(first) = (index..dropped.len()).find(|index| dropped[*index]) {
            index = (first..dropped.len()).find(|index| !dropped[*index]).unwrap_or(dropped.len());
            self.dropped += index - first;
            let gap = match (spans.get(index), first.checked_sub(1)) {
                (Some(next), _) => spans[first].start..next.start,
                (None, Some(before)) => spans[before].end..spans[index - 1].end,
                (None, None) => spans[first].start..spans[index - 1].end,
            };
            self.edit(gap, Bytes::new());
        }
    }

    /// Cuts the longest texts of these items until `excess` tokens are saved, or nothing more may be cut. Says how many
    /// were.
    pub(crate) fn shorten<'i>(&mut self, items: impl Iterator<Item = &'i Item<'i>>, excess: u64) -> u64 {
        if excess == 0 || !self.policy.cuts_texts {
            return 0;
        }
        let Scales { counter, tokenizer, .. } = *self.scales;
        let texts = items.filter(|item| item.kind != Kind::Pinned).flat_map(|item| &item.texts);
        let texts = texts.filter_map(|text| Some((self.scales.count(&text.text), text, text.json?)));
        let mut texts: Vec<_> = texts.collect();
        texts.sort_by_key(|(tokens, ..)| Reverse(*tokens));
        let marker = self.scales.count(&self.policy.marker);
        let mut saved = 0_u64;
        for (tokens, text, json) in texts {
            let left = excess.saturating_sub(saved);
            if left == 0 || tokens <= marker {
                break;
            }
            let goal = tokens.saturating_sub(left).max(marker);
            let policy = self.policy;
            let Some(cut) = cut_text(counter, tokenizer, &text.text, goal, &policy.marker, policy.keep) else {
                continue;
            };
            let span = self.body.span_of(json.as_bytes());
            let (Some(span), Ok(written)) = (span, serde_json::to_string(&cut)) else {
                self.edits = None;
                return saved;
            };
            saved = saved.saturating_add(tokens.saturating_sub(self.scales.count(&cut)));
            self.cut += 1;
            self.edit(span, written.into());
        }
        saved
    }

    /// All of them; `None` if they cannot be made.
    pub(crate) fn changes(self) -> Option<Changes> {
        let edits = self.edits?;
        let (removed, added) = edits
            .iter()
            .fold((0_usize, 0_usize), |(removed, added), (span, with)| (removed + span.len(), added + with.len()));
        Some(Changes { edits, shorter: removed.saturating_sub(added), output: None })
    }

    fn edit(&mut self, span: Range<usize>, with: Bytes) {
        if let Some(edits) = &mut self.edits {
            edits.push((span, with));
        }
    }
}
