//! Three regions, ten requests a second for each: one throttled, one down for a minute.

use tower_aoai_balance::Strategy;

mod regions;

use regions::{DOWN_FROM, DOWN_UNTIL, END, Outage, run};

async fn assert_nobody_notices(seed: u64, strategy: Strategy, outage: Outage) {
    let report = run(seed, strategy, outage).await;
    assert_eq!(report.failed, 0, "another region could have served each: {report}");
    assert!(report.share_of_down(DOWN_FROM, DOWN_UNTIL) < 0.02, "{report}");
    assert!(report.back_after().is_some_and(|seconds| seconds < 10), "{report}");
    let throttled: usize = report.between(DOWN_FROM, END).iter().map(|(_, refused)| refused).sum();
    assert!(throttled > 100, "one region is throttled: {throttled}");
    assert!(report.attempts() < 1.15, "nearly all that is sent again was throttled: {report}");
}

#[tokio::test(start_paused = true)]
async fn nobody_notices_a_region_that_answers_503() {
    assert_nobody_notices(1, Strategy::ExpectedFinish, Outage::Unavailable).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_notices_a_region_that_does_not_answer() {
    assert_nobody_notices(2, Strategy::ExpectedFinish, Outage::Hangs).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_notices_a_region_that_resets_connections_with_round_robin() {
    assert_nobody_notices(3, Strategy::RoundRobin, Outage::Resets).await;
}
