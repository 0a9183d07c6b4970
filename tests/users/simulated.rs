//! A user's own test with the simulator: quotas, faults and answers as Azure has them, in no time.

mod summariser;

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::BoxError;
use tower_aoai_simulator::{Deployment, Scripted, Simulator, quota::RequestLimit};

use crate::summariser::summary;

#[tokio::test(start_paused = true)]
async fn a_summary_survives_what_azure_does_on_a_bad_day() -> Result<(), BoxError> {
    // [simulated]
    let azure = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    azure
        .script("gpt-4o")
        .then(Scripted::plain_text_503())
        .then(Scripted::rate_limited(Duration::from_secs(4)))
        .then(Scripted::text("Round."));

    let start = Instant::now();
    assert_eq!(summary(azure.clone(), "Teapots are round.").await?, "Round.");
    assert!(Instant::now() - start >= Duration::from_secs(4), "the server's hint is waited out");
    assert_eq!(azure.journal().len(), 3);
    // [end]
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn twelve_summaries_in_a_row_keep_to_ten_requests_a_second() -> Result<(), BoxError> {
    let deployment = Deployment::standard("gpt-4o").requests_per_minute(600);
    let deployment = deployment.request_limit(RequestLimit::Fixed(Duration::from_secs(1)));
    let azure = Simulator::builder().deployment(deployment).build();
    // Not at the edge of a window.
    sleep(Duration::from_millis(100)).await;
    let mut summaries = JoinSet::new();
    for _ in 0..12 {
        let azure = azure.clone();
        summaries.spawn(async move { summary(azure, "Teapots are round.").await });
    }
    for summary in summaries.join_all().await {
        assert!(!summary?.is_empty());
    }
    let refused = azure.journal().iter().filter(|served| served.status.is_some_and(|status| status == 429)).count();
    assert_eq!(refused, 2, "once each, and then not before the server said");
    Ok(())
}
