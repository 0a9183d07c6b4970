//! That a budget is nearly, or wholly, spent.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tower_aoai_core::{Listener, News};

use crate::{Money, Span, Tag};

/// A budget is nearly, or wholly, spent. Each is told of once in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// The budget's name.
    pub budget: Arc<str>,
    /// Whose sum it is, where each value of a tag has its own.
    pub value: Option<(Tag, Arc<str>)>,
    /// In which hour, day or month.
    pub span: Span,
    /// What has come about.
    pub kind: AlertKind,
    /// What has been spent.
    pub spent: Money,
    /// What calls under way have reserved.
    pub reserved: Money,
    /// What may be spent.
    pub limit: Money,
}

/// What has come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlertKind {
    /// So many thousandths of the budget are spent.
    Threshold {
        /// The threshold that was crossed, not how much is spent.
        per_mille: u32,
    },
    /// A call was refused, for it could have exceeded the budget.
    Refusing,
}

/// `the budget "each tenant" (acme), 2026-11-19: 80 % spent: $16.00 of $20.00`.
impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the budget {:?}", self.budget)?;
        if let Some((_, value)) = &self.value {
            write!(f, " ({value})")?;
        }
        write!(f, ", {}: ", self.span)?;
        match self.kind {
            AlertKind::Threshold { per_mille } => write!(f, "{} % spent", f64::from(per_mille) / 10.0)?,
            AlertKind::Refusing => f.write_str("refuses calls")?,
        }
        write!(f, ": {} of {}", self.spent, self.limit)?;
        if self.reserved > Money::ZERO {
            write!(f, ", {} more reserved", self.reserved)?;
        }
        Ok(())
    }
}

/// Alerts that a slow listener does not miss.
const KEPT: usize = 64;

/// Who is told.
#[derive(Clone)]
pub(crate) struct Outlets {
    callback: Option<Arc<dyn Fn(&Alert) + Send + Sync>>,
    channel: News<Alert>,
}

impl Outlets {
    pub(crate) fn set_callback(&mut self, callback: impl Fn(&Alert) + Send + Sync + 'static) {
        self.callback = Some(Arc::new(callback));
    }

    pub(crate) fn listen(&self) -> Alerts {
        self.channel.listen()
    }

    /// Tells the log, the callback, and all listeners. Never blocks or panics of its own.
    pub(crate) fn tell(&self, alert: Alert) {
        tracing::warn!(target: "tower_aoai::cost", budget = %alert.budget, "{alert}");
        if let Some(callback) = &self.callback {
            // It may be called where a call is dropped.
            let told = catch_unwind(AssertUnwindSafe(|| callback(&alert)));
            if told.is_err() {
                tracing::error!(target: "tower_aoai::cost", budget = %alert.budget, "the callback for alerts panicked");
            }
        }
        self.channel.tell(alert);
    }
}

impl Default for Outlets {
    fn default() -> Self {
        Self { callback: None, channel: News::new(KEPT) }
    }
}

impl fmt::Debug for Outlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlets").field("callback", &self.callback.is_some()).finish_non_exhaustive()
    }
}

/// The alerts of a layer, as they come, from when this was made; `None` when layer, services and handles are gone.
///
/// The last 64 wait for a slow listener; how many it [missed](Listener::missed) is counted.
pub type Alerts = Listener<Alert>;
