//! Alerts as JSON to an address.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tower_service::Service;

use super::{Alert, Alerts};

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Posts each alert as JSON to one address, through any client that is a tower service.
///
/// It is a future of its own, [`run`](Self::run), to be spawned: calls never wait for it. Alerts that come while one is
/// being delivered wait, the last 256 of them; what is lost beyond that is [counted](WebhookCounts::missed).
///
/// An answer of 2xx is a delivery. After 408, 429, 5xx, a failed connection or 10 s without an answer it is tried again,
/// five times in all, after 1 s, 2 s, 4 s, 8 s; any other answer is final. So an alert may arrive twice, and has its
/// [`episode`](Alert::episode) and [`phase`](Alert::phase) to be told by.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::service_fn;
/// use tower_aoai::{core::Error, statistics::{StackHandles, Statistics, alerts::Webhook}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let statistics = Statistics::new(StackHandles::new("assistant"));
/// let client = service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, Error>(Response::new(Full::<Bytes>::default())) });
/// let webhook = Webhook::new(client, "https://hooks.contoso.com/aoai".parse().expect("a valid address"));
/// let handle = webhook.handle();
/// let running = tokio::spawn(webhook.run(statistics.alerts()));
/// // …
/// handle.finish();
/// assert_eq!(running.await.expect("no panic").delivered, 0);
/// # }
/// ```
#[must_use = "a webhook does nothing until it is run"]
pub struct Webhook<S> {
    service: S,
    address: Uri,
    headers: HeaderMap,
    attempts: u32,
    first_wait: Duration,
    patience: Duration,
    handle: WebhookHandle,
}

/// Shows how a [`Webhook`] fares, and ends it.
#[derive(Debug, Clone)]
pub struct WebhookHandle {
    counts: Arc<Counts>,
    finish: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
    missed: AtomicU64,
    attempts: AtomicU64,
}

/// What became of the alerts of a [`Webhook`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookCounts {
    /// Taken by the other side.
    pub delivered: u64,
    /// Given up: refused, or tried as often as allowed.
    pub failed: u64,
    /// Lost, for too many waited.
    pub missed: u64,
    /// Posts that were sent.
    pub attempts: u64,
}

enum Posted {
    Taken,
    Refused,
    Again,
}

impl<S> Webhook<S> {
    /// To this address, through that client.
    pub fn new(service: S, address: Uri) -> Self {
        Self {
            service,
            address,
            headers: HeaderMap::new(),
            attempts: 5,
            first_wait: Duration::from_secs(1),
            patience: Duration::from_secs(10),
            handle: WebhookHandle { counts: Arc::default(), finish: watch::Sender::new(false) },
        }
    }

    /// Sends this header, too: a key, for instance, which is shown nowhere.
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    /// How often an alert is tried. Default 5; 0 counts as 1.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The wait before the second try, which doubles for each further one up to a minute. Default 1 s.
    pub const fn first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// How long a try may take. Default 10 s.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Shows how it fares, and ends it.
    #[must_use]
    pub fn handle(&self) -> WebhookHandle {
        self.handle.clone()
    }

    /// Delivers alerts until the statistics are gone or it is [told to finish](WebhookHandle::finish); what waits then is
    /// still delivered.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the alert that is being delivered, and those that wait.
    pub async fn run<B>(mut self, mut alerts: Alerts) -> WebhookCounts
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>>,
        S::Error: fmt::Display,
    {
        let mut finish = self.handle.finish.subscribe();
        loop {
            let next = {
                let (mut next, mut finished) = (pin!(alerts.next()), pin!(finish.wait_for(|finish| *finish)));
                poll_fn(|cx| match next.as_mut().poll(cx) {
                    Poll::Ready(alert) => Poll::Ready(Some(alert)),
                    Poll::Pending => finished.as_mut().poll(cx).map(|_| None),
                })
                .await
            };
            // Told to finish: what waits, and no more.
            let next = next.unwrap_or_else(|| alerts.try_next());
            self.handle.counts.missed.store(alerts.missed(), Relaxed);
            let Some(alert) = next else { break };
            self.deliver(&alert).await;
        }
        self.handle.snapshot()
    }

    async fn deliver<B>(&mut self, alert: &Alert)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>>,
        S::Error: fmt::Display,
    {
        let kind = alert.kind.name();
        let Ok(json) = serde_json::to_vec(alert) else {
            self.handle.counts.failed.fetch_add(1, Relaxed);
            return;
        };
        let json = Bytes::from(json);
        let mut wait = self.first_wait;
        for attempt in 1..=self.attempts {
            self.handle.counts.attempts.fetch_add(1, Relaxed);
            match self.post(json.clone()).await {
                Posted::Taken => {
                    self.handle.counts.delivered.fetch_add(1, Relaxed);
                    return;
                }
                Posted::Refused => break,
                Posted::Again if attempt == self.attempts => break,
                Posted::Again => {
                    sleep(wait.min(LONGEST_WAIT)).await;
                    wait = wait.saturating_mul(2);
                }
            }
        }
        self.handle.counts.failed.fetch_add(1, Relaxed);
        tracing::error!(target: "tower_aoai::alerts", kind, episode = alert.episode, "an alert could not be delivered to the webhook");
    }

    async fn post<B>(&mut self, json: Bytes) -> Posted
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>>,
        S::Error: fmt::Display,
    {
        let mut request = Request::new(Full::from(json));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.address.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let service = &mut self.service;
        let answer = timeout(self.patience, async {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(request).await
        });
        match answer.await {
            Ok(Ok(response)) => judge(response.status()),
            Ok(Err(error)) => {
                tracing::warn!(target: "tower_aoai::alerts", %error, "the webhook was not reached");
                Posted::Again
            }
            Err(_) => {
                tracing::warn!(target: "tower_aoai::alerts", patience = ?self.patience, "the webhook did not answer in time");
                Posted::Again
            }
        }
    }
}

fn judge(status: StatusCode) -> Posted {
    if status.is_success() {
        return Posted::Taken;
    }
    tracing::warn!(target: "tower_aoai::alerts", status = status.as_u16(), "the webhook did not take an alert");
    let is_passing =
        status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if is_passing { Posted::Again } else { Posted::Refused }
}

impl WebhookHandle {
    /// What became of the alerts so far.
    #[must_use]
    pub fn snapshot(&self) -> WebhookCounts {
        let Counts { delivered, failed, missed, attempts } = &*self.counts;
        WebhookCounts {
            delivered: delivered.load(Relaxed),
            failed: failed.load(Relaxed),
            missed: missed.load(Relaxed),
            attempts: attempts.load(Relaxed),
        }
    }

    /// Lets it deliver what waits, and end.
    pub fn finish(&self) {
        self.finish.send_replace(true);
    }
}

impl<S> fmt::Debug for Webhook<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path of an address may be its key.
        f.debug_struct("Webhook")
            .field("host", &self.address.host())
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
