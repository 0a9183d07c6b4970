//! The same retries for any async operation.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tokio::time::Instant;
use tower_aoai_core::{Generator, Outcome, RetryBudget, RetryGrant, Verdict};

use crate::{
    RetryEvent, RetryPolicy,
    hook::Hook,
    pause::Pause,
    session::{Failure, Limits, Session},
};

/// Runs `operation` until it succeeds or `policy` gives up; the last error comes back.
///
/// For code that is no tower stack, HTTP or not. Every error counts as [`Outcome::Transient`] unless
/// [`classify`](RetryOperation::classify) says otherwise. Awaiting it starts it; dropping the future drops the attempt
/// under way or the wait.
///
/// ```
/// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
/// use tower_aoai_retry_after::{Backoff, RetryPolicy, retry};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let tries = AtomicU32::new(0);
/// let policy = RetryPolicy::new().backoff(Backoff::exponential(Duration::from_secs(1)));
/// let answer = retry(policy, || async {
///     if tries.fetch_add(1, Ordering::Relaxed) < 2 { Err("busy") } else { Ok("done") }
/// })
/// .await;
/// assert_eq!(answer, Ok("done"));
/// # }
/// ```
pub fn retry<O>(policy: RetryPolicy, operation: O) -> RetryOperation<O, EveryErrorIsTransient> {
    RetryOperation {
        policy,
        operation,
        classify: EveryErrorIsTransient,
        budget: None,
        deadline: None,
        generator: Generator::default(),
        hook: None,
    }
}

/// An operation to be [retried](retry): awaiting it runs it.
#[must_use = "nothing runs until it is awaited"]
pub struct RetryOperation<O, C> {
    policy: RetryPolicy,
    operation: O,
    classify: C,
    budget: Option<RetryBudget>,
    deadline: Option<Instant>,
    generator: Generator,
    hook: Option<Hook>,
}

/// Says what an operation's error means. Any `Fn(&E) -> Verdict` does.
pub trait ClassifyError<E> {
    /// What the error means.
    fn verdict(&self, error: &E) -> Verdict;
}

/// Takes every error for [`Outcome::Transient`], without a hint.
#[derive(Debug, Clone, Copy, Default)]
pub struct EveryErrorIsTransient;

impl<E> ClassifyError<E> for EveryErrorIsTransient {
    fn verdict(&self, _: &E) -> Verdict {
        Outcome::Transient { hint: None }.into()
    }
}

impl<E, F: Fn(&E) -> Verdict> ClassifyError<E> for F {
    fn verdict(&self, error: &E) -> Verdict {
        self(error)
    }
}

impl<O, C> RetryOperation<O, C> {
    /// Says what each error means; hints in it are waited out.
    pub fn classify<D>(self, classify: D) -> RetryOperation<O, D> {
        let Self { policy, operation, classify: _, budget, deadline, generator, hook } = self;
        RetryOperation { policy, operation, classify, budget, deadline, generator, hook }
    }

    /// Retries within `budget`, which may be shared. Default: without one.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Tries nothing again that could not end before `at`. The first attempt always starts, and none is cut short.
    pub fn deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(at);
        self
    }

    /// Draws the jitter from a sequence that is the same for the same seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.generator = Generator::seeded(seed);
        self
    }

    /// Calls `hook` before each wait; see [`RetryAfterLayer::on_retry`](crate::RetryAfterLayer::on_retry).
    pub fn on_retry<H, F>(mut self, hook: H) -> Self
    where
        H: Fn(RetryEvent) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.hook = Some(Hook::new(hook));
        self
    }
}

impl<O, C, F, T, E> IntoFuture for RetryOperation<O, C>
where
    O: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
    C: ClassifyError<E>,
{
    type Output = Result<T, E>;
    type IntoFuture = OperationFuture<O, C, F>;

    fn into_future(self) -> Self::IntoFuture {
        OperationFuture { session: Session::new(Instant::now()), state: State::Idle, grant: None, operation: self }
    }
}

/// The future of a [`RetryOperation`].
#[pin_project]
pub struct OperationFuture<O, C, F> {
    operation: RetryOperation<O, C>,
    session: Session,
    grant: Option<RetryGrant>,
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProject)]
enum State<F> {
    Idle,
    Running(#[pin] F),
    Waiting(#[pin] Pause),
}

impl<O, C, F, T, E> Future for OperationFuture<O, C, F>
where
    O: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
    C: ClassifyError<E>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProject::Idle => {
                    if let Some(grant) = this.grant.take() {
                        grant.spend(Instant::now());
                    }
                    let attempt = (this.operation.operation)();
                    this.state.set(State::Running(attempt));
                }
                StateProject::Running(attempt) => match ready!(attempt.poll(cx)) {
                    Ok(value) => {
                        if let Some(budget) = &this.operation.budget {
                            budget.deposit(Instant::now());
                        }
                        return Poll::Ready(Ok(value));
                    }
                    Err(error) => match this.operation.after(&error, this.session, this.grant) {
                        Some(pause) => this.state.set(State::Waiting(pause)),
                        None => return Poll::Ready(Err(error)),
                    },
                },
                StateProject::Waiting(pause) => {
                    ready!(pause.poll(cx));
                    this.state.set(State::Idle);
                }
            }
        }
    }
}

impl<O, C> RetryOperation<O, C> {
    fn after<E>(&self, error: &E, session: &mut Session, grant: &mut Option<RetryGrant>) -> Option<Pause>
    where
        C: ClassifyError<E>,
    {
        let now = Instant::now();
        let verdict = self.classify.verdict(error);
        let limits = Limits { deadline: self.deadline, start_by: None, expected_service: self.policy.expected_service };
        let failure = Failure::Attempt { verdict, retry_at: None };
        let retry = session.after(failure, &self.policy, limits, now, self.generator.fraction()).ok()?;
        if retry.budgeted
            && let Some(budget) = &self.budget
        {
            *grant = Some(budget.withdraw(now)?);
        }
        let hook = self.hook.as_ref();
        let hook = hook.map(|hook| hook.call(RetryEvent::new(session.sends(), &retry, Some(verdict.outcome))));
        Some(Pause::until(retry.at, hook))
    }
}

impl<O, C: fmt::Debug> fmt::Debug for RetryOperation<O, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryOperation")
            .field("policy", &self.policy)
            .field("classify", &self.classify)
            .finish_non_exhaustive()
    }
}

impl<O, C, F> fmt::Debug for OperationFuture<O, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationFuture").field("session", &self.session).finish_non_exhaustive()
    }
}
