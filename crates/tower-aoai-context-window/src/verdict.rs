//! A judgement, carried out: the request rewritten, counted, told of.

use std::sync::Arc;

use http::Request;
use tower_aoai_core::{Call, ContextLength, Reason, Rejected, RequestBody};

use crate::{
    ContextUse, body,
    count::Job,
    handle::Entry,
    judge::Judgement,
    layer::{Measure, Shared},
};

/// The layer's name in a refusal.
const NAME: &str = "context window";

/// What is to be known of a call to carry its judgement out.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) measure: Measure,
    pub(crate) shared: Arc<Shared>,
    pub(crate) is_off_reactor: bool,
}

impl Verdict {
    /// The count that has to come before it.
    pub(crate) fn job(&self, call: Call, body: RequestBody) -> Box<Job> {
        Box::new(Job { body, call, measure: self.measure.clone(), shared: Arc::clone(&self.shared) })
    }

    /// What was done to the request, if it could be read; or that it is refused.
    pub(crate) fn carry_out<B: 'static>(
        &self,
        judgement: Judgement,
        request: &mut Request<B>,
    ) -> Result<Option<ContextUse>, Rejected> {
        match judgement {
            Judgement::Pass { used, changes } => {
                if !body::rewrite(request, changes) {
                    return Ok(self.unread());
                }
                self.count(&used, false);
                self.tell(&used);
                request.extensions_mut().insert(used);
                Ok(Some(used))
            }
            Judgement::Refuse { lengths, used } => {
                self.count(&used, true);
                Err(self.refusal(lengths))
            }
            Judgement::Unread => Ok(self.unread()),
        }
    }

    fn unread(&self) -> Option<ContextUse> {
        self.shared.handle.count_unread();
        tracing::debug!("a prompt is of a shape that cannot be read, or was changed above: it is let through as it is");
        None
    }

    fn refusal(&self, lengths: ContextLength) -> Rejected {
        let ContextLength { maximum, prompt, output, .. } = lengths;
        tracing::info!(
            maximum,
            prompt,
            output,
            tag = self.measure.tag.as_deref(),
            "a prompt is refused: it does not fit"
        );
        Rejected::new(Reason::ContextLength, NAME).lengths(lengths)
    }

    fn count(&self, used: &ContextUse, is_refused: bool) {
        let (tag, is_off_reactor) = (self.measure.tag.as_ref(), self.is_off_reactor);
        self.shared.handle.count(&Entry { used, tag, is_refused, is_off_reactor });
    }

    fn tell(&self, used: &ContextUse) {
        let ContextUse { prompt, sent, window, dropped, cut, .. } = *used;
        let tag = self.measure.tag.as_deref();
        if used.is_truncated() {
            tracing::info!(prompt, sent, window, dropped, cut, tag, "a prompt was cut to fit");
        }
        if let Some((asked, output)) = used.clamped {
            tracing::debug!(asked, output, window, tag, "the output asked for was lowered to what is left");
        }
        if used.is_over {
            tracing::debug!(sent, window, tag, "a prompt is too long by an estimate: it is let through");
        }
    }
}
