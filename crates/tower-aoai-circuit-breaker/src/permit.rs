use std::{fmt, sync::Arc};

use tower_aoai_core::{
    Attempt, CallContext, Classify, Error, Guard, Outcome,
    classify::{ResponseHead, judge_head},
};

use crate::CircuitBreakerHandle;

/// Held while a call that the breaker let through is under way; reports its outcome when dropped.
pub struct Permit {
    handle: CircuitBreakerHandle,
    classify: Arc<dyn Classify>,
    context: CallContext,
    attempt: Arc<Attempt>,
    /// What the breaker judged itself, for want of an observer below, or of an answer.
    own: Option<Outcome>,
}

impl Permit {
    pub(crate) fn enter(
        handle: &CircuitBreakerHandle,
        classify: &Arc<dyn Classify>,
        context: &mut CallContext,
    ) -> Self {
        handle.entered();
        let attempt = context.attempt();
        Self { handle: handle.clone(), classify: Arc::clone(classify), context: context.clone(), attempt, own: None }
    }
}

impl Guard for Permit {
    fn head(&mut self, head: ResponseHead<'_>) {
        if !self.attempt.is_sent() {
            self.own = Some(judge_head(&*self.classify, self.context.call(), head).outcome);
        }
    }

    fn failed(&mut self, error: &Error) {
        if error.rejected().is_none() {
            self.own = Some(self.classify.failure(error, self.attempt.has_content()).outcome);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let observed = self.attempt.verdict().map(|verdict| verdict.outcome);
        self.handle.left(observed.or(self.own));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("own", &self.own).finish_non_exhaustive()
    }
}
