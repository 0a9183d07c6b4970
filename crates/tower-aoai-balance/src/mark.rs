//! A call's place in a member's count, from the choice to the last byte of the answer.

use std::{fmt, mem, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower_aoai_core::{Attempt, Call, CallContext, Guard, Outcome, Progress};

use crate::{
    balancer::Balancer,
    pick::Size,
    seat::{Seat, Stay},
};

/// Counts a call as in flight at a member for as long as it is held, and learns from how the call goes.
///
/// The body of each answer holds it to its end; dropped anywhere, it counts the call out exactly once.
#[must_use = "a call counts as in flight as long as its mark is held"]
pub struct Mark {
    balancer: Arc<Balancer>,
    seat: Arc<Seat>,
    call: Arc<Call>,
    size: Size,
    stay: Stay,
    /// What lies below writes it.
    attempt: Option<Arc<Attempt>>,
    stage: Stage,
    judged: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Chosen, or handed down.
    Unsent,
    /// The server has it.
    Sent,
    /// Its answer's head, or its failure, came.
    Heard,
}

impl Mark {
    pub(crate) fn new(balancer: &Arc<Balancer>, seat: Arc<Seat>, context: &CallContext, now: Instant) -> Self {
        let stay = seat.enter(now, context.call().target());
        let (balancer, call, size) = (Arc::clone(balancer), context.shared_call(), balancer.size(context));
        Self { balancer, seat, call, size, stay, attempt: None, stage: Stage::Unsent, judged: None }
    }

    pub(crate) const fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.progress().sent.is_some()
    }

    /// The member's stack gets the call, to make this attempt.
    pub(crate) fn hand_down(&mut self, attempt: Arc<Attempt>) {
        self.seat.count(self.stay, |counts| counts.entered += 1);
        self.attempt = Some(attempt);
    }

    /// Looks whether the server has it by now.
    pub(crate) fn stamp(&mut self) {
        if self.stage == Stage::Unsent
            && let Some(sent) = self.attempt.as_ref().and_then(|attempt| attempt.progress().sent)
        {
            self.seat.sent(sent);
            self.stage = Stage::Sent;
        }
    }

    /// Nothing was sent: a layer below said no.
    pub(crate) fn lost_race(&mut self) {
        self.seat.count(self.stay, |counts| counts.races_lost += 1);
        self.judge(Instant::now(), Outcome::Cancelled);
    }

    /// The member's stack could not be used.
    pub(crate) fn never_got_ready(&mut self, outcome: Outcome) {
        self.judge(Instant::now(), outcome);
    }

    /// The answer's head came, or there is none. A layer below may have made another attempt in the place of the one that
    /// was handed down: it is the `last` one that counts.
    pub(crate) fn heard(&mut self, now: Instant, last: Option<Arc<Attempt>>, outcome: Outcome) {
        self.attempt = last.or(self.attempt.take());
        self.stamp();
        self.wait_no_longer(Some(now));
        self.judge(now, outcome);
        if outcome == Outcome::Success && self.progress().sent.is_none() {
            // Nobody observes: the head is all that is known.
            let took = now.saturating_duration_since(self.stay.began);
            let size = Size { output: 0.0, ..self.size };
            self.seat.learn(self.stay, |pace| pace.whole(now, size, took));
        }
    }

    fn wait_no_longer(&mut self, answered_at: Option<Instant>) {
        if mem::replace(&mut self.stage, Stage::Heard) == Stage::Sent {
            self.seat.waited(answered_at);
        }
    }

    fn judge(&mut self, now: Instant, outcome: Outcome) {
        self.judged = Some(outcome);
        if outcome == Outcome::Cancelled {
            self.seat.give_back(now, self.stay);
            return;
        }
        let deployment = self.call.deployment.as_ref().or(self.call.model.as_ref());
        self.seat.judge(now, self.stay, deployment, outcome);
    }

    fn progress(&self) -> Progress {
        self.attempt.as_ref().map(|attempt| attempt.progress()).unwrap_or_default()
    }

    /// What an attempt that has ended tells of the member's speed.
    fn learn(&mut self, progress: &Progress, now: Instant) {
        let Some(sent) = progress.sent else {
            return;
        };
        let since = |at: Instant| at.saturating_duration_since(sent);
        let outcome = progress.verdict.map(|verdict| verdict.outcome);
        let (size, usage) = (self.size, self.attempt.as_ref().and_then(|attempt| attempt.usage()));
        match (outcome, progress.first_content) {
            (Some(Outcome::Success | Outcome::Cancelled), Some(first)) if self.call.stream => {
                let ended = progress.ended.unwrap_or(now);
                let tokens = usage.map_or(progress.content_events, |usage| usage.output);
                let after = ended.saturating_duration_since(first).as_secs_f64();
                let per_token = (tokens > 1).then(|| after / (tokens - 1) as f64);
                self.seat.learn(self.stay, |pace| pace.streamed(now, size, since(first), per_token));
                if outcome == Some(Outcome::Success) && tokens > 0 {
                    self.balancer.learn_output(now, tokens);
                }
            }
            (Some(Outcome::Success), _) if progress.first_byte.is_some() => {
                let output = usage.map_or(size.output, |usage| usage.output as f64);
                let took = progress.ended.map_or(Duration::ZERO, since);
                self.seat.learn(self.stay, |pace| pace.whole(now, Size { output, ..size }, took));
                if let Some(usage) = usage.filter(|usage| usage.output > 0) {
                    self.balancer.learn_output(now, usage.output);
                }
            }
            (None | Some(Outcome::Cancelled), None) => {
                self.seat.learn(self.stay, |pace| pace.left_after(now, size, since(now)));
            }
            _ => {}
        }
    }
}

impl Guard for Mark {}

impl Drop for Mark {
    fn drop(&mut self) {
        let now = Instant::now();
        let progress = self.progress();
        let outcome = progress.verdict.map_or(Outcome::Cancelled, |verdict| verdict.outcome);
        match self.judged {
            None => self.judge(now, outcome),
            // It began well, and the end of its stream may say otherwise.
            Some(Outcome::Success) if !matches!(outcome, Outcome::Success | Outcome::Cancelled) => {
                self.judge(now, outcome);
            }
            Some(_) => {}
        }
        self.wait_no_longer(None);
        self.learn(&progress, now);
        self.seat.leave();
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mark").field("member", &self.seat.name).field("stage", &self.stage).finish_non_exhaustive()
    }
}
