//! However many names there are.

use std::sync::Arc;

use tokio::time::Instant;
use tower_aoai::{
    core::Outcome,
    telemetry::{
        AttemptRecord, CallEnding, CallRecord, Recorder,
        metrics::{MetricsRecorder, OTHER},
    },
};

use crate::amounts::{Value, taken, with_exporter};

#[test]
fn ten_thousand_models_are_so_many_series_as_the_bound_says_and_none_is_lost() {
    const BOUND: usize = 50;
    const NAMES: usize = 10_000;
    with_exporter(async |snapshotter| {
        let recorder = MetricsRecorder::new().bound(BOUND);
        for number in 0..NAMES {
            let name: Arc<str> = format!("model-{number}").into();
            let mut of_call = CallRecord::new(CallEnding::Answered, Instant::now());
            of_call.asked = Some(name.clone());
            of_call.answer_model = Some(name.clone());
            recorder.call_began(of_call.operation);
            recorder.call(&of_call);
            let mut of_attempt = AttemptRecord::new(name.clone(), Outcome::Success, Instant::now());
            of_attempt.answer_model = Some(name.clone());
            (of_attempt.resends, of_attempt.resent_after) = (1, Some(Outcome::Broken));
            recorder.attempt_began(&name);
            recorder.attempt(&of_attempt);
        }
        let taken = taken(&snapshotter);
        for (metric, other) in [
            ("gen_ai.client.operation.duration", format!("gen_ai.request.model={OTHER},gen_ai.response.model={OTHER}")),
            ("tower_aoai.attempts", format!("{{endpoint={OTHER},outcome=success}}")),
            ("tower_aoai.retries", format!("{{endpoint={OTHER},reason=broken}}")),
            ("tower_aoai.attempts.in_flight", format!("{{endpoint={OTHER}}}")),
        ] {
            let of_metric: Vec<_> = taken.iter().filter(|(name, _)| name.starts_with(&format!("{metric}{{"))).collect();
            assert_eq!(of_metric.len(), BOUND + 1, "{metric}");
            let value = of_metric.iter().find(|(name, _)| name.contains(&other)).map(|(_, value)| **value);
            match value.expect("there are others") {
                Value::Counter(count) => assert_eq!(count, (NAMES - BOUND) as u64),
                Value::Histogram(count, _) => assert_eq!(count, NAMES - BOUND),
                Value::Gauge(under_way) => assert!(under_way.abs() < 0.5),
            }
        }
    });
}

#[test]
fn a_name_that_is_too_long_for_a_label_is_one_of_the_others() {
    with_exporter(async |snapshotter| {
        let recorder = MetricsRecorder::new();
        for length in [128, 129] {
            let record = AttemptRecord::new("n".repeat(length), Outcome::Success, Instant::now());
            recorder.attempt(&record);
        }
        let taken = taken(&snapshotter);
        let counted: Vec<_> = taken.keys().filter_map(|name| name.strip_prefix("tower_aoai.attempts{")).collect();
        assert_eq!(
            counted,
            [format!("endpoint={},outcome=success}}", "n".repeat(128)), format!("endpoint={OTHER},outcome=success}}")]
        );
    });
}
