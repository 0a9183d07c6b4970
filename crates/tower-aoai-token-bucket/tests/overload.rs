//! Against the simulator, with half as much again as the quota allows. A short form of `examples/overload.rs`.

use std::time::Duration;

use tower_aoai_simulator::{HeaderStyle, quota::TokenLimit};
use tower_aoai_token_bucket::{Quota, WindowModel};

mod support;

use support::{Exact, Report, TOKENS_PER_MINUTE, biased, overload, quota, standard};

const MINUTES: u64 = 4;

fn assert_full_use(what: &str, report: Report) {
    assert_eq!(report.refused, 0, "{what}: {report}");
    assert!(report.used >= 0.985, "{what}: {report}");
}

#[tokio::test(start_paused = true)]
async fn no_429_from_a_fixed_minute_of_any_phase() {
    for phase in [0, 17, 41, 59] {
        let limit = TokenLimit::FixedMinute { phase: Duration::from_secs(phase) };
        let report = overload(standard().token_limit(limit), quota(), 0, MINUTES, phase).await;
        assert_full_use(&format!("phase {phase} s"), report);
    }
}

#[tokio::test(start_paused = true)]
async fn no_429_from_a_sliding_minute() {
    let report = overload(standard().token_limit(TokenLimit::SlidingMinute), quota(), 0, MINUTES, 1).await;
    assert_full_use("sliding", report);
}

#[tokio::test(start_paused = true)]
async fn no_429_from_a_bucket_of_declared_capacity() {
    for capacity in [TOKENS_PER_MINUTE, TOKENS_PER_MINUTE / 6] {
        let quota = quota().model(WindowModel::Bucket { capacity });
        let report =
            overload(standard().token_limit(TokenLimit::BucketOf(capacity)), quota, capacity, MINUTES, 2).await;
        assert_full_use(&format!("bucket of {capacity}"), report);
    }
}

#[tokio::test(start_paused = true)]
async fn a_biased_server_is_answered_with_a_smaller_share() {
    for style in [HeaderStyle::Full, HeaderStyle::Absent] {
        let deployment = biased().token_limit(TokenLimit::SlidingMinute).header_style(style);
        let report = overload(deployment, quota(), 0, 2 * MINUTES, 3).await;
        // One in a thousand, after the first two minutes.
        assert!(report.refused <= 6 && report.refused_late * 1_000 <= report.sent, "{style:?}: {report}");
        assert!(report.used >= 0.95, "{style:?}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn provisioned_throughput_is_filled_and_seldom_refuses() {
    let deployment = support::provisioned();
    let quota = Quota::provisioned(TOKENS_PER_MINUTE, 4).estimate(Exact { output_ratio: 4 });
    let report = overload(deployment, quota, TOKENS_PER_MINUTE, MINUTES, 4).await;
    assert!(report.refused * 1_000 <= report.sent * 3, "{report}");
    assert!(report.used >= 0.97, "{report}");
}
