//! Each is recorded once, with its labels.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::Request;
use http_body_util::BodyExt;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, layer::layer_fn};
use tower_aoai::{
    core::{Error, IncludeUsageLayer, ObserveLayer, Outcome, PrepareLayer, RequestBody},
    cost::CostLayer,
    fallback::{FallbackLayer, Leg},
    retry_after::{RetryAfterLayer, RetryPolicy},
    telemetry::{AttemptRecord, AttemptTelemetryLayer, CallTelemetryLayer, Recorder, metrics::MetricsRecorder},
};
use tower_aoai_simulator::{Scripted, Simulator};

use crate::support::{Kept, call, chat, simulator};

/// A metric's value: a count, a gauge, or how many were recorded and their sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Counter(u64),
    Gauge(f64),
    Histogram(usize, f64),
}

impl Value {
    fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::Counter(one), Self::Counter(other)) => Self::Counter(one + other),
            (Self::Gauge(one), Self::Gauge(other)) => Self::Gauge(one + other),
            (Self::Histogram(one, sum), Self::Histogram(other, more)) => Self::Histogram(one + other, sum + more),
            _ => panic!("one metric of two kinds"),
        }
    }

    fn is(self, expected: Self) -> bool {
        match (self, expected) {
            (Self::Histogram(one, sum), Self::Histogram(other, expected)) => {
                one == other && (sum - expected).abs() < 1e-9
            }
            (one, other) => one == other,
        }
    }
}

/// What was recorded since it was last asked: `name{label=value,…}`, labels by name.
pub(crate) fn taken(snapshotter: &Snapshotter) -> BTreeMap<String, Value> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    metrics
        .map(|(key, _, _, value)| {
            let key = key.key();
            let mut labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            labels.sort();
            let value = match value {
                DebugValue::Counter(count) => Value::Counter(count),
                DebugValue::Gauge(value) => Value::Gauge(value.into_inner()),
                DebugValue::Histogram(values) => {
                    Value::Histogram(values.len(), values.iter().map(|value| value.into_inner()).sum())
                }
            };
            (format!("{}{{{}}}", key.name(), labels.join(",")), value)
        })
        .collect()
}

/// Runs it, on paused time, with an exporter for this thread.
pub(crate) fn with_exporter<T>(run: impl AsyncFnOnce(Snapshotter) -> T) -> T {
    let exporter = DebuggingRecorder::new();
    let snapshotter = exporter.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    metrics::with_local_recorder(&exporter, || runtime.expect("a runtime").block_on(run(snapshotter)))
}

const CHAT: &str = "gen_ai.operation.name=chat,gen_ai.provider.name=azure.ai.openai,gen_ai.request.model=gpt-4o";
const ANSWERED: &str = ",gen_ai.response.model=gpt-4o-2024-11-20";

#[test]
fn a_call_that_was_tried_again_and_spilled_is_in_every_metric_once() {
    with_exporter(async |snapshotter| {
        let (kept, recorder) = (Arc::new(Kept::default()), Arc::new(MetricsRecorder::new()));
        let [ptu, standard] = [simulator(), simulator()];
        let leg = |name: &str, endpoint: &str, server: &Simulator| {
            let server = server.clone();
            let attempts = AttemptTelemetryLayer::new(endpoint).recorder(recorder.clone()).recorder(kept.clone());
            let layers = ServiceBuilder::new()
                .layer(RetryAfterLayer::new(RetryPolicy::new().max_retries(1)))
                .layer(attempts)
                .layer(IncludeUsageLayer::new())
                .layer(ObserveLayer::new())
                .layer(layer_fn(move |()| ServiceExt::<Request<RequestBody>>::map_err(server.clone(), Error::flatten)));
            Leg::new(name, layers.into_inner())
        };
        let service = ServiceBuilder::new()
            .layer(PrepareLayer::new())
            .layer(CallTelemetryLayer::new().recorder(recorder.clone()).recorder(kept.clone()))
            .layer(CostLayer::new())
            .layer(
                FallbackLayer::new([
                    leg("reserved", "ptu", &ptu).provisioned().max_wait(Duration::from_secs(1)),
                    leg("on demand", "eastus", &standard),
                ])
                .expect("legs"),
            )
            .service(());
        ptu.script("gpt-4o").then(Scripted::rate_limited(Duration::from_secs(20)));
        standard.script("gpt-4o").then(Scripted::status(503));
        let waiting = service.clone().oneshot(chat(true)).await.expect("an answer");
        let in_flight = |taken: &BTreeMap<String, Value>| {
            [
                taken["tower_aoai.calls.in_flight{gen_ai.operation.name=chat,gen_ai.provider.name=azure.ai.openai}"],
                taken["tower_aoai.attempts.in_flight{endpoint=eastus}"],
                taken["tower_aoai.attempts.in_flight{endpoint=ptu}"],
            ]
        };
        let mut told = taken(&snapshotter);
        assert_eq!(in_flight(&told), [Value::Gauge(1.0), Value::Gauge(1.0), Value::Gauge(0.0)]);
        waiting.into_body().collect().await.expect("the rest");

        for (name, value) in taken(&snapshotter) {
            let value = told.get(&name).map_or(value, |before| before.and(value));
            told.insert(name, value);
        }
        assert_eq!(in_flight(&told), [Value::Gauge(0.0); 3]);
        let (record, attempts) = (kept.call(), kept.attempts());
        let usage = record.usage.expect("it was told");
        let (per_chunk, chunks) = record.time_per_chunk().expect("a stream");
        let one = |time: Duration| Value::Histogram(1, time.as_secs_f64());
        let spend = record.spend_nano_dollars.expect("it is known") as f64 / 1e9;
        let first_byte = |endpoint: &str| {
            let of_endpoint = attempts.iter().filter(|attempt| &*attempt.endpoint == endpoint);
            let times: Vec<_> = of_endpoint.filter_map(|attempt| attempt.first_byte).collect();
            Value::Histogram(times.len(), times.iter().map(Duration::as_secs_f64).sum())
        };
        let expected = [
            (format!("gen_ai.client.operation.duration{{{CHAT}{ANSWERED}}}"), one(record.duration)),
            (
                format!("gen_ai.client.operation.time_to_first_chunk{{{CHAT}{ANSWERED}}}"),
                one(record.first_content.expect("it came")),
            ),
            (
                format!("gen_ai.client.operation.time_per_output_chunk{{{CHAT}{ANSWERED}}}"),
                Value::Histogram(chunks as usize, per_chunk.as_secs_f64() * chunks as f64),
            ),
            (
                format!("gen_ai.client.token.usage{{{CHAT}{ANSWERED},gen_ai.token.type=input}}"),
                Value::Histogram(1, usage.input as f64),
            ),
            (
                format!("gen_ai.client.token.usage{{{CHAT}{ANSWERED},gen_ai.token.type=output}}"),
                Value::Histogram(1, usage.output as f64),
            ),
            (format!("tower_aoai.call.waited{{{CHAT}{ANSWERED}}}"), one(record.waited)),
            (format!("tower_aoai.call.spend_dollars{{{CHAT}{ANSWERED}}}"), Value::Histogram(1, spend)),
            ("tower_aoai.spills{cause=throttled,from=reserved}".to_owned(), Value::Counter(1)),
            ("tower_aoai.leg.failures{cause=throttled,leg=reserved}".to_owned(), Value::Counter(1)),
            ("tower_aoai.attempts{endpoint=ptu,outcome=throttled}".to_owned(), Value::Counter(1)),
            ("tower_aoai.attempts{endpoint=eastus,outcome=transient}".to_owned(), Value::Counter(1)),
            ("tower_aoai.attempts{endpoint=eastus,outcome=success}".to_owned(), Value::Counter(1)),
            ("tower_aoai.attempt.duration{endpoint=ptu,outcome=throttled}".to_owned(), one(attempts[0].duration)),
            ("tower_aoai.attempt.duration{endpoint=eastus,outcome=transient}".to_owned(), one(attempts[1].duration)),
            ("tower_aoai.attempt.duration{endpoint=eastus,outcome=success}".to_owned(), one(attempts[2].duration)),
            ("tower_aoai.attempt.first_byte{endpoint=ptu}".to_owned(), first_byte("ptu")),
            ("tower_aoai.attempt.first_byte{endpoint=eastus}".to_owned(), first_byte("eastus")),
            (
                "tower_aoai.attempt.tokens{endpoint=eastus,gen_ai.response.model=gpt-4o-2024-11-20,gen_ai.token.type=input}"
                    .to_owned(),
                Value::Counter(usage.input),
            ),
            (
                "tower_aoai.attempt.tokens{endpoint=eastus,gen_ai.response.model=gpt-4o-2024-11-20,gen_ai.token.type=output}"
                    .to_owned(),
                Value::Counter(usage.output),
            ),
            ("tower_aoai.retries{endpoint=eastus,reason=throttled}".to_owned(), Value::Counter(1)),
            ("tower_aoai.retries{endpoint=eastus,reason=transient}".to_owned(), Value::Counter(1)),
            ("tower_aoai.gate.duration{endpoint=ptu,scope=tokens}".to_owned(), Value::Histogram(1, 20.0)),
        ];
        told.retain(|name, _| !name.contains("in_flight"));
        for (name, value) in expected {
            let told = told.remove(&name);
            assert!(told.is_some_and(|told| told.is(value)), "{name}: {told:?}, not {value:?}");
        }
        assert!(told.is_empty(), "{told:#?}");
    });
}

#[test]
fn the_time_of_each_event_with_content_but_the_first_is_that_from_the_one_before_it() {
    const NAME: &str = "gen_ai.client.operation.time_per_output_chunk";
    with_exporter(async |snapshotter| {
        let recorder = Arc::new(MetricsRecorder::new());
        let server = simulator();
        let service = ServiceBuilder::new()
            .layer(PrepareLayer::new())
            .layer(CallTelemetryLayer::new().recorder(recorder))
            .layer(ObserveLayer::new())
            .service(server.clone());
        let mut body = service.clone().oneshot(chat(true)).await.expect("an answer").into_body();
        let mut times = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.expect("no error").into_data().expect("data");
            let events = String::from_utf8(frame.to_vec()).expect("text");
            let with_content = events.lines().filter(|line| {
                let is_empty = line.contains(r#""content":"""#);
                line.contains(r#""content":""#) && !is_empty
            });
            let with_content = with_content.count();
            times.extend(std::iter::repeat_n(Instant::now(), with_content));
        }
        drop(body);
        let streamed = (*times.last().expect("content") - times[0]).as_secs_f64();
        let one = taken(&snapshotter).remove(&format!("{NAME}{{{CHAT}{ANSWERED}}}"));
        let Some(Value::Histogram(count, sum)) = one else { panic!("{one:?}") };
        assert!(count > 3 && count == times.len() - 1, "{count} of {}", times.len());
        assert!(sum >= streamed - 1e-6 && sum < streamed * 1.2 + 0.001, "{sum} of {streamed}");

        drop(service.clone().oneshot(chat(true)).await.expect("an answer"));
        server.script("gpt-4o").then(Scripted::content_filter());
        for stream in [true, false] {
            call(&service, chat(stream)).await.expect("an answer");
        }
        let more = taken(&snapshotter).remove(&format!("{NAME}{{{CHAT}{ANSWERED}}}"));
        assert!(!more.is_some_and(|more| matches!(more, Value::Histogram(1.., _))), "no whole stream: {more:?}");
    });
}

#[test]
fn what_fails_is_told_by_its_error_and_what_is_dropped_is_in_flight_no_more() {
    with_exporter(async |snapshotter| {
        let recorder: Arc<dyn Recorder> = Arc::new(MetricsRecorder::new());
        let server = simulator();
        let service = ServiceBuilder::new()
            .layer(PrepareLayer::new())
            .layer(CallTelemetryLayer::new().recorder(recorder.clone()))
            .layer(AttemptTelemetryLayer::new("eastus").recorder(recorder))
            .layer(ObserveLayer::new())
            .service(server.clone());
        server.script("gpt-4o").then(Scripted::content_filter()).then(Scripted::reset()).then(Scripted::hang());
        call(&service, chat(false)).await.expect("a refusal");
        call(&service, chat(false)).await.expect_err("a reset");
        let hangs = tokio::time::timeout(Duration::from_secs(3), call(&service, chat(false)));
        hangs.await.expect_err("nobody waits so long");

        let taken = taken(&snapshotter);
        let count = |name: &str| match taken[name] {
            Value::Counter(count) => count,
            Value::Histogram(count, _) => count as u64,
            Value::Gauge(value) => value as u64,
        };
        for error in ["refused", "transient", "cancelled"] {
            assert_eq!(count(&format!("gen_ai.client.operation.duration{{error.type={error},{CHAT}}}")), 1, "{error}");
            assert_eq!(count(&format!("tower_aoai.attempts{{endpoint=eastus,outcome={error}}}")), 1, "{error}");
        }
        assert_eq!(count("tower_aoai.attempts.in_flight{endpoint=eastus}"), 0);
        assert!(!taken.keys().any(|name| name.contains("token") || name.contains("spend")), "{taken:#?}");
    });
}

#[test]
fn what_was_not_sent_again_after_all_is_no_retry() {
    with_exporter(async |snapshotter| {
        let recorder = MetricsRecorder::new();
        for is_sent in [false, true] {
            let mut record = AttemptRecord::new("eastus", Outcome::Cancelled, Instant::now());
            (record.is_sent, record.resends) = (is_sent, 1);
            recorder.attempt_began(&record.endpoint);
            recorder.attempt(&record);
        }
        let taken = taken(&snapshotter);
        assert_eq!(
            taken.get("tower_aoai.retries{endpoint=eastus,reason=unknown}"),
            Some(&Value::Counter(1)),
            "{taken:#?}"
        );
    });
}
