//! That recording allocates nothing once its labels are known. A process of its own: the allocator counts for all of it.

use std::{alloc::System, sync::Arc, time::Duration};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::time::Instant;
use tower_aoai::{
    core::{Hint, HintSource, Outcome, Scope, Usage},
    telemetry::{AttemptRecord, CallEnding, CallRecord, Recorder, metrics::MetricsRecorder},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn what_is_known_is_recorded_without_an_allocation() {
    let model: Arc<str> = "gpt-4o".into();
    let records = |bound: usize, endpoint: &str| {
        let recorder = MetricsRecorder::new().bound(bound);
        let mut call = CallRecord::new(CallEnding::Answered, Instant::now());
        (call.asked, call.answer_model) = (Some(model.clone()), Some(model.clone()));
        (call.usage, call.spend_nano_dollars) = (Some(Usage::new(10, 5)), Some(1_000));
        (call.is_streamed, call.first_content) = (true, Some(Duration::from_secs(1)));
        call.served.spilled_from = Some(model.clone());
        let hint = Some(Hint { after: Duration::from_secs(2), source: HintSource::RetryAfterMs });
        let mut attempt = AttemptRecord::new(endpoint, Outcome::Throttled { hint, scope: Scope::Tokens }, call.ended);
        (attempt.answer_model, attempt.usage) = (call.asked.clone(), call.usage);
        (attempt.resends, attempt.first_byte) = (1, call.first_content);
        (recorder, call, attempt)
    };
    for bound in [1_000, 0] {
        let (recorder, call, attempt) = records(bound, "eastus");
        let tell = || {
            recorder.call_began(call.operation);
            recorder.attempt_began(&attempt.endpoint);
            recorder.attempt(&attempt);
            recorder.call(&call);
        };
        tell();
        let region = Region::new(ALLOCATOR);
        for _ in 0..1_000 {
            tell();
        }
        // The test's own harness may print something meanwhile, but not a thousand times.
        assert!(region.change().allocations < 1_000, "bound {bound}: {:?}", region.change());
    }
}
