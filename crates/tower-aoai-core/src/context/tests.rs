//! The accounts of a call: what is counted once, what is seen where.

use std::time::Duration;

use proptest::prelude::*;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{record::ATTEMPTS_KEPT, *};
use crate::{Attempt, Served};
use crate::{BoxError, ObserveLayer, Outcome, PrepareLayer, RequestBody, Verdict};

fn context() -> CallContext {
    CallContext::new(Call::default(), Instant::now())
}

fn success() -> Verdict {
    Outcome::Success.into()
}

#[test]
fn what_goes_down_is_seen_below_and_nowhere_else_and_what_comes_up_everywhere() {
    let above = context();
    let at = above.now() + Duration::from_secs(1);
    let mut below = above.clone();
    below.tighten_deadline(at);
    below.set_start_by(Some(at));
    below.set_attempts_left(Some(2));
    below.set_retries_owned(true);
    below.set_usage_added(true);
    below.set_spill_cost(Some(7));
    below.set_priority(Priority(3));
    below.set_tenant(Some(Tenant::named("acme")));
    below.set_now(at);
    assert_eq!((above.deadline(), above.start_by(), above.attempts_left()), (None, None, None));
    assert!(!above.retries_owned() && !above.usage_added() && above.spill_cost().is_none());
    assert_eq!((above.priority(), above.tenant()), (Priority(0), None));
    assert_eq!((below.priority(), below.tenant()), (Priority(3), Some(Tenant::named("acme"))));
    assert_eq!(above.now(), above.started());
    assert!(std::ptr::eq(&*below.shared_call(), above.call()), "one description for all");

    below.attempt().mark_sent(at);
    below.note_served(|served| served.tier = Some(1));
    below.note_retry_at(at);
    assert_eq!((above.attempt_count(), above.served().tier, above.retry_at()), (1, Some(1), Some(at)));
    below.begin_attempt();
    assert_eq!(above.retry_at(), None, "said of the attempt before");
}

#[test]
fn a_deadline_is_only_ever_tightened_and_the_latest_start_is_the_earlier_bound() {
    let mut context = context();
    let at = |seconds| context.started() + Duration::from_secs(seconds);
    let (three, five, nine) = (at(3), at(5), at(9));
    assert_eq!(context.latest_start(), None);
    context.tighten_deadline(five);
    context.tighten_deadline(nine);
    assert_eq!((context.deadline(), context.latest_start()), (Some(five), Some(five)));
    context.set_start_by(Some(nine));
    assert_eq!(context.latest_start(), Some(five));
    context.set_start_by(Some(three));
    assert_eq!(context.latest_start(), Some(three));
}

#[test]
fn an_attempt_is_shared_until_it_is_sent_and_only_what_was_sent_counts() {
    let mut context = context();
    let breaker = context.attempt();
    let bucket = context.attempt();
    assert!(Arc::ptr_eq(&breaker, &bucket));
    assert_eq!((context.attempt_count(), context.attempts().len()), (0, 0));
    bucket.mark_sent(context.now());
    assert!(!Arc::ptr_eq(&breaker, &context.attempt()));
    assert_eq!(context.attempt_count(), 1);
    assert_eq!(context.served().attempts, 1, "also for who keeps the context and has no answer");
    assert!(Arc::ptr_eq(&context.attempts()[0], &breaker));
}

#[test]
fn an_attempt_that_somebody_still_holds_is_counted_when_it_is_sent_late() {
    let first = context();
    let (mut one, mut other) = (first.clone(), first.clone());
    let (early, late) = (one.attempt(), other.attempt());
    late.mark_sent(first.now());
    early.mark_sent(first.now());
    assert_eq!(first.attempt_count(), 2);
}

#[test]
fn an_attempt_that_was_not_sent_is_not_shown() {
    let mut context = context();
    context.begin_attempt().mark_sent(context.now());
    let _unsent = context.begin_attempt();
    let mut shown = 0;
    assert_eq!(context.show_attempts(|_| shown += 1), 1);
    assert_eq!(shown, 1);
}

#[test]
fn of_a_thousand_attempts_the_last_are_kept_and_all_are_counted() {
    let mut context = context();
    for _ in 0..1000 {
        context.begin_attempt();
        context.begin_attempt().mark_sent(context.now());
    }
    assert_eq!(context.attempt_count(), 1000);
    assert!(context.attempts().len() <= ATTEMPTS_KEPT);
    let mut shown = Vec::new();
    assert_eq!(context.show_attempts(|attempt| shown.push(std::ptr::from_ref(attempt))), 1000);
    assert_eq!(shown, context.attempts().iter().map(Arc::as_ptr).collect::<Vec<_>>());
}

#[test]
fn a_verdict_by_the_head_alone_stands_only_where_nobody_observed() {
    let attempt = Attempt::new();
    let now = Instant::now();
    attempt.judge_unobserved(now, success());
    assert_eq!((attempt.verdict(), attempt.progress().ended), (Some(success()), Some(now)));
    attempt.judge_unobserved(now, Outcome::Broken.into());
    assert_eq!(attempt.verdict(), Some(success()));

    let attempt = Attempt::new();
    attempt.mark_sent(now);
    attempt.judge_unobserved(now, success());
    assert_eq!(attempt.verdict(), None, "an observer has it");
    attempt.cancel(now);
    attempt.end(now, success());
    assert_eq!(attempt.verdict(), Some(Outcome::Cancelled.into()), "the first verdict stands");
    attempt.mark_sent(now + Duration::from_secs(1));
    assert_eq!(attempt.progress().sent, Some(now), "stamped once");
    Attempt::new().cancel(now);
    assert_eq!(Attempt::new().verdict(), None, "what was not sent cannot be cancelled");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_starts_over_is_two_sends_and_who_holds_it_sees_the_second() {
    let mut service = ObserveLayer::new().layer(service_fn(|request: Request<u16>| async move {
        let response = http::Response::builder().status(*request.body());
        Ok::<_, BoxError>(response.body(http_body_util::Full::<bytes::Bytes>::default())?)
    }));
    let send = |status, context: &CallContext| {
        let mut request = Request::new(status);
        request.extensions_mut().insert(context.clone());
        request
    };
    let mut context = context();
    let held = context.attempt();
    context.restart_attempt();
    assert!(context.attempts().is_empty(), "what is open does not start over");
    service.call(send(401, &context)).await.expect("an answer");
    assert_eq!(held.verdict(), Some(Outcome::Misconfigured.into()));

    context.restart_attempt();
    assert_eq!((held.verdict(), held.is_sent(), context.attempt_count()), (None, false, 1));
    service.call(send(200, &context)).await.expect("an answer");
    assert_eq!(held.verdict(), Some(success()));
    let verdicts: Vec<_> = context.attempts().iter().map(|attempt| attempt.verdict()).collect();
    assert_eq!(verdicts, [Some(Outcome::Misconfigured.into()), Some(success())]);
    assert!(context.last_attempt().is_some_and(|last| Arc::ptr_eq(&last, &held)));
}

type Answer = http::Response<http_body_util::Full<bytes::Bytes>>;

async fn answer<B>(_: Request<B>) -> Result<Answer, BoxError> {
    tokio::task::yield_now().await;
    let response = http::Response::builder().header("content-type", "application/json");
    Ok(response.body(http_body_util::Full::from(r#"{"usage":{"prompt_tokens":3}}"#))?)
}

#[tokio::test(start_paused = true)]
async fn two_sends_of_one_request_at_once_are_two_attempts() {
    let mut service = ObserveLayer::new().layer(service_fn(answer::<()>));
    let mut request = Request::new(());
    let context = CallContext::of(&mut request);
    let first = context.attempt();
    let context = context.clone();
    // As tower's hedge does: both are called before either is polled.
    let (one, other) = (service.call(request.clone()), service.call(request));
    let (one, other) = futures_util::future::join(one, other).await;
    assert_eq!(context.attempt_count(), 2);
    drop((one.expect("an answer").into_body(), other.expect("an answer").into_body()));
    assert!(context.attempts().iter().all(|attempt| attempt.verdict() == Some(Outcome::Cancelled.into())));
    assert!(context.attempts().iter().any(|attempt| Arc::ptr_eq(attempt, &first)), "whoever took it reads of one");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_never_was_gives_its_attempt_back() {
    let mut service = ObserveLayer::new().layer(service_fn(answer::<()>));
    let mut request = Request::new(());
    let attempt = CallContext::of(&mut request).attempt();
    drop(service.call(request.clone()));
    let _ = service.call(request).await;
    assert!(attempt.is_sent());
}

#[tokio::test(start_paused = true)]
async fn a_context_that_its_caller_uses_again_starts_a_record_of_its_own() {
    let door = PrepareLayer::new().layer(ObserveLayer::new().layer(service_fn(answer::<RequestBody>)));
    let theirs = context();
    let mut served = Vec::new();
    for _ in 0..3 {
        let mut request = Request::new(http_body_util::Full::<bytes::Bytes>::default());
        request.extensions_mut().insert(theirs.clone());
        let response = door.clone().oneshot(request).await.expect("an answer");
        served.push(response.extensions().get::<Served>().map(|served| served.attempts));
    }
    assert_eq!(served, [Some(1); 3], "each call counts its own");
    assert_eq!(theirs.attempt_count(), 1, "the first is the one its caller can read");
}

#[tokio::test(start_paused = true)]
async fn a_door_behind_a_door_keeps_the_record() {
    let inner = PrepareLayer::new().layer(ObserveLayer::new().layer(service_fn(answer::<RequestBody>)));
    let door = PrepareLayer::new().layer(inner);
    let theirs = context();
    let mut request = Request::new(http_body_util::Full::<bytes::Bytes>::default());
    request.extensions_mut().insert(theirs.clone());
    door.oneshot(request).await.expect("an answer");
    assert_eq!(theirs.attempt_count(), 1);
}

proptest! {
    /// However contexts are cloned, and attempts begun, sent and dropped: each that was sent is counted once, and what
    /// is kept is bounded.
    #[test]
    fn l3_every_attempt_that_was_sent_is_counted_once(
        steps in prop::collection::vec((0usize..4, 0usize..4), 0..300),
    ) {
        let root = context();
        let now = root.now();
        let mut clones = vec![root.clone(); 4];
        let mut held: Vec<Option<Arc<Attempt>>> = vec![None; 4];
        let mut sent = 0;
        for (who, what) in steps {
            match what {
                0 => held[who] = Some(clones[who].attempt()),
                1 => held[who] = Some(clones[who].begin_attempt()),
                2 => if let Some(attempt) = held[who].take().filter(|attempt| !attempt.is_sent()) {
                    attempt.mark_sent(now);
                    sent += 1;
                },
                _ => clones[who] = clones[(who + 1) % 4].clone(),
            }
        }
        prop_assert_eq!(root.attempt_count(), sent);
        prop_assert!(root.attempts().len() <= ATTEMPTS_KEPT);
    }
}

#[test]
fn what_is_amended_is_seen_below_and_nowhere_else() {
    let above = CallContext::new(Call { prompt_bytes: 100, ..Call::default() }, Instant::now());
    let mut below = above.clone();
    below.amend_call(|call| call.prompt_bytes = 10);
    assert_eq!((above.call().prompt_bytes, below.call().prompt_bytes), (100, 10));
}

#[test]
fn an_attempt_says_which_endpoint_it_went_to() {
    let mut context = CallContext::new(Call::default(), Instant::now());
    let first: Arc<str> = "eastus".into();
    context.attempt().note_endpoint(Arc::clone(&first));
    context.attempt().mark_sent(context.now());
    assert_eq!(context.attempt().endpoint(), None, "the next attempt has gone nowhere yet");
    let endpoints: Vec<_> = context.attempts().iter().filter_map(|attempt| attempt.endpoint()).collect();
    assert!(endpoints.len() == 1 && Arc::ptr_eq(&endpoints[0], &first));

    let attempt = context.attempt();
    attempt.note_endpoint(first);
    attempt.judge_unobserved(context.now(), Outcome::Misconfigured.into());
    context.restart_attempt();
    assert!(!attempt.is_sent() && attempt.endpoint().is_some(), "what takes its place goes to the same one");
}

#[test]
fn what_was_judged_by_the_head_alone_was_not_observed() {
    let mut context = CallContext::new(Call::default(), Instant::now());
    let (now, attempt) = (context.now(), context.attempt());
    attempt.judge_unobserved(now, Outcome::Success.into());
    assert!(attempt.is_sent() && attempt.observed().is_none());

    let attempt = context.observe_attempt().expect("another send is another attempt");
    attempt.mark_sent(now);
    assert_eq!(attempt.observed(), Some(attempt.progress()));
}

#[test]
fn what_is_sent_again_in_a_leg_is_a_retry_and_what_is_sent_in_another_is_none() {
    let mut context = context();
    let send = |context: &mut CallContext| {
        let attempt = context.attempt();
        attempt.mark_sent(context.now());
        attempt
    };
    assert_eq!((context.leg(), context.retry_count()), (None, 0));
    // A layer above the fallback began it, and the first leg sends it.
    let first = context.attempt();
    context.enter_leg("ptu".into());
    assert!(Arc::ptr_eq(&first, &send(&mut context)));
    send(&mut context);
    assert_eq!((context.attempt_count(), context.retry_count()), (2, 1));

    context.enter_leg("standard".into());
    assert_eq!(first.leg().as_deref(), Some("ptu"), "what was sent stays where it was");
    let unsent = context.begin_attempt();
    assert!(context.last_sent_attempt().is_some_and(|sent| !Arc::ptr_eq(&sent, &unsent)));
    let last = send(&mut context);
    assert_eq!((context.leg().as_deref(), last.leg().as_deref()), (Some("standard"), Some("standard")));
    assert_eq!((context.attempt_count(), context.retry_count()), (3, 1));
    assert!(context.last_sent_attempt().is_some_and(|sent| Arc::ptr_eq(&sent, &last)));
}
