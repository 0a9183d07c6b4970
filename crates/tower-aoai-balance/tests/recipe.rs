//! A recipe in wide use: the regions in random order, three tries at each, then the next.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_aoai_balance::{BalanceLayer, Member, Strategy};
use tower_aoai_retry_after::{Backoff, RetryAfterLayer, RetryPolicy};

mod support;

use support::{Log, NameLayer, answer, answering, chat};

const REGIONS: [&str; 3] = ["eastus", "westus", "sweden"];

/// The regions that a call was sent to, in order, and how long it took, if those in `down` answer 503.
async fn sends(seed: u64, down: &'static [&'static str]) -> (Vec<&'static str>, Duration, u16) {
    let log = Log::default();
    let members = REGIONS.map(|region| Member::new(region).layer(NameLayer(region)));
    let balance =
        BalanceLayer::new(members).expect("members").strategy(Strategy::Shuffle).tries_per_member(3).seed(seed);
    let backoff = Backoff::constant(Duration::from_secs(1));
    let retry = RetryAfterLayer::new(RetryPolicy::new().max_attempts(9).backoff(backoff).no_jitter()).budget(None);
    let leaf = answering(&log, move |name| answer(if down.contains(&name) { 503 } else { 200 }));
    let start = Instant::now();
    let response = retry.layer(balance.layer(leaf)).oneshot(chat()).await.expect("an answer");
    (log.all(), Instant::now() - start, response.status().as_u16())
}

#[tokio::test(start_paused = true)]
async fn with_all_regions_down_each_gets_its_three_tries_in_an_order_of_the_seeds() {
    let mut orders = HashSet::new();
    for seed in 0..10 {
        let (sent, took, status) = sends(seed, &REGIONS).await;
        assert_eq!((sent.len(), status), (9, 503), "{sent:?}");
        let order: Vec<_> = sent.chunks(3).map(|tries| tries[0]).collect();
        assert!(sent.chunks(3).all(|tries| tries.iter().all(|region| *region == tries[0])), "{sent:?}");
        assert_eq!(order.iter().collect::<HashSet<_>>().len(), 3, "each once: {sent:?}");
        assert_eq!(took, Duration::from_secs(6), "a pause between tries at one, none before the next");
        assert_eq!(sends(seed, &REGIONS).await.0, sent, "the same seed, the same run");
        orders.insert(order);
    }
    assert!(orders.len() >= 4, "of six orders in ten runs: {orders:?}");
}

#[tokio::test(start_paused = true)]
async fn with_one_region_down_a_call_that_meets_it_first_has_its_answer_with_the_fourth_try() {
    let mut met = 0;
    for seed in 0..10 {
        let (sent, took, status) = sends(seed, &["eastus"]).await;
        assert_eq!(status, 200);
        if sent[0] == "eastus" {
            met += 1;
            assert_eq!((&sent[..3], sent.len(), took.as_secs()), (&["eastus"; 3][..], 4, 2));
        } else {
            assert_eq!((sent.len(), took), (1, Duration::ZERO));
        }
    }
    assert!((1..=7).contains(&met), "{met} of ten");
}
