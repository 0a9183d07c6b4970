//! Alerts to an address, as long as the stack is there.

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use tokio::task::JoinHandle;
use tower::{ServiceBuilder, ServiceExt};

use super::InvalidStack;
use crate::{
    config::{Config, Problem},
    core::RequestBody,
    statistics::{
        Statistics,
        alerts::{Webhook, WebhookCounts, WebhookHandle},
    },
    transport::Transport,
};

/// A webhook that is run by a task.
pub(super) struct RunningWebhook {
    handle: WebhookHandle,
    delivering: JoinHandle<WebhookCounts>,
    /// What came of it, once it is over.
    is_all_delivered: Option<bool>,
    /// Looks also while no calls end.
    watching: JoinHandle<()>,
}

impl RunningWebhook {
    /// `None` where none is configured.
    pub(super) fn start(config: &Config, statistics: &Statistics) -> Result<Option<Self>, InvalidStack> {
        let Some(address) = &config.statistics.webhook else { return Ok(None) };
        let problem = |message: &str| InvalidStack::from(vec![Problem::new("statistics.webhook", message)]);
        let address: Uri = address
            .expose()
            .parse()
            .map_err(|_| problem("it is no address; something like \"https://hooks.contoso.com/aoai\" is wanted"))?;
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| problem("alerts are posted by a task: the stack is to be built inside of a tokio runtime"))?;
        let transport = Transport::new().map_err(InvalidStack::Transport)?;
        let client = ServiceBuilder::new()
            .map_request(|request: Request<Full<Bytes>>| request.map(RequestBody::from))
            .service(transport);
        let webhook = Webhook::new(client.map_err(|error| error.to_string()), address);
        let handle = webhook.handle();
        let delivering = runtime.spawn(webhook.run(statistics.alerts()));
        let watching = runtime.spawn(statistics.keep_watch());
        Ok(Some(Self { handle, delivering, is_all_delivered: None, watching }))
    }

    /// Delivers what waits; whether all alerts were delivered. Dropping the wait loses nothing: it may be waited for again.
    pub(super) async fn finish(&mut self) -> bool {
        self.watching.abort();
        self.handle.finish();
        if let Some(known) = self.is_all_delivered {
            return known;
        }
        let counts = (&mut self.delivering).await;
        let is_all_delivered = counts.is_ok_and(|counts| counts.failed == 0 && counts.missed == 0);
        self.is_all_delivered = Some(is_all_delivered);
        is_all_delivered
    }
}
