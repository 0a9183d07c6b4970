//! From a call to a member's stack that has it: choosing, waiting for readiness, choosing again.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use tokio::time::{Instant, Sleep, sleep_until};
use tower_aoai_core::{
    BoxError, CallContext, Error, Outcome, Reason, Rejected, Replay, Spare,
    classify::{ResponseHead, judge_head},
};
use tower_service::Service;

use crate::{
    Mark,
    balancer::Balancer,
    roster::Lineup,
    seat::Seat,
    selection::{NAME, late, retry_at, select},
    spurned::{Said, Spurned},
    stacks::Stacks,
};

/// One send of a call: what is known before a member's stack has it, and what is needed should that refuse.
pub(crate) struct Sending<S, B> {
    stacks: Arc<Stacks<S>>,
    context: CallContext,
    ask: Asking<B>,
    spurned: Spurned,
    /// Chosen and not ready yet; the first that is gets the call.
    readying: Vec<Readying<S>>,
    /// While nobody is ready: until another member may be open.
    timer: Option<Pin<Box<Sleep>>>,
    /// How long members that should be open by now, and are not, are left alone.
    pause: Duration,
    /// Why a member's stack cannot be used. Boxed, for it is rare, and large.
    unusable: Option<Box<Error>>,
    /// Whether the call had to wait since the clock was read.
    is_clock_stale: bool,
}

/// What is to be sent.
enum Asking<B> {
    /// To the member that is chosen.
    Whole(Request<B>),
    /// Once more, if the member that has the call refuses after all.
    Again(Spare<B>),
    Nothing,
}

/// A member's stack that is asked whether it is ready; without a mark if the layer is off.
struct Readying<S> {
    seat: Arc<Seat>,
    stack: S,
    mark: Option<Mark>,
}

/// How soon members that are all shut are asked again, where one says that it is open by then; doubles up to
/// [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(1);

const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl<S, B> Sending<S, B> {
    pub(crate) fn new(stacks: Arc<Stacks<S>>, request: Request<B>, context: CallContext) -> Self {
        Self {
            stacks,
            context,
            ask: Asking::Whole(request),
            spurned: Spurned::default(),
            readying: Vec::new(),
            timer: None,
            pause: PAUSE,
            unusable: None,
            is_clock_stale: false,
        }
    }

    fn balancer(&self) -> &Arc<Balancer> {
        &self.stacks.balancer
    }

    /// The clock was read for this call, and has gone on since.
    pub(crate) const fn waits(&mut self) {
        self.is_clock_stale = true;
    }

    fn now(&mut self) -> Instant {
        if mem::take(&mut self.is_clock_stale) {
            self.context.set_now(Instant::now());
        }
        self.context.now()
    }

    fn check_start(&self, now: Instant) -> Result<(), Rejected> {
        match self.context.latest_start() {
            Some(latest) if latest <= now && !self.balancer().settings.is_off => {
                Err(Rejected::new(late(&self.context), NAME))
            }
            _ => Ok(()),
        }
    }

    /// After the member's stack has answered: whether the call goes to another one, because that one refused it unsent.
    pub(crate) fn goes_on<R>(&mut self, mark: &mut Mark, result: &Result<Response<R>, Error>) -> bool {
        match result {
            Err(Error::Rejected(no)) if !mark.is_sent() && may_be_let_in_elsewhere(no.reason()) => {
                mark.lost_race();
                tracing::debug!(member = &*mark.seat().name, reason = ?no.reason(), "refused after all");
                let is_there = if let Asking::Again(spare) = mem::replace(&mut self.ask, Asking::Nothing) {
                    self.ask = Asking::Whole(spare.into_request(self.context.clone()));
                    true
                } else {
                    false
                };
                self.spurned.add(mark.seat(), Said::No(no.clone()));
                // With nobody left to ask, the refusal is one for all.
                is_there || self.spurned.len() >= self.balancer().roster.len()
            }
            result => {
                self.judge(mark, result);
                false
            }
        }
    }

    fn judge<R>(&self, mark: &mut Mark, result: &Result<Response<R>, Error>) {
        let now = Instant::now();
        let classify = &*self.balancer().settings.classify;
        let attempt = self.context.last_attempt();
        let progress = attempt.as_ref().map(|attempt| attempt.progress()).unwrap_or_default();
        let verdict = match (result, progress.verdict) {
            // A time limit in the member's stack dropped the attempt: to the observer that looks like a caller who left.
            (Err(error), Some(verdict)) if verdict.outcome == Outcome::Cancelled => {
                classify.failure(error, progress.first_content.is_some())
            }
            (_, Some(verdict)) => verdict,
            (Err(error), None) => classify.failure(error, progress.first_content.is_some()),
            // An observed answer without a verdict is a stream that is well so far.
            (Ok(_), None) if progress.first_byte.is_some() => Outcome::Success.into(),
            (Ok(response), None) => {
                let head = ResponseHead { status: response.status(), headers: response.headers() };
                judge_head(classify, self.context.call(), head)
            }
        };
        mark.heard(now, attempt, verdict.outcome);
        if verdict.outcome != Outcome::Success {
            let lineup = self.balancer().roster.lineup();
            let at = retry_at(self.balancer(), &lineup, mark.seat(), &self.context, now, verdict.outcome);
            if let Some(at) = at {
                self.context.note_retry_at(at);
            }
        }
    }
}

impl<S, B, R> Sending<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Replay,
{
    /// Waits until a member's stack has the call.
    pub(crate) fn poll_hand_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<(S::Future, Option<Mark>), Error>> {
        loop {
            if let Some(ready) = self.poll_readying(cx) {
                return Poll::Ready(self.hand_down(ready));
            }
            let now = self.now();
            let lineup = self.balancer().roster.lineup();
            match self.select(&lineup, now) {
                Ok(index) => {
                    let seat = &lineup.seats[index];
                    let Some(stack) = self.stacks.stack(&lineup, seat) else {
                        self.spurned.add(seat, Said::Never);
                        continue;
                    };
                    let marked = || Mark::new(self.balancer(), Arc::clone(seat), &self.context, now);
                    let mark = (!self.balancer().settings.is_off).then(marked);
                    let mut chosen = Readying { seat: Arc::clone(seat), stack, mark };
                    match chosen.stack.poll_ready(cx) {
                        Poll::Ready(Ok(())) => return Poll::Ready(self.hand_down(chosen)),
                        Poll::Ready(Err(error)) => self.give_up(chosen, Error::flatten(error)),
                        Poll::Pending => {
                            self.waits();
                            self.spurned.add(seat, Said::Later);
                            self.readying.push(chosen);
                        }
                    }
                }
                Err(refused) if self.readying.is_empty() => {
                    return Poll::Ready(Err(self.unusable.take().map_or_else(|| refused.into(), |unusable| *unusable)));
                }
                Err(_) if self.balancer().settings.is_off => return Poll::Pending,
                Err(refused) => {
                    self.check_start(now)?;
                    ready!(self.poll_opening(cx, now, refused.opens_at()));
                }
            }
        }
    }

    /// Waits until a member may be open, or the call is too late.
    fn poll_opening(&mut self, cx: &mut Context<'_>, now: Instant, opens: Option<Instant>) -> Poll<()> {
        let soon = now + self.pause;
        let soon = self.timer.as_ref().map_or(soon, |timer| timer.deadline().min(soon));
        let asks = opens.map(|at| if at > now { at } else { soon });
        let Some(at) = asks.into_iter().chain(self.context.latest_start()).min() else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.waits();
        let now = self.now();
        self.spurned.reopen(now);
        Poll::Ready(())
    }

    fn select(&self, lineup: &Lineup, now: Instant) -> Result<usize, Rejected> {
        if !self.balancer().settings.is_off {
            return select(self.balancer(), lineup, &self.spurned, &self.context, now);
        }
        let is_there = !lineup.seats.is_empty() && self.spurned.len() == 0;
        if is_there { Ok(0) } else { Err(Rejected::new(Reason::NoEndpoint, NAME)) }
    }

    /// The first of those that were not ready and are now.
    fn poll_readying(&mut self, cx: &mut Context<'_>) -> Option<Readying<S>> {
        let mut index = 0;
        while index < self.readying.len() {
            match self.readying[index].stack.poll_ready(cx) {
                Poll::Ready(Ok(())) => return Some(self.readying.swap_remove(index)),
                Poll::Ready(Err(error)) => {
                    let unusable = self.readying.swap_remove(index);
                    self.give_up(unusable, Error::flatten(error));
                }
                Poll::Pending => {
                    self.waits();
                    index += 1;
                }
            }
        }
        None
    }

    /// A stack whose readiness failed must not be used again; whether it was to say no, or is broken.
    fn give_up(&mut self, unusable: Readying<S>, error: Error) {
        let Readying { seat, mark, .. } = unusable;
        self.spurned.withdraw(&seat);
        if let Error::Rejected(no) = error {
            match mark {
                Some(mut mark) => mark.lost_race(),
                None => self.unusable = Some(Box::new(no.clone().into())),
            }
            self.spurned.add(&seat, Said::No(no));
            return;
        }
        self.stacks.discard(&seat);
        if let Some(mut mark) = mark {
            let verdict = self.balancer().settings.classify.failure(&error, false);
            mark.never_got_ready(verdict.outcome);
        }
        self.spurned.add(&seat, Said::Never);
        self.unusable = Some(Box::new(error));
    }

    fn hand_down(&mut self, ready: Readying<S>) -> Result<(S::Future, Option<Mark>), Error> {
        let Readying { seat, mut stack, mut mark } = ready;
        // Readiness that is not used is not kept.
        self.readying.clear();
        self.spurned.forgive();
        self.timer = None;
        let now = if self.is_clock_stale {
            let now = self.now();
            self.check_start(now)?;
            now
        } else {
            self.context.now()
        };
        let Asking::Whole(mut request) = mem::replace(&mut self.ask, Asking::Nothing) else {
            return Err(Rejected::new(Reason::NoEndpoint, NAME).into());
        };
        let below = CallContext::of(&mut request);
        below.set_now(now);
        if let Some(mark) = &mut mark {
            let attempt = below.attempt();
            let has_more = self.balancer().roster.len() > self.spurned.len() + 1;
            if has_more {
                // Refused unsent, the attempt goes on to another member.
                self.context = below.clone();
            }
            attempt.note_endpoint(Arc::clone(&seat.name));
            mark.hand_down(attempt);
            self.context.note_served(|served| {
                served.endpoint = Some(Arc::clone(&seat.name));
                served.tier = Some(seat.tier);
            });
            if has_more && let Some(spare) = Spare::of(&request) {
                self.ask = Asking::Again(spare);
            }
        }
        Ok((stack.call(request), mark))
    }
}

/// Whether a refusal is of one member's making.
const fn may_be_let_in_elsewhere(reason: Reason) -> bool {
    !matches!(reason, Reason::BodyTooLarge { .. } | Reason::BudgetSpent)
}
