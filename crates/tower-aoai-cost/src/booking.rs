//! From a call's begin to its end.

use std::sync::{Arc, OnceLock};

use http::StatusCode;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tower_aoai_core::{CallContext, Error, Guard, Rejected, Timeout, classify::ResponseHead};

use crate::{
    Money, Spend, Tags,
    assess::Seen,
    books::{Books, Open},
    layer::Settings,
};

/// What one call has cost, once it has ended: with the last byte of its answer, its error, or its cancellation.
///
/// An extension of the response; and, where the caller puts one into the request and keeps a clone, to be read also of
/// calls that have no response.
///
/// ```
/// use tower_aoai_cost::CallCost;
///
/// let cost = CallCost::new();
/// let request = http::Request::post("/openai/v1/responses").extension(cost.clone()).body(()).unwrap();
/// // … the request is sent, its answer read …
/// if let Some(spend) = cost.get() {
///     println!("{}", spend.cost());
/// }
/// # let _ = request;
/// ```
#[derive(Debug, Clone, Default)]
pub struct CallCost {
    spend: Arc<OnceLock<Spend>>,
}

impl CallCost {
    /// Of a call that has not ended.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the call has cost with all its attempts; `None` while it is under way.
    #[must_use]
    pub fn get(&self) -> Option<Spend> {
        self.spend.get().copied()
    }
}

/// A call under way, and what it has reserved; an extension of its request, for the gates below.
#[derive(Debug, Clone)]
pub(crate) struct Hold(Arc<Held>);

#[derive(Debug)]
struct Held {
    books: Arc<Books>,
    settings: Arc<Settings>,
    context: CallContext,
    tags: Tags,
    cost: CallCost,
    /// Attempts that the context's record had before: those of another call.
    before: usize,
    open: Open,
    sums: Mutex<Sums>,
}

/// What is reserved for a call, and what of it is meant for attempts that were let through a gate.
#[derive(Debug)]
struct Sums {
    reserved: Money,
    planned: Money,
}

impl Hold {
    /// Lets an attempt be sent, if what it may cost there is reserved or can be.
    pub(crate) fn admit(&self, context: &mut CallContext) -> Result<(), Rejected> {
        let Held { books, settings, open, sums, .. } = &*self.0;
        if open.claims.is_empty() {
            return Ok(());
        }
        let endpoint = context.attempt().endpoint();
        let worst = settings.assessor().worst(context.call(), endpoint);
        let worst = worst.map_or(open.worst, |worst| worst.max(open.worst));
        let mut sums = sums.lock();
        let planned = sums.planned + worst;
        let missing = planned.saturating_sub(sums.reserved);
        if missing > Money::ZERO {
            books.reserve_more(open, missing, context.now())?;
            sums.reserved = sums.reserved + missing;
        }
        sums.planned = planned;
        Ok(())
    }
}

/// Most calls make one attempt.
type Few<T> = SmallVec<[T; 1]>;

/// Books a call when it is dropped. Small, for every layer above moves it.
#[derive(Debug)]
pub struct Booking {
    hold: Hold,
    /// The status of its answer.
    status: Option<StatusCode>,
    /// It failed in a way in which the server may have done something.
    may_be_billed: bool,
}

impl Booking {
    pub(crate) fn new(
        books: &Arc<Books>,
        open: Open,
        settings: Arc<Settings>,
        context: CallContext,
        tags: Tags,
        cost: CallCost,
    ) -> Self {
        let reserved = open.worst.times(settings.attempts.into());
        let sums = Mutex::new(Sums { reserved, planned: Money::ZERO });
        let (books, before) = (Arc::clone(books), context.attempt_count());
        let held = Held { books, settings, context, tags, cost, before, open, sums };
        Self { hold: Hold(Arc::new(held)), status: None, may_be_billed: false }
    }

    pub(crate) fn hold(&self) -> Option<Hold> {
        (!self.hold.0.open.claims.is_empty()).then(|| self.hold.clone())
    }

    pub(crate) fn cost(&self) -> &CallCost {
        &self.hold.0.cost
    }

    /// What is known of each attempt that may have been billed.
    fn seen(&self) -> Few<Seen> {
        let mut seen = Few::new();
        let Held { context, before, .. } = &*self.hold.0;
        let count = context.show_attempts(|attempt| seen.push(Seen::of(attempt)));
        let forgotten = count.saturating_sub(seen.len());
        seen.drain(..before.saturating_sub(forgotten).min(seen.len()));
        if let Some(last) = seen.last_mut() {
            last.answered(self.status);
        }
        // Nobody knows any more what became of them.
        seen.extend((*before..forgotten).map(|_| Seen::unobserved(None)));
        if seen.is_empty() && (self.status.is_some() || self.may_be_billed) {
            seen.push(Seen::unobserved(self.status));
        }
        seen
    }
}

impl Guard for Booking {
    fn head(&mut self, head: ResponseHead<'_>) {
        self.status = Some(head.status);
    }

    fn failed(&mut self, error: &Error) {
        self.may_be_billed = match error {
            Error::Rejected(_) => false,
            Error::Timeout(timeout) => !matches!(timeout, Timeout::Connect | Timeout::Deadline),
            _ => true,
        };
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        let seen = self.seen();
        let Held { books, settings, context, tags, cost, open, sums, .. } = &*self.hold.0;
        let call = context.call();
        let assessor = settings.assessor();
        let counted = seen.iter().find_map(Seen::counted_input);
        let assess = |seen: &Seen| assessor.assess(call, seen, counted, tags.clone());
        let mut spent: Few<_> = seen.iter().map(assess).collect();
        // The call itself is counted where its last attempt was.
        match spent.last_mut() {
            Some((_, spend)) => spend.calls = 1,
            None => spent.push((tags.clone(), Spend { calls: 1, ..Spend::default() })),
        }
        let mut sum = Spend::default();
        spent.iter().for_each(|(_, spend)| sum += *spend);
        let reserved = sums.lock().reserved;
        books.close(open, reserved, &spent);
        if sum.unpriced.attempts == 0 {
            context.note_spend(sum.cost().as_nano_dollars());
        }
        // Of several calls with one, the first.
        let _ = cost.spend.set(sum);
    }
}
