//! One token for many calls.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::{FutureExt, Shared};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tower_aoai_core::{Generator, Reason, Rejected};

use crate::{
    Credential, CredentialError, Token,
    layer::NAME,
    refresh::{Lease, Pace, Refresh, Want},
};

/// Keeps one credential's token for all calls of an endpoint, or of several that share it.
///
/// - **One request for many callers.** Whoever needs a token while one is being obtained waits for that one. Each of them
///   drives it: that one of them is cancelled, the first or any other, costs the others nothing.
/// - **Ahead of expiry.** A token is replaced 5 minutes before it expires ([`margin`](Self::margin)), and up to a minute
///   earlier by chance, so that many processes do not ask at once; of one that lives less than twice as long, in the
///   second half of its life. Calls go on with the old one meanwhile, and carry the refresh along: nothing is spawned,
///   and nothing is asked while there are no calls.
/// - **Failures.** As long as the old token is good, a failure fails no call. Without a good one, calls are refused with
///   [`Reason::NoCredential`] until the next try: a second after the first failure, doubling to 30, and up to a quarter
///   more by chance.
/// - **Refused by the server** (401): the token is given up and another one is asked for, unless another one was given up
///   in the last 30 seconds: then it is not the token that is wrong.
///
/// Clones share everything.
#[derive(Clone)]
pub struct TokenCache {
    shared: Arc<Inner>,
}

struct Inner {
    credential: Arc<dyn Credential>,
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct Settings {
    pace: Pace,
    patience: Duration,
    generator: Generator,
}

struct State {
    refresh: Refresh,
    under_way: Option<UnderWay>,
    counts: Counts,
}

/// A token being obtained.
struct UnderWay {
    refreshing: Refreshing,
    since: Instant,
}

/// Ends when a token was obtained, or could not be.
pub(crate) type Refreshing = Shared<Pin<Box<dyn Future<Output = ()> + Send>>>;

#[derive(Debug, Clone, Default)]
struct Counts {
    obtained: u64,
    failures: u64,
    given_up: u64,
    last_failure: Option<Arc<str>>,
}

/// How a credential does: no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenState {
    /// Whether there is a token that has not expired.
    pub is_good: bool,
    /// When it expires, if it does.
    pub expires_at: Option<Instant>,
    /// Whether another one is being obtained.
    pub is_refreshing: bool,
    /// Tokens obtained.
    pub obtained: u64,
    /// Times none could be obtained.
    pub failures: u64,
    /// Tokens given up because a server refused them.
    pub given_up: u64,
    /// What the last failure was, in the credential's own words; `None` once a token was obtained.
    pub last_failure: Option<Arc<str>>,
}

/// What a call is told.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The token, and, where one is being obtained ahead, that.
    Have(Lease, Option<Refreshing>),
    Wait(Refreshing),
    Refused(Rejected),
}

impl TokenCache {
    /// Keeps the tokens of `credential`.
    #[must_use]
    pub fn new(credential: impl Credential + 'static) -> Self {
        let pace = Pace { margin: Duration::from_secs(300), jitter: Duration::from_secs(60) };
        let settings = Settings { pace, patience: Duration::from_secs(30), generator: Generator::from_system() };
        Self::of(Arc::new(credential), settings)
    }

    fn of(credential: Arc<dyn Credential>, settings: Settings) -> Self {
        let state = State { refresh: Refresh::new(settings.pace), under_way: None, counts: Counts::default() };
        Self { shared: Arc::new(Inner { credential, settings, state: Mutex::new(state) }) }
    }

    /// Replaces a token this long before it expires, and up to a fifth of that earlier by chance. Default 5 minutes.
    ///
    /// Like every setting it gives a cache without a token, which shares nothing with the one before.
    #[must_use]
    pub fn margin(self, margin: Duration) -> Self {
        self.with(|settings| settings.pace = Pace { margin, jitter: margin / 5 })
    }

    /// Takes a credential that has not answered for so long to have failed. Default 30 seconds.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        self.with(|settings| settings.patience = patience)
    }

    /// Draws what is left to chance from a sequence that is the same for the same seed. Default: a seed of the system's.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.with(|settings| settings.generator = Generator::seeded(seed))
    }

    /// How the credential does.
    #[must_use]
    pub fn state(&self) -> TokenState {
        let now = Instant::now();
        let state = self.shared.state.lock();
        TokenState {
            is_good: state.refresh.is_good(now),
            expires_at: state.refresh.expiry(),
            is_refreshing: state.under_way.is_some(),
            obtained: state.counts.obtained,
            failures: state.counts.failures,
            given_up: state.counts.given_up,
            last_failure: state.counts.last_failure.clone(),
        }
    }

    /// Forgets the counts, and not the token.
    pub(crate) fn reset_counts(&self) {
        self.shared.state.lock().counts = Counts::default();
    }

    pub(crate) fn ask(&self, now: Instant) -> Answer {
        let mut state = self.shared.state.lock();
        match state.refresh.want(now) {
            Want::Use { lease, refreshes } => {
                let refreshing = match &state.under_way {
                    // However long nobody drove it: there is time, and it may have its answer by now.
                    Some(under_way) => Some(under_way.refreshing.clone()),
                    None => refreshes.then(|| self.begin(&mut state, now)),
                };
                Answer::Have(lease, refreshing)
            }
            Want::Wait => {
                let patience = self.shared.settings.patience;
                let fresh = |one: &&UnderWay| now.saturating_duration_since(one.since) <= patience;
                let joined = state.under_way.as_ref().filter(fresh).map(|one| one.refreshing.clone());
                Answer::Wait(joined.unwrap_or_else(|| self.begin(&mut state, now)))
            }
            Want::None { until } => {
                let rejected = Rejected::new(Reason::NoCredential, NAME).until(until);
                Answer::Refused(
                    rejected.detail("its credential gave no token (the log says why), and is asked again in a while"),
                )
            }
        }
    }

    /// Until when calls are refused, if they are.
    pub(crate) fn shut_until(&self, at: Instant) -> Option<Instant> {
        match self.shared.state.lock().refresh.want(at) {
            Want::None { until } => Some(until),
            Want::Use { .. } | Want::Wait => None,
        }
    }

    pub(crate) fn can_change(&self) -> bool {
        self.shared.credential.can_change()
    }

    /// A server refused the token of a lease; whether another one may do better.
    pub(crate) fn refused(&self, generation: u64, now: Instant) -> bool {
        if !self.can_change() {
            return false;
        }
        let (may_do_better, gave_up) = {
            let mut state = self.shared.state.lock();
            let was_refused = state.refresh.is_refused();
            let may_do_better = state.refresh.refused(generation, now);
            let gave_up = !was_refused && state.refresh.is_refused();
            state.counts.given_up += u64::from(gave_up);
            (may_do_better, gave_up)
        };
        if gave_up {
            tracing::warn!("the endpoint refused its token: another one is asked for");
        }
        may_do_better
    }

    /// Begins to obtain a token, in place of one that nobody drove to its end in time.
    fn begin(&self, state: &mut State, now: Instant) -> Refreshing {
        let inner = Arc::downgrade(&self.shared);
        let refreshing: Refreshing =
            (Box::pin(obtain(inner, now)) as Pin<Box<dyn Future<Output = ()> + Send>>).shared();
        state.under_way = Some(UnderWay { refreshing: refreshing.clone(), since: now });
        refreshing
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.settings.clone();
        change(&mut settings);
        Self::of(Arc::clone(&self.shared.credential), settings)
    }
}

/// Obtains a token and writes it down, for those who are still there.
async fn obtain(inner: Weak<Inner>, since: Instant) {
    let Some((credential, patience)) =
        inner.upgrade().map(|inner| (Arc::clone(&inner.credential), inner.settings.patience))
    else {
        return;
    };
    // What never changes is there at once, and needs no timer.
    let needs_limit = credential.can_change();
    // A credential that panics has failed, and must not take every later call with it.
    let asked = AssertUnwindSafe(async move { credential.token().await }).catch_unwind();
    let answered = if needs_limit { timeout(patience, asked).await.ok() } else { Some(asked.await) };
    let result = match answered {
        Some(Ok(result)) => result,
        Some(Err(_)) => Err(CredentialError::because("the credential panicked")),
        None => Err(CredentialError::because("the credential did not answer in time")),
    };
    if let Some(inner) = inner.upgrade() {
        inner.finish(result, since, Instant::now());
    }
}

impl Inner {
    /// Writes down what came of it; says so once the lock is given back.
    fn finish(&self, result: Result<Token, CredentialError>, since: Instant, now: Instant) {
        let expiry = result.as_ref().ok().and_then(Token::expiry);
        match self.settle(result, since, now) {
            Ok(()) => {
                let lives_for_s = expiry.map(|at| at.saturating_duration_since(now).as_secs());
                tracing::debug!(lives_for_s, "a token was obtained");
            }
            Err(failure) => tracing::warn!(error = &*failure, "no token could be obtained"),
        }
    }

    fn settle(&self, result: Result<Token, CredentialError>, since: Instant, now: Instant) -> Result<(), Arc<str>> {
        let draw = self.settings.generator.fraction();
        // Before the lock is taken: its text is another's code.
        let result = result.map_err(|error| error.chain());
        let mut state = self.state.lock();
        if state.under_way.as_ref().is_some_and(|under_way| under_way.since == since) {
            state.under_way = None;
        }
        let failure: Arc<str> = match result {
            Ok(token) => {
                if state.refresh.obtained(token, now, draw) {
                    state.counts.obtained += 1;
                    state.counts.last_failure = None;
                    return Ok(());
                }
                "the token had expired already when it came".into()
            }
            Err(error) => {
                state.refresh.failed(now, draw);
                error.into()
            }
        };
        state.counts.failures += 1;
        state.counts.last_failure = Some(Arc::clone(&failure));
        Err(failure)
    }
}

/// Its state, and nothing of what the credential is made of.
impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenCache").field(&self.state()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;

    /// Looks at the state of a cache whenever anything is logged, as a subscriber that shows it would.
    struct Looks {
        cache: TokenCache,
        seen: Arc<AtomicUsize>,
    }

    impl Subscriber for Looks {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, _: &Event<'_>) {
            assert!(self.cache.shared.state.try_lock().is_some(), "nobody else gets on while this is logged");
            self.seen.fetch_add(1, SeqCst);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[derive(Debug)]
    struct Nothing;

    impl Credential for Nothing {
        fn token(&self) -> crate::TokenFuture {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn nothing_is_logged_while_the_lock_is_held() {
        let cache = TokenCache::new(Nothing);
        let seen = Arc::<AtomicUsize>::default();
        let subscriber = Looks { cache: cache.clone(), seen: Arc::clone(&seen) };
        let now = Instant::now();
        tracing::subscriber::with_default(subscriber, || {
            let inner = &cache.shared;
            inner.finish(Err(CredentialError::because("no")), now, now);
            inner.finish(Ok(Token::bearer("t").unwrap()), now, now);
            inner.finish(Ok(Token::bearer("u").unwrap().expires_at(now)), now, now);
            assert!(cache.refused(1, now));
        });
        assert_eq!(seen.load(SeqCst), 4);
    }
}
