use std::{
    cell::Cell,
    fmt,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use http_body::Body;
use parking_lot::{Mutex, ReentrantMutex};
use tokio::time::Instant;
use tower_service::Service;

#[cfg(feature = "transport")]
use super::webhook::RunningWebhook;
use super::{
    AnswerBody, InvalidStack, SharedLimits, StackBuilder, StackFuture,
    assembly::{Assembly, Foundation, Ground},
    body::AskBody,
    flight::Flight,
    parts::Parts,
    sight,
};
use crate::{
    circuit_breaker::CircuitBreakerHandle,
    config::Config,
    context_window::ContextWindowHandle,
    core::{BoxError, Error},
    cost::CostHandle,
    fallback::FallbackHandle,
    statistics::Statistics,
    token_bucket::TokenBucketHandle,
};

/// The whole stack over a transport, as one service; see the [module's page](super).
///
/// Clones are the same stack.
#[derive(Clone)]
pub struct Stack {
    core: Arc<Core>,
}

pub(super) struct Core {
    current: ArcSwap<Assembly>,
    foundation: Box<dyn Foundation>,
    parts: Parts,
    limits: SharedLimits,
    statistics: Statistics,
    /// Who holds it makes the stack anew; whether somebody does, for who asks from within, on the same thread.
    making: ReentrantMutex<Cell<bool>>,
    /// Held for a moment: nobody else's code runs meanwhile.
    changes: Mutex<Changes>,
    /// Who holds it waits for its end.
    #[cfg(feature = "transport")]
    webhook: tokio::sync::Mutex<Option<RunningWebhook>>,
}

#[derive(Default)]
struct Changes {
    is_over: bool,
    /// Of the stack as it was: calls may still be under way there.
    past: Vec<Weak<Flight>>,
}

/// What was left when a stack was [shut down](Stack::shutdown).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// Calls that had not ended when patience had. They go on, unless they are dropped.
    pub calls: usize,
    /// Whether all that is booked is in the cost log, if there is one.
    pub is_log_written: bool,
    /// Whether all alerts were delivered, if there is a webhook.
    pub are_alerts_delivered: bool,
}

/// Calls that go on in the stack as it was before a [reload](Stack::reload).
#[derive(Debug, Clone)]
#[must_use = "calls may still be under way"]
pub struct Draining {
    flight: Arc<Flight>,
}

impl Stack {
    /// A stack as `config` has it, over the built-in transport.
    ///
    /// # Errors
    ///
    /// [`InvalidStack`], with all that is wrong.
    #[cfg(feature = "transport")]
    #[cfg_attr(docsrs, doc(cfg(feature = "transport")))]
    pub fn new(config: Config) -> Result<Self, InvalidStack> {
        Self::builder(config).build()
    }

    /// A stack as the variables of this process have it ([which](crate::config)), over the built-in transport.
    ///
    /// # Errors
    ///
    /// [`InvalidStack`], with all that is wrong, each by the name of its variable.
    #[cfg(feature = "transport")]
    #[cfg_attr(docsrs, doc(cfg(feature = "transport")))]
    pub fn from_env() -> Result<Self, InvalidStack> {
        Self::new(Config::from_env()?)
    }

    /// A stack as a file of TOML has it, over the built-in transport.
    ///
    /// # Errors
    ///
    /// [`InvalidStack`], with all that is wrong, each with its line.
    #[cfg(feature = "transport")]
    #[cfg_attr(docsrs, doc(cfg(feature = "transport")))]
    pub fn from_toml_file(path: impl AsRef<std::path::Path>) -> Result<Self, InvalidStack> {
        Self::new(Config::from_toml_file(path)?)
    }

    /// A stack to which more is to be said, in code.
    pub fn builder(config: Config) -> StackBuilder {
        StackBuilder::new(config)
    }

    pub(super) fn make(
        config: Config,
        foundation: Box<dyn Foundation>,
        mut parts: Parts,
        limits: SharedLimits,
    ) -> Result<Self, InvalidStack> {
        let statistics = sight::statistics(&config);
        if config.statistics.enabled != Some(false) {
            parts.recorders.push(statistics.recorder());
        }
        let ground = Ground { foundation: &*foundation, parts: &parts, limits: &limits };
        let assembly = Assembly::make(config, &ground, None)?;
        #[cfg(feature = "transport")]
        let webhook = tokio::sync::Mutex::new(RunningWebhook::start(&assembly.config, &statistics)?);
        statistics.replace(sight::handles(&assembly));
        let current = ArcSwap::from_pointee(assembly);
        Ok(Self {
            core: Arc::new(Core {
                current,
                foundation,
                parts,
                limits,
                statistics,
                making: ReentrantMutex::default(),
                changes: Mutex::default(),
                #[cfg(feature = "transport")]
                webhook,
            }),
        })
    }

    /// Takes another configuration. New calls go by it; those under way go on as they began, and what this returns tells
    /// when the last of them has ended.
    ///
    /// What an endpoint of the same name, address and deployment has used of its quota stays used, and its limits change
    /// in place; its circuit is as it was, and so are budgets, books and their log. A circuit whose policy changes begins
    /// closed, and a quota that counts otherwise than before begins unused. Legs of which nothing changes but limits keep
    /// what they have learned. What was said in code goes on to hold. Budgets and the log are those that the stack began
    /// with, and so are the settings of the transport and of the statistics, and whether spend is booked at all.
    ///
    /// # Errors
    ///
    /// [`InvalidStack`], with all that is wrong; then nothing has changed. It may be called from a callback, but for those
    /// that a reload itself asks how its layers are to be: they are told [`InvalidStack::Reloading`].
    pub fn reload(&self, config: Config) -> Result<Draining, InvalidStack> {
        let draining = self.replace(config)?;
        // Whose callbacks are called here may reload the stack in their turn.
        self.core.statistics.deliver();
        Ok(draining)
    }

    fn replace(&self, config: Config) -> Result<Draining, InvalidStack> {
        let Core { current, foundation, parts, limits, statistics, making, changes, .. } = &*self.core;
        let is_making = making.lock();
        let Some(_making) = Making::begin(&is_making) else {
            return Err(InvalidStack::Reloading);
        };
        if changes.lock().is_over {
            return Err(InvalidStack::ShutDown);
        }
        let former = current.load_full();
        let ground = Ground { foundation: &**foundation, parts, limits };
        let assembly = Assembly::make(config, &ground, Some(&former))?;
        if assembly.begins_otherwise(&former) {
            tracing::warn!(
                stack = &*statistics.name(),
                "budgets, the books and their log, the settings of the statistics and those of the transport are as the \
                 stack began; others want a new stack"
            );
        }
        let handles = sight::handles(&assembly);
        {
            let mut changes = changes.lock();
            if changes.is_over {
                return Err(InvalidStack::ShutDown);
            }
            current.store(Arc::new(assembly));
            changes.past.retain(|flight| flight.strong_count() > 0);
            changes.past.push(Arc::downgrade(&former.flight));
        }
        statistics.replace_untold(handles);
        Ok(Draining { flight: Arc::clone(&former.flight) })
    }

    /// Takes no more calls, waits up to `patience` for those under way, bodies included, writes the cost log and delivers
    /// the alerts that wait; these two have what is left of the patience, and 5 s in any case.
    ///
    /// Calls that come later are refused with [`Reason::ShuttingDown`](crate::core::Reason::ShuttingDown). It may be
    /// called again, to wait longer.
    ///
    /// # Cancellation
    ///
    /// Dropping the wait leaves the stack closed.
    pub async fn shutdown(&self, patience: Duration) -> Leftover {
        let flights = self.close();
        let emptied = async {
            for flight in &flights {
                flight.emptied().await;
            }
        };
        let asked = Instant::now();
        // Too late is no error: what is left is counted.
        let _ = tokio::time::timeout(patience, emptied).await;
        let left = patience.saturating_sub(Instant::now().saturating_duration_since(asked)).max(LAST_PATIENCE);
        let cost = self.cost();
        let written = tokio::task::spawn_blocking(move || cost.flush(left));
        #[cfg(feature = "transport")]
        let are_alerts_delivered = tokio::time::timeout(left, self.deliver_alerts()).await.unwrap_or(false);
        #[cfg(not(feature = "transport"))]
        let are_alerts_delivered = true;
        let written = written.await;
        Leftover {
            calls: flights.iter().map(|flight| flight.under_way()).sum(),
            is_log_written: written.unwrap_or(false),
            are_alerts_delivered,
        }
    }

    #[cfg(feature = "transport")]
    async fn deliver_alerts(&self) -> bool {
        match &mut *self.core.webhook.lock().await {
            Some(webhook) => webhook.finish().await,
            None => true,
        }
    }

    fn close(&self) -> Vec<Arc<Flight>> {
        let mut changes = self.core.changes.lock();
        changes.is_over = true;
        let current = Arc::clone(&self.core.current.load().flight);
        let flights: Vec<_> = changes.past.iter().filter_map(Weak::upgrade).chain([current]).collect();
        for flight in &flights {
            flight.close();
        }
        flights
    }

    /// The configuration by which new calls go.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.core.current.load().config)
    }

    /// Calls that came in and have not ended, those of before a [reload](Self::reload) included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let past: Vec<_> = self.core.changes.lock().past.iter().filter_map(Weak::upgrade).collect();
        past.iter().map(|flight| flight.under_way()).sum::<usize>() + self.core.current.load().flight.under_way()
    }

    /// How it does: now, over the last hours, and for a call that is planned; with its alerts.
    ///
    /// It goes on through reloads, and stays for who has it when the stack is gone.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.core.statistics.clone()
    }

    /// What is booked.
    #[must_use]
    pub fn cost(&self) -> CostHandle {
        self.core.current.load().cost.handle()
    }

    /// The quota of the endpoint of this name: how much is used, who waits; it can be taken from, too.
    #[must_use]
    pub fn quota(&self, endpoint: &str) -> Option<TokenBucketHandle> {
        self.core.current.load().endpoint(endpoint).map(|parts| parts.bucket.clone())
    }

    /// The circuit of the endpoint of this name.
    #[must_use]
    pub fn circuit(&self, endpoint: &str) -> Option<CircuitBreakerHandle> {
        self.core.current.load().endpoint(endpoint).map(|parts| parts.breaker.clone())
    }

    /// What the legs of the model of this name have served.
    #[must_use]
    pub fn fallback(&self, model: &str) -> Option<FallbackHandle> {
        let current = self.core.current.load();
        current.chains.iter().find(|chain| *chain.shape.0.name == *model).map(|chain| chain.layer.handle())
    }

    /// What was truncated, and refused for its length.
    #[must_use]
    pub fn context_window(&self) -> ContextWindowHandle {
        self.core.current.load().context_window()
    }
}

/// A stack that is being made anew, until this is dropped.
struct Making<'a>(&'a Cell<bool>);

impl<'a> Making<'a> {
    /// `None` if it is being made already: by whoever asks, then.
    fn begin(is_making: &'a Cell<bool>) -> Option<Self> {
        // Only made where it is to be dropped: dropping it ends the making.
        (!is_making.replace(true)).then(|| Self(is_making))
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// How long the log and the alerts have at the end, also where the calls have used up all patience.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

impl<B> Service<Request<B>> for Stack
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = Error;
    type Future = StackFuture;

    /// Always ready: what a call waits for, it waits for inside its future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    /// Sends the call through the stack as it is now.
    ///
    /// # Errors
    ///
    /// Those of its layers, each saying who refused what and why; [`Reason::ShuttingDown`](crate::core::Reason::ShuttingDown)
    /// after a [shutdown](Stack::shutdown).
    ///
    /// # Cancellation
    ///
    /// Dropping the future or the answer's body gives the call up; what it held goes back.
    fn call(&mut self, request: Request<B>) -> StackFuture {
        let current = self.core.current.load();
        match current.flight.board() {
            Some(ticket) => StackFuture::calling(current.entrance.call(request.map(AskBody::of)), ticket),
            None => StackFuture::refused(current.refuse()),
        }
    }
}

impl Draining {
    /// Calls that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flight.under_way()
    }

    /// Waits until all have ended, bodies included. Dropping the wait changes nothing.
    pub async fn emptied(&self) {
        self.flight.emptied().await;
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.core.current.load();
        let models: Vec<&str> = current.chains.iter().map(|chain| &*chain.shape.0.name).collect();
        f.debug_struct("Stack")
            .field("name", &current.config.name)
            .field("models", &models)
            .field("in_flight", &current.flight.under_way())
            .field("draining", &self.core.changes.lock().past.len())
            .finish_non_exhaustive()
    }
}
