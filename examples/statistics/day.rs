//! Hours of traffic in simulated time: a peak in each, an outage, a wrong key, a smaller quota, prompts that are too long,
//! a budget that is spent, and a reload every hour.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;
use tower_aoai::{
    context_window::{ContextWindowLayer, FourBytes, Model, Models, Policy},
    cost::{Budget, CostLayer, DeploymentType, Money, Period, Prices},
    statistics::{Alert, Settings, StackHandles, Statistics},
};
use tower_aoai_simulator::{CompletionLength, Deployment, Latency, Scripted, Simulator, World};

use crate::stack::{self, Client, Kept, TOKENS_PER_MINUTE};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// What callers write into `max_tokens`: far more than they use.
const MAX_TOKENS: u64 = 500;

/// Reloads go round so many names: the cost layer's books keep a thousand of them apart, and grow until then.
const NAMES: u64 = 4;

/// Nano-dollars: most calls are served by what is paid for by the hour.
const BUDGET_FOR_A_CALL: f64 = 40_000.0;

/// Each hour's last minutes are quiet, so that what is measured then is not what is under way.
const QUIET: Duration = Duration::from_secs(180);

/// A run that is over.
pub(crate) struct Day {
    pub(crate) statistics: Statistics,
    pub(crate) calls: u64,
    pub(crate) alerts: Vec<Alert>,
    /// What was asked of the allocator and not given back, at the end of each hour.
    pub(crate) live_bytes: Vec<usize>,
}

/// When things go wrong, from the start on.
struct Plan {
    sweden_down: [Duration; 2],
    wrong_key: [Duration; 2],
    small_quota: [Duration; 2],
    long_prompts: [Duration; 2],
}

impl Plan {
    fn of(length: Duration) -> Self {
        // Not in the quiet minutes.
        let from = |share: f64, minutes: u32| {
            let hour = (length.as_secs_f64() * share / 3_600.0).floor();
            let from = Duration::from_secs_f64(hour * 3_600.0) + 10 * MINUTE;
            [from, from + minutes * MINUTE]
        };
        let later = |[from, until]: [Duration; 2], minutes: u32| [from + minutes * MINUTE, until + minutes * MINUTE];
        Self {
            sweden_down: from(0.3, 6),
            wrong_key: later(from(0.3, 3), 12),
            small_quota: later(from(0.6, 12), 8),
            long_prompts: later(from(0.6, 6), 16),
        }
    }
}

fn world(seed: u64) -> World {
    let region = |name: &str| {
        let standard = Deployment::standard("gpt-4o").tokens_per_minute(TOKENS_PER_MINUTE).requests_per_minute(1_200);
        Simulator::builder()
            .seed(seed)
            .region(name)
            .journal_capacity(64)
            .latency(Latency::typical())
            .completion_length(CompletionLength::Uniform(10, 100))
            .deployment(standard)
            .deployment(Deployment::provisioned("gpt-4o-ptu").model("gpt-4o").units(25))
            .build()
    };
    World::builder().resource("eastus", region("eastus")).resource("sweden", region("sweden")).build()
}

fn kept(clock: impl Fn() -> SystemTime + Send + Sync + 'static, length: Duration, rate: f64) -> Kept {
    let prices = Prices::built_in().deployment("gpt-4o", "gpt-4o", DeploymentType::Global).deployment(
        "gpt-4o-ptu",
        "gpt-4o",
        DeploymentType::Provisioned,
    );
    // A day of such calls costs twice as much; an hour with an outage alone does.
    let limit = Money::nano_dollars((length.as_secs_f64() * rate * BUDGET_FOR_A_CALL) as u64);
    let cost = CostLayer::new().prices(prices).wall_clock(clock).budget(Budget::new("assistant", limit, Period::Total));
    let models = Models::empty().insert("gpt-4o", Model::new(4_000));
    let window = ContextWindowLayer::new().models(models.clone()).policy(Policy::truncate());
    // Not the tokenizers' tables, whose 35 MB would be all that one sees of the memory.
    Kept { cost, window: window.counter(Arc::new(FourBytes)), models }
}

fn request(random: &mut StdRng, is_long: bool) -> Request<Full<Bytes>> {
    let message = |words: usize| format!(r#"{{"role":"user","content":"{}"}}"#, "word ".repeat(words));
    let messages = if is_long { vec![message(300); 12].join(",") } else { message(random.random_range(40..300)) };
    let stream = random.random_bool(0.5);
    let body = format!(r#"{{"messages":[{messages}],"max_tokens":{MAX_TOKENS},"stream":{stream}}}"#);
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21");
    request
}

/// How many times the usual calls come: three for some minutes of each hour.
fn peak(into_hour: Duration) -> f64 {
    if (20..28).contains(&(into_hour.as_secs() / 60)) { 3.0 } else { 1.0 }
}

/// Runs so many hours, with so many calls a second between peaks; `live_bytes` is asked at the end of each hour, and
/// `progress` told of what has passed.
pub(crate) async fn run(
    hours: u32,
    rate: f64,
    seed: u64,
    live_bytes: impl Fn() -> usize,
    progress: impl Fn(Duration),
) -> Result<Day, Box<dyn Error>> {
    let start = Instant::now();
    // 2026-11-19 00:00:00 UTC.
    let clock = move || UNIX_EPOCH + Duration::from_secs(1_795_046_400) + (Instant::now() - start);
    let length = HOUR * hours;
    let (world, kept, plan) = (world(seed), kept(clock, length, rate), Plan::of(length));
    let at = |[from, until]: [Duration; 2]| (start + from, start + until);
    let sweden = world.resource("sweden").ok_or("there is a sweden")?;
    let (from, until) = at(plan.sweden_down);
    world.region_down("sweden", from, until, &Scripted::plain_text_503());
    let (from, until) = at(plan.wrong_key);
    sweden.script("gpt-4o").during(from, until, Scripted::permission_denied());

    let statistics = Statistics::with(StackHandles::new("assistant"), Settings::new().wall_clock(clock));
    let mut alerts = statistics.alerts();
    let mut told = Vec::new();
    let watch = tokio::spawn(statistics.keep_watch());
    let mut random = StdRng::seed_from_u64(seed);
    let (mut calls, mut live) = (0, Vec::new());
    for hour in 0..hours {
        // A reload: other names, other states, the same history.
        let (client, handles) = stack::build(&world, &kept, &statistics.recorder(), u64::from(hour) % NAMES)?;
        statistics.replace(handles);
        let began = start + HOUR * hour;
        let mut next = began;
        while next < began + HOUR - QUIET {
            sleep_until(next).await;
            let passed = next - start;
            progress(passed);
            let is_in = |[from, until]: [Duration; 2]| (from..until).contains(&passed);
            let tokens = if is_in(plan.small_quota) { TOKENS_PER_MINUTE / 2 } else { TOKENS_PER_MINUTE };
            world.resources().for_each(|(_, region)| {
                region.set_tokens_per_minute("gpt-4o", tokens);
            });
            let is_long = is_in(plan.long_prompts) && random.random_bool(0.5);
            tokio::spawn(call(client.clone(), request(&mut random, is_long)));
            calls += 1;
            // Gaps are exponential.
            let gap: f64 = -(1.0 - random.random::<f64>()).ln() / (rate * peak(next - began));
            next += Duration::from_secs_f64(gap);
        }
        sleep_until(began + HOUR).await;
        told.extend(std::iter::from_fn(|| alerts.try_next()));
        live.push(live_bytes());
    }
    watch.abort();
    Ok(Day { statistics, calls, alerts: told, live_bytes: live })
}

async fn call(client: Client, request: Request<Full<Bytes>>) {
    // What became of it, the statistics tell.
    if let Ok(response) = client.oneshot(request).await {
        let _ = response.into_body().collect().await;
    }
}
