//! What the layer has done so far.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{ContextUse, Counted};

/// Names of unknown models that are kept; of more, calls are only counted.
const NAMES_KEPT: usize = 64;

/// A name's bytes that are kept: it comes from the caller.
const NAME_KEPT: usize = 64;

/// Shows what the services of one layer have done.
#[derive(Clone, Default)]
pub struct ContextWindowHandle {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    all: ContextWindowSnapshot,
    unknown: BTreeSet<Arc<str>>,
    tags: BTreeMap<Arc<str>, TagUse>,
}

/// What a layer has done since it was made or last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextWindowSnapshot {
    /// Calls that were held against a window.
    pub calls: u64,
    /// Of these, let through by their bytes, uncounted.
    pub by_bytes: u64,
    /// Of these, counted on a thread of their own.
    pub off_reactor: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Of these, sent on with something of their prompt missing.
    pub truncated: u64,
    /// Of these, sent on with less output asked for.
    pub clamped: u64,
    /// Of these, sent on although an estimate, on which nothing is refused, says that they are too long.
    pub over: u64,
    /// Messages, or items of a response's input, that were dropped.
    pub dropped_messages: u64,
    /// Texts that were cut.
    pub cut_texts: u64,
    /// The longest prompt that was counted, as it came, in tokens.
    pub peak_prompt: u64,
    /// The most of its window that a prompt that was counted had, as it came, in thousandths.
    pub peak_per_mille: u64,
    /// Calls to models that are not known, let through.
    pub unknown_models: u64,
    /// Calls whose bodies could not be read, let through.
    pub unread: u64,
    /// The names of models that were not known: the first 64, of each at most 64 bytes.
    pub unknown_names: Vec<Arc<str>>,
    /// What was done for each tag that has a budget of its own, and was used.
    pub tags: Vec<(Arc<str>, TagUse)>,
}

/// What was done for one tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagUse {
    /// Calls that were held against its budget.
    pub calls: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Of these, sent on with something of their prompt missing.
    pub truncated: u64,
    /// The longest prompt that was counted, as it came, in tokens.
    pub peak_prompt: u64,
}

/// What is to be counted of one call.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) used: &'a ContextUse,
    /// One that has a budget of its own.
    pub(crate) tag: Option<&'a Arc<str>>,
    pub(crate) is_refused: bool,
    pub(crate) is_off_reactor: bool,
}

impl ContextWindowSnapshot {
    /// The share of the calls that were truncated, from 0 to 1.
    #[must_use]
    pub fn truncated_share(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.truncated as f64 / self.calls as f64 }
    }
}

impl ContextWindowHandle {
    /// What was done so far.
    #[must_use]
    pub fn snapshot(&self) -> ContextWindowSnapshot {
        let counts = self.counts.lock();
        ContextWindowSnapshot {
            unknown_names: counts.unknown.iter().cloned().collect(),
            tags: counts.tags.iter().map(|(tag, used)| (Arc::clone(tag), *used)).collect(),
            ..counts.all.clone()
        }
    }

    /// Counts from zero again, and tells of unknown models anew.
    pub fn reset(&self) {
        let mut counts = self.counts.lock();
        counts.all = ContextWindowSnapshot::default();
        counts.unknown.clear();
        counts.tags.clear();
    }

    pub(crate) fn count(&self, entry: &Entry<'_>) {
        let Entry { used, tag, is_refused, is_off_reactor } = *entry;
        let is_counted = used.counted != Counted::ByBytes;
        let prompt = if is_counted { used.prompt } else { 0 };
        let is_truncated = used.is_truncated() && !is_refused;
        let mut counts = self.counts.lock();
        let all = &mut counts.all;
        all.calls += 1;
        all.by_bytes += u64::from(!is_counted);
        all.off_reactor += u64::from(is_off_reactor);
        all.refused += u64::from(is_refused);
        all.truncated += u64::from(is_truncated);
        all.clamped += u64::from(used.clamped.is_some());
        all.over += u64::from(used.is_over);
        all.dropped_messages += used.dropped as u64;
        all.cut_texts += used.cut as u64;
        all.peak_prompt = all.peak_prompt.max(prompt);
        all.peak_per_mille = all.peak_per_mille.max(prompt.saturating_mul(1_000) / used.window.max(1));
        if let Some(tag) = tag {
            let of_tag = counts.tags.entry(Arc::clone(tag)).or_default();
            of_tag.calls += 1;
            of_tag.refused += u64::from(is_refused);
            of_tag.truncated += u64::from(is_truncated);
            of_tag.peak_prompt = of_tag.peak_prompt.max(prompt);
        }
    }

    pub(crate) fn count_unread(&self) {
        self.counts.lock().all.unread += 1;
    }

    /// Counts a call to a model that is not known. The name, as far as it is kept, if it is to be told of.
    pub(crate) fn count_unknown(&self, name: &str) -> Option<Arc<str>> {
        let name = &name[..crate::boundary::floor(name, NAME_KEPT)];
        let mut counts = self.counts.lock();
        counts.all.unknown_models += 1;
        let is_new = !counts.unknown.contains(name) && counts.unknown.len() < NAMES_KEPT;
        is_new.then(|| {
            let name: Arc<str> = name.into();
            counts.unknown.insert(Arc::clone(&name));
            name
        })
    }
}

impl fmt::Debug for ContextWindowHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ContextWindowHandle").field(&self.snapshot()).finish()
    }
}
