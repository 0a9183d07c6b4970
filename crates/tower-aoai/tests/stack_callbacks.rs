//! What callbacks may ask of the stack that calls them.
#![cfg(feature = "stack")]

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use tower_aoai::{
    Stack,
    config::{Config, EndpointConfig, ResourceConfig},
    stack::InvalidStack,
};
use tower_aoai_simulator::{Deployment, Simulator};

fn one() -> Config {
    Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef"))
        .endpoint(EndpointConfig::new("chat", "contoso").deployment("chat"))
}

fn with_retries(retries: u32) -> Config {
    let mut config = one();
    config.retry.max_retries = Some(retries);
    config
}

fn simulator() -> Simulator {
    Simulator::builder().deployment(Deployment::standard("chat")).build()
}

/// What `work` comes to, on a thread of its own, so that one that waits for itself fails.
fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(Duration::from_secs(60)).expect("it waits for itself, or panicked")
}

#[test]
fn who_is_told_of_an_alert_by_a_reload_may_ask_the_stack_anything() {
    let (told, reloaded) = ends(|| {
        let stack = Stack::builder(one()).transport(simulator()).build().expect("a stack");
        let (told, reloaded) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (of_told, of_reloaded, of_stack) = (Arc::clone(&told), Arc::clone(&reloaded), stack.clone());
        stack.statistics().on_alert(move |_| {
            of_told.fetch_add(1, SeqCst);
            assert_eq!(of_stack.in_flight(), 0);
            let _ = of_stack.statistics().snapshot();
            if of_stack.reload(with_retries(9)).is_ok() {
                of_reloaded.fetch_add(1, SeqCst);
            }
        });
        stack.circuit("chat").expect("an endpoint").trip_for(Duration::from_secs(1_000));
        let _ = stack.reload(with_retries(1)).expect("a good configuration");
        assert_eq!(stack.config().retry.max_retries, Some(9), "the last word");
        (told.load(SeqCst), reloaded.load(SeqCst))
    });
    assert!(told > 0 && told == reloaded, "{told} alerts, {reloaded} reloads");
}

#[test]
fn a_reload_that_asks_for_another_within_itself_is_refused_that_one() {
    ends(|| {
        let known: Arc<OnceLock<Stack>> = Arc::default();
        let asked = Arc::clone(&known);
        let refused = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&refused);
        let stack = Stack::builder(one())
            .transport(simulator())
            .map_retry(move |_, layer| {
                if let Some(stack) = asked.get() {
                    assert_eq!(stack.in_flight(), 0);
                    // Also who asks again.
                    for _ in 0..2 {
                        let error = stack.reload(one()).expect_err("it is under way");
                        assert!(matches!(error, InvalidStack::Reloading), "{error}");
                        counted.fetch_add(1, SeqCst);
                    }
                }
                layer
            })
            .build()
            .expect("a stack");
        known.set(stack.clone()).expect("it was not set");
        for retries in 1..3 {
            let _ = stack.reload(with_retries(retries)).expect("a good configuration");
            assert_eq!(stack.config().retry.max_retries, Some(retries));
        }
        assert_eq!(refused.load(SeqCst), 4);
    });
}

#[test]
fn a_callback_that_panics_in_a_reload_leaves_the_stack_as_it_was() {
    ends(|| {
        let panics = Arc::new(AtomicUsize::new(0));
        let asked = Arc::clone(&panics);
        let stack = Stack::builder(one())
            .transport(simulator())
            .map_retry(move |_, layer| {
                assert_eq!(asked.load(SeqCst), 0, "as the test wants it");
                layer
            })
            .build()
            .expect("a stack");
        panics.store(1, SeqCst);
        let reloaded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stack.reload(with_retries(1))));
        assert!(reloaded.is_err());
        assert_eq!(stack.config().retry.max_retries, None);
        panics.store(0, SeqCst);
        let _ = stack.reload(with_retries(2)).expect("it can be made anew");
        assert_eq!(stack.config().retry.max_retries, Some(2));
    });
}
