//! The same layer over a quota that is kept elsewhere: its answers take time, overtake each other, and come by its own
//! clock.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use tower::ServiceExt;
use tower_aoai_core::{Admission, Asked, CallContext, Generator, Load, QuotaHeaders, Reason, Rejected};
use tower_aoai_simulator::{Deployment, Latency, Simulator, quota::TokenLimit};
use tower_aoai_token_bucket::{
    Ask, AzureEstimate, Cause, Charge, ChargeEstimate, CorrectOnCompletion, Granted, Settlement, Store,
    TokenBucketLayer,
};

#[macro_use]
mod common;

use common::chat;

const TOKENS_PER_MINUTE: u64 = 60_000;

/// What the server of the store keeps: a bucket reserved ahead, in microseconds of its own clock.
#[derive(Debug, Default)]
struct Server {
    /// When what is reserved is paid for.
    paid_at: u64,
    shut_until: u64,
    open: HashMap<u64, u64>,
    settled: u64,
    returned: u64,
    round_trips: u64,
}

#[derive(Debug)]
enum Answer {
    StartIn(Duration),
    Infeasible(Duration),
}

impl Server {
    fn reserve(&mut self, now: u64, id: u64, tokens: u64, most: Option<Duration>) -> Answer {
        self.round_trips += 1;
        let start = self.paid_at.max(self.shut_until).max(now);
        let wait = Duration::from_micros(start - now);
        if most.is_some_and(|most| wait >= most) {
            return Answer::Infeasible(wait);
        }
        self.paid_at = start + tokens * 60_000_000 / TOKENS_PER_MINUTE;
        self.open.insert(id, tokens);
        Answer::StartIn(wait)
    }
}

/// What a replica has of it.
#[derive(Debug, Clone)]
struct Remote {
    server: Arc<Mutex<Server>>,
    ids: Arc<AtomicU64>,
    dice: Generator,
    /// When the server's clock was zero, by ours: 17 minutes ago.
    epoch: Instant,
}

/// A round trip, and the wait for the instant that was reserved.
#[derive(Default)]
struct Waiting {
    id: u64,
    begun: Option<Instant>,
    on_its_way: Option<Pin<Box<dyn Future<Output = Answer> + Send + Sync>>>,
    starts: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Remote {
    fn new() -> Self {
        let epoch = Instant::now().checked_sub(Duration::from_secs(1_000)).unwrap_or_else(Instant::now);
        Self { server: Arc::default(), ids: Arc::default(), dice: Generator::seeded(5), epoch }
    }

    fn micros(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_micros() as u64
    }

    fn one_way(&self) -> Duration {
        Duration::from_micros(200 + (self.dice.fraction() * 5_000.0) as u64)
    }

    /// A message that nobody waits for: it arrives some time, in any order.
    fn tell(&self, message: impl FnOnce(&mut Server) + Send + 'static) {
        let (server, delay) = (Arc::clone(&self.server), self.one_way());
        tokio::spawn(async move {
            sleep(delay).await;
            message(&mut server.lock());
        });
    }

    fn give_back(&self, id: u64) {
        self.tell(move |server| {
            // Known by its id, so that it is given back once.
            if let Some(tokens) = server.open.remove(&id) {
                server.returned += tokens;
            }
        });
    }
}

impl Store for Remote {
    type Waiting = Waiting;
    type Ticket = u64;

    fn poll_reserve(
        &self,
        ask: &Ask,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Granted<u64>, Rejected>> {
        if waiting.starts.is_none() {
            let begun = *waiting.begun.get_or_insert_with(Instant::now);
            let on_its_way = waiting.on_its_way.get_or_insert_with(|| {
                waiting.id = self.ids.fetch_add(1, Relaxed);
                let (remote, id, tokens) = (self.clone(), waiting.id, ask.charge.tokens);
                let most = ask.latest.map(|latest| latest.saturating_duration_since(begun));
                let (there, back) = (self.one_way(), self.one_way());
                Box::pin(async move {
                    sleep(there).await;
                    let now = remote.micros(Instant::now());
                    let answer = remote.server.lock().reserve(now, id, tokens, most);
                    sleep(back).await;
                    answer
                })
            });
            match ready!(on_its_way.as_mut().poll(cx)) {
                Answer::Infeasible(wait) => {
                    let refused = Rejected::new(Reason::StartBy, "shared quota").until(Instant::now() + wait);
                    return Poll::Ready(Err(refused));
                }
                Answer::StartIn(wait) => waiting.starts = Some(Box::pin(sleep_until(Instant::now() + wait))),
            }
            waiting.on_its_way = None;
        }
        if let Some(starts) = &mut waiting.starts {
            ready!(starts.as_mut().poll(cx));
        }
        let at = Instant::now();
        let waited = waiting.begun.map_or(Duration::ZERO, |begun| at - begun);
        Poll::Ready(Ok(Granted { ticket: waiting.id, at, waited }))
    }

    fn abandon(&self, _: &Ask, waiting: &mut Waiting) {
        if waiting.begun.is_some() {
            // Its request may still be on its way: what says so is sent so late that it comes behind it.
            let (remote, id) = (self.clone(), waiting.id);
            let reserved = waiting.on_its_way.take();
            tokio::spawn(async move {
                if let Some(reserved) = reserved {
                    reserved.await;
                }
                remote.give_back(id);
            });
        }
    }

    fn sent(&self, _: &mut u64, _: Charge, _: Instant) {}

    fn cancel(&self, id: u64, _: Charge) {
        self.give_back(id);
    }

    fn settle(&self, id: u64, _: Charge, settlement: Settlement) {
        self.tell(move |server| {
            if let Some(tokens) = server.open.remove(&id) {
                server.settled += settlement.actual.unwrap_or(tokens);
            }
        });
    }

    fn hear(&self, _: &u64, _: &QuotaHeaders) {}

    fn shut(&self, until: Instant, _: Cause) {
        let until = self.micros(until);
        self.tell(move |server| server.shut_until = server.shut_until.max(until));
    }

    fn admission(&self, _: &Ask, from: Instant) -> Admission {
        let paid_at = self.server.lock().paid_at;
        Admission::At(from.max(self.epoch + Duration::from_micros(paid_at)))
    }

    fn load(&self) -> Load {
        Load::new(self.server.lock().open.len(), 0)
    }
}

fn simulator() -> Simulator {
    Simulator::builder()
        .deployment(
            Deployment::standard("gpt-4o")
                .tokens_per_minute(TOKENS_PER_MINUTE)
                .requests_per_minute(100_000)
                .token_limit(TokenLimit::BucketOf(TOKENS_PER_MINUTE / 6)),
        )
        .latency(Latency::typical().network(Duration::from_millis(8), Duration::from_millis(6)))
        .build()
}

#[tokio::test(start_paused = true)]
async fn replicas_that_share_a_store_stay_below_the_limit_with_one_round_trip_a_call() {
    let (remote, simulator) = (Remote::new(), simulator());
    let replicas: Vec<_> =
        (0..4).map(|_| TokenBucketLayer::over(remote.clone(), AzureEstimate::new(), ChargeEstimate)).collect();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..400u64 {
        let service = stack!(replicas[number as usize % 4].clone(), simulator.clone());
        calls.spawn(async move {
            sleep(Duration::from_millis(300 * number)).await;
            let call = service.oneshot(chat(400, number % 2 == 0));
            // Some go away: before the answer of the store, while they wait, while they are served.
            let patience = Duration::from_millis(if number % 3 == 0 { 1 + number * number % 8_000 } else { 600_000 });
            match tokio::time::timeout(patience, call).await {
                Ok(answer) => answer.expect("an answer").into_body().collect().await.is_ok(),
                Err(_) => false,
            }
        });
    }
    let served = calls.join_all().await.into_iter().filter(|served| *served).count();
    sleep(Duration::from_secs(1)).await;
    assert!(served >= 266, "{served}");
    assert!(simulator.journal().iter().all(|served| served.refused.is_none()), "never above what the store grants");
    let server = remote.server.lock();
    assert_eq!(server.open.len(), 0, "all was settled or given back");
    assert!(server.settled > 0 && server.returned > 0);
    assert_eq!(server.round_trips, 400, "one for each call");
}

#[tokio::test(start_paused = true)]
async fn a_store_refuses_gates_corrects_and_is_asked_by_a_balancer() {
    let remote = Remote::new();
    let layer = TokenBucketLayer::over(remote.clone(), AzureEstimate::new(), CorrectOnCompletion);
    let handle = layer.handle();
    let mut permit = handle.acquire(Charge::tokens(TOKENS_PER_MINUTE)).await.expect("a permit");
    permit.sent();
    permit.used(123);
    drop(permit);
    let start_by = Instant::now() + Duration::from_secs(5);
    let refused = handle.acquire(Charge::tokens(1)).start_by(start_by).await.expect_err("a minute is reserved");
    assert_eq!(refused.reason(), Reason::StartBy);
    assert!(refused.opens_at().is_some_and(|at| at > start_by));
    let call = CallContext::new(tower_aoai_core::Call::default(), Instant::now());
    assert!(matches!(layer.availability().admission(&call, Instant::now()), Admission::At(at) if at > start_by));
    sleep(Duration::from_secs(61)).await;
    assert_eq!(remote.server.lock().settled, 123);

    let simulator = simulator();
    simulator.script("gpt-4o").then(tower_aoai_simulator::Scripted::rate_limited(Duration::from_secs(7)));
    let begun = Instant::now();
    let refused = stack!(layer.clone(), simulator.clone()).oneshot(chat(10, false)).await.expect("the server's answer");
    assert_eq!(refused.status(), 429);
    drop(refused);
    sleep(Duration::from_millis(50)).await;
    stack!(layer, simulator).oneshot(chat(10, false)).await.expect("an answer");
    assert!(Instant::now() - begun >= Duration::from_secs(7), "the gate is everybody's");
}
