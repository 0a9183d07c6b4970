//! Which member a call goes to, and what becomes of it where that one refuses, fails or is not ready.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn, util::MapRequestLayer};
use tower_aoai_balance::{BalanceLayer, InvalidMembers, Member, Strategy};
use tower_aoai_core::{Admission, Attempt, CallContext, Error, Load, Reason, Rejected};
use tower_aoai_retry_after::{Backoff, RetryAfterLayer, RetryPolicy};

mod support;

use support::{
    Gate, Log, NameLayer, Plain, answer, answer_with, answering, assert_nothing_is_held, chat, name_of, retried,
    start_within,
};

const SECOND: Duration = Duration::from_secs(1);

const STRATEGIES: [Strategy; 5] =
    [Strategy::ExpectedFinish, Strategy::RoundRobin, Strategy::Shuffle, Strategy::Weighted, Strategy::LeastInFlight];

/// A balancer over members with these gates, one tier each two, whose endpoints answer `status`.
macro_rules! balance {
    ($strategy:expr, [$(($name:literal, $tier:expr, $gate:expr)),* $(,)?]) => {
        BalanceLayer::new([$(Member::new($name).tier($tier).asked($gate).layer(NameLayer($name))),*])
            .expect("valid members")
            .strategy($strategy)
            .seed(1)
    };
}

fn served(context: &CallContext) -> (Option<Arc<str>>, Option<usize>) {
    let served = context.served();
    (served.endpoint, served.tier)
}

#[tokio::test(start_paused = true)]
async fn f1_no_shut_member_is_chosen_while_an_open_one_could_serve() {
    let now = Instant::now();
    for strategy in STRATEGIES {
        for shut in [None, Some(now + SECOND)] {
            let log = Log::default();
            let layer =
                balance!(strategy, [("a", 0, Gate::shut(shut)), ("b", 0, Gate::open()), ("c", 0, Gate::shut(shut))]);
            let service = layer.layer(answering(&log, |_| answer(200)));
            for _ in 0..20 {
                service.clone().oneshot(chat()).await.expect("an answer");
            }
            assert_eq!(log.count("b"), 20, "{strategy:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f1_a_member_whose_server_asked_to_wait_is_left_alone_until_then_without_any_gate() {
    for strategy in STRATEGIES {
        let log = Log::default();
        let layer = balance!(strategy, [("a", 0, Gate::open()), ("b", 0, Gate::open())]);
        let service =
            layer.layer(answering(
                &log,
                |name| if name == "a" { answer_with(429, "retry-after", "30") } else { answer(200) },
            ));
        while log.count("a") == 0 {
            service.clone().oneshot(chat()).await.expect("an answer");
        }
        log.clear();
        advance(29 * SECOND).await;
        for _ in 0..20 {
            service.clone().oneshot(chat()).await.expect("an answer");
        }
        assert_eq!((log.count("a"), log.count("b")), (0, 20), "{strategy:?}");
        advance(SECOND).await;
        for _ in 0..50 {
            service.clone().oneshot(chat()).await.expect("an answer");
        }
        assert!(log.count("a") > 0, "{strategy:?}: the wait is over");
    }
}

#[tokio::test(start_paused = true)]
async fn f3_a_call_is_spilled_exactly_when_the_first_tier_cannot_start_it_in_time() {
    for strategy in STRATEGIES {
        let log = Log::default();
        let (queue, open) = (Gate::new(Admission::At(Instant::now() + 5 * SECOND)), Gate::open());
        let layer = balance!(strategy, [("ptu", 0, queue.clone()), ("standard", 1, open)]);
        let service = layer.layer(answering(&log, |_| answer(200)));
        for (patience, chosen) in [(5_001, ("ptu", 0)), (5_000, ("standard", 1))] {
            let mut request = start_within(Duration::from_millis(patience));
            let context = CallContext::of(&mut request).clone();
            service.clone().oneshot(request).await.expect("an answer");
            assert_eq!(served(&context), (Some(chosen.0.into()), Some(chosen.1)), "{strategy:?}");
        }
        queue.set(Admission::Shut(Some(Instant::now() + SECOND)));
        service.clone().oneshot(chat()).await.expect("an answer");
        assert_eq!(log.all(), ["ptu", "standard", "standard"]);
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_serve_the_refusal_says_when_the_first_could() {
    let now = Instant::now();
    let (soon, later) = (now + 3 * SECOND, now + 9 * SECOND);
    let refused = async |gates: [Admission; 3], request: Request<Plain>| {
        let [a, b, c] = gates.map(Gate::new);
        let layer = balance!(Strategy::default(), [("a", 0, a), ("b", 0, b), ("c", 1, c)]);
        let log = Log::default();
        let refusal = layer.layer(answering(&log, |_| answer(200))).oneshot(request).await.err();
        assert_nothing_is_held(&layer.handle(), "in the end");
        refusal.map(|error| {
            let rejected = error.rejected().expect("a refusal").clone();
            assert_eq!(rejected.by(), "balancer");
            (rejected.reason(), rejected.opens_at())
        })
    };
    let shut = |until| Admission::Shut(Some(until));
    let all_shut = [shut(later), shut(soon), Admission::Shut(None)];
    assert_eq!(refused(all_shut, chat()).await, Some((Reason::NoEndpoint, Some(soon))));
    assert_eq!(refused([Admission::Shut(None); 3], chat()).await, Some((Reason::NoEndpoint, None)));

    let late = [Admission::At(later), Admission::At(soon), shut(later)];
    assert_eq!(refused(late, start_within(2 * SECOND)).await, Some((Reason::StartBy, Some(soon))));
    let mut due = chat();
    CallContext::of(&mut due).tighten_deadline(now + SECOND);
    assert_eq!(refused(late, due).await, Some((Reason::Deadline, Some(soon))));
    assert_eq!(refused(late, chat()).await, None);

    let opening = [Admission::At(later), shut(soon), Admission::At(now)];
    assert_eq!(refused(opening, retried(chat())).await, Some((Reason::NoEndpoint, Some(soon))));
    assert_eq!(refused(opening, chat()).await, None, "without a retry layer nobody would come back");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_from_inside_is_a_lost_race_and_no_attempt() {
    for strategy in STRATEGIES {
        let log = Log::default();
        let no = |reason| Gate::liar(Rejected::new(reason, "gate"));
        let layer = balance!(
            strategy,
            [
                ("full", 0, no(Reason::QueueFull)),
                ("tripped", 0, no(Reason::CircuitOpen)),
                ("small", 0, no(Reason::TooLarge)),
                ("open", 1, Gate::open())
            ]
        );
        let mut request = chat();
        let context = CallContext::of(&mut request).clone();
        let response = layer.layer(answering(&log, |_| answer(200))).oneshot(request).await.expect("an answer");
        assert_eq!((log.all(), context.served().endpoint.as_deref()), (vec!["open"], Some("open")), "{strategy:?}");
        let attempts = context.last_attempt().map(|attempt| attempt.endpoint());
        assert_eq!(attempts, Some(Some("open".into())), "the attempt is that of the member that took it");
        response.into_body().collect().await.expect("a body");
        let snapshot = layer.handle().snapshot();
        let lost =
            ["full", "tripped", "small", "open"].map(|name| snapshot.member(name).map(|member| member.races_lost));
        assert_eq!(lost, [Some(1), Some(1), Some(1), Some(0)]);
        assert_nothing_is_held(&layer.handle(), "in the end");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_refused_unsent_is_the_next_members() {
    let seen: Arc<Mutex<Vec<Arc<Attempt>>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let note = MapRequestLayer::new(move |mut request: Request<Plain>| {
        noted.lock().push(CallContext::of(&mut request).attempt());
        request
    });
    let liar = || Gate::liar(Rejected::new(Reason::QueueFull, "test"));
    let members = [("a", liar()), ("b", liar()), ("c", Gate::open())];
    let layer = BalanceLayer::new(members.map(|(name, gate)| Member::new(name).layer(note.clone()).asked(gate)));
    let layer = layer.expect("members").strategy(Strategy::RoundRobin);
    let leaf = service_fn(|_: Request<Plain>| async { Ok::<_, Error>(answer(200)) });
    layer.layer(leaf).oneshot(chat()).await.expect("an answer");
    let seen = seen.lock();
    assert!(seen.len() == 3 && seen.iter().all(|attempt| Arc::ptr_eq(attempt, &seen[0])), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_too_large_for_all_is_told_so() {
    use tower_aoai_token_bucket::{Quota, TokenBucketLayer};

    let refused = async |quotas: [u64; 2]| {
        let [a, b] = quotas.map(|tokens| TokenBucketLayer::of(Quota::standard(tokens)));
        let layer = balance!(Strategy::default(), [("a", 0, a), ("b", 0, b)]);
        let log = Log::default();
        let mut request = chat();
        CallContext::of(&mut request).amend_call(|call| call.max_output_tokens = Some(5_000));
        let answer = layer.layer(answering(&log, |_| answer(200))).oneshot(request).await;
        answer.err().and_then(|error| error.rejected().map(|refused| (refused.reason(), refused.by())))
    };
    assert_eq!(refused([1_000, 2_000]).await, Some((Reason::TooLarge, "token bucket")));
    assert_eq!(refused([1_000, 20_000]).await, None, "it fits into one");
}

#[tokio::test(start_paused = true)]
async fn where_all_refuse_after_all_each_is_asked_once_and_the_refusal_is_theirs_or_ours() {
    let soon = Instant::now() + SECOND;
    let refused = async |reasons: [Reason; 2]| {
        let gates = reasons.map(|reason| Gate::liar(Rejected::new(reason, "gate").until(soon)));
        let [a, b] = &gates;
        let layer = balance!(Strategy::RoundRobin, [("a", 0, a.clone()), ("b", 0, b.clone())]);
        let log = Log::default();
        let error = layer.layer(answering(&log, |_| answer(200))).oneshot(chat()).await.expect_err("refused");
        assert!(log.all().is_empty());
        let rejected = error.rejected().expect("a refusal");
        assert_eq!(rejected.opens_at(), Some(soon));
        (rejected.reason(), rejected.by())
    };
    assert_eq!(refused([Reason::TooLarge, Reason::TooLarge]).await, (Reason::TooLarge, "gate"));
    assert_eq!(refused([Reason::TooLarge, Reason::QueueFull]).await, (Reason::NoEndpoint, "balancer"));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_the_callers_sake_is_not_offered_around() {
    let gate = || Gate::liar(Rejected::new(Reason::BudgetSpent, "cost"));
    let layer = balance!(Strategy::RoundRobin, [("a", 0, gate()), ("b", 0, Gate::open())]);
    let log = Log::default();
    let error = layer.layer(answering(&log, |_| answer(200))).oneshot(chat()).await.expect_err("refused");
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::BudgetSpent));
    assert!(log.all().is_empty());
}

fn retry(attempts: u32) -> RetryAfterLayer {
    let backoff = Backoff::constant(2 * SECOND);
    RetryAfterLayer::new(RetryPolicy::new().max_attempts(attempts).backoff(backoff).no_jitter()).budget(None)
}

#[tokio::test(start_paused = true)]
async fn f2_a_retry_goes_at_once_to_where_the_call_has_not_failed() {
    for strategy in STRATEGIES {
        for (status, header) in [(503, None), (429, None), (429, Some("60")), (401, None)] {
            let log = Log::default();
            let layer = balance!(
                strategy,
                [("a", 0, Gate::open()), ("b", 0, Gate::open()), ("c", 0, Gate::open()), ("d", 1, Gate::open())]
            );
            let leaf = answering(&log, move |name| match header {
                _ if name == "d" => answer(200),
                None => answer(status),
                Some(value) => answer_with(status, "retry-after", value),
            });
            let start = Instant::now();
            let response = retry(4).layer(layer.layer(leaf)).oneshot(chat()).await.expect("an answer");
            assert_eq!(response.status(), 200, "{strategy:?}, {status}");
            let mut sent = log.all();
            assert_eq!(sent.last(), Some(&"d"), "the worse tier when the better has failed");
            sent.sort_unstable();
            assert_eq!(sent, ["a", "b", "c", "d"], "{strategy:?}: each once");
            assert_eq!(Instant::now(), start, "without any wait");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f2_where_all_have_failed_the_one_that_failed_last_comes_last_and_not_at_once() {
    let log = Log::default();
    let layer = balance!(Strategy::RoundRobin, [("a", 0, Gate::open()), ("b", 0, Gate::open())]);
    let start = Instant::now();
    let service = retry(5).layer(layer.layer(answering(&log, |_| answer(500))));
    assert_eq!(service.oneshot(chat()).await.expect("an answer").status(), 500);
    assert_eq!(log.all(), ["a", "b", "a", "b", "a"]);
    assert_eq!(Instant::now(), start + 6 * SECOND, "backoff once nobody is left");
}

#[tokio::test(start_paused = true)]
async fn the_retry_layer_is_told_the_earliest_instant_anywhere() {
    let sends = async |after: [&'static str; 2], attempts| {
        let log = Log::default();
        let layer = balance!(Strategy::RoundRobin, [("a", 0, Gate::open()), ("b", 0, Gate::open())]);
        let start = Instant::now();
        let leaf = answering(&log, move |name| answer_with(429, "retry-after", after[usize::from(name == "b")]));
        retry(attempts).layer(layer.layer(leaf)).oneshot(chat()).await.expect("an answer");
        (log.all(), (Instant::now() - start).as_secs())
    };
    assert_eq!(sends(["30", "20"], 3).await, (vec!["a", "b", "b"], 20));
    assert_eq!(sends(["20", "30"], 3).await, (vec!["a", "b", "a"], 20));
    assert_eq!(sends(["20", "30"], 4).await, (vec!["a", "b", "a", "b"], 30));
}

#[tokio::test(start_paused = true)]
async fn alone_with_one_member_hints_and_backoff_are_the_retry_layers() {
    for (first, seconds) in [(answer_with(429, "retry-after", "7"), 7), (answer(503), 2), (answer(401), 0)] {
        let log = Log::default();
        let layer = balance!(Strategy::default(), [("a", 0, Gate::open())]);
        let start = Instant::now();
        let seen = log.clone();
        let leaf = answering(&log, move |_| if seen.all().len() == 1 { first.clone() } else { answer(200) });
        let response = retry(2).layer(layer.layer(leaf)).oneshot(chat()).await.expect("an answer");
        assert_eq!(Instant::now(), start + seconds * SECOND);
        assert_eq!(response.status(), if seconds == 0 { 401 } else { 200 }, "a wrong key stays wrong");
    }
}

#[tokio::test(start_paused = true)]
async fn b9_a_misconfigured_member_leaves_the_rotation_for_that_deployment_and_comes_back() {
    let log = Log::default();
    let layer =
        balance!(Strategy::RoundRobin, [("a", 0, Gate::open()), ("b", 0, Gate::open()), ("c", 0, Gate::open())]);
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let service = layer.layer(answering(&log, move |name| {
        answer(if name == "a" && is_broken.load(std::sync::atomic::Ordering::SeqCst) { 404 } else { 200 })
    }));
    let service = retry(2).layer(service);
    let ask = async |times: usize| {
        log.clear();
        for _ in 0..times {
            assert_eq!(service.clone().oneshot(chat()).await.expect("an answer").status(), 200, "nobody notices");
        }
        (log.count("a"), log.all().len())
    };
    assert_eq!(ask(30).await, (1, 31));
    let snapshot = layer.handle().snapshot();
    let out = &snapshot.member("a").expect("a member").out_of_rotation;
    assert_eq!((out.len(), out[0].deployment.as_deref()), (1, Some("gpt-4o")));
    let mut other = chat();
    *other.uri_mut() = "/openai/deployments/mini/chat/completions".parse().expect("a path");
    log.clear();
    for _ in 0..3 {
        service.clone().oneshot(support::again(&other)).await.expect("an answer");
    }
    assert_eq!(log.count("a"), 1, "for another deployment it is in rotation: it fails there, too, and by itself");

    advance(61 * SECOND).await;
    assert_eq!(ask(30).await, (1, 31), "one call tries it again");
    advance(61 * SECOND).await;
    assert_eq!(ask(30).await, (0, 30), "not after a minute any more, but after two");
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    advance(61 * SECOND).await;
    assert_eq!(ask(30).await, (11, 30), "it is back: the try, then its turns");
    let snapshot = layer.handle().snapshot();
    let out = &snapshot.member("a").expect("a member").out_of_rotation;
    assert!(out.iter().all(|out| out.deployment.as_deref() == Some("mini")), "{out:?}");
}

#[tokio::test(start_paused = true)]
async fn b9_members_that_are_all_misconfigured_are_all_tried() {
    let log = Log::default();
    let layer = balance!(Strategy::RoundRobin, [("a", 0, Gate::open()), ("b", 0, Gate::open())]);
    let service = layer.layer(answering(&log, |_| answer(401)));
    for _ in 0..10 {
        assert_eq!(service.clone().oneshot(chat()).await.expect("an answer").status(), 401, "that is the truth");
    }
    assert_eq!((log.count("a"), log.count("b")), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn round_robin_is_even_weighted_is_by_weight_and_least_in_flight_counts() {
    let log = Log::default();
    let members = || {
        [("a", 1), ("b", 2), ("c", 3)]
            .map(|(name, weight)| Member::new(name).weight(weight).asked(Gate::open()).layer(NameLayer(name)))
    };
    let counts = || ["a", "b", "c"].map(|name| log.count(name));
    for (strategy, expected) in [(Strategy::RoundRobin, [200, 200, 200]), (Strategy::Weighted, [100, 200, 300])] {
        log.clear();
        let layer = BalanceLayer::new(members()).expect("valid members").strategy(strategy);
        let service = layer.layer(answering(&log, |_| answer(200)));
        for _ in 0..600 {
            service.clone().oneshot(chat()).await.expect("an answer");
        }
        assert_eq!(counts(), expected, "{strategy:?}");
    }

    log.clear();
    let layer = BalanceLayer::new(members()).expect("valid members").strategy(Strategy::LeastInFlight);
    let service = layer.layer(answering(&log, |_| answer(200)));
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(service.clone().oneshot(chat()).await.expect("an answer"));
    }
    assert_eq!(counts(), [10, 20, 30], "bodies that nobody has read are in flight");
    held.clear();
    assert_nothing_is_held(&layer.handle(), "when all bodies are dropped");

    let busy = Gate::open();
    busy.set_load(Load::new(3, 4));
    let layer = balance!(Strategy::LeastInFlight, [("a", 0, busy), ("b", 0, Gate::open())]);
    let service = layer.layer(answering(&log, |_| answer(200)));
    log.clear();
    for _ in 0..7 {
        held.push(service.clone().oneshot(chat()).await.expect("an answer"));
    }
    assert_eq!(log.count("b"), 7, "a gate knows of calls that others send");
}

#[tokio::test(start_paused = true)]
async fn expected_finish_prefers_who_answers_sooner_and_spreads_over_equals() {
    let log = Log::default();
    let sent = log.clone();
    let leaf = service_fn(move |request: Request<Plain>| {
        let name = name_of(&request);
        sent.add(name);
        async move {
            tokio::time::sleep(Duration::from_millis(if name == "slow" { 900 } else { 300 })).await;
            Ok::<_, Error>(Response::new(Plain::from("{}")))
        }
    });
    let layer =
        balance!(Strategy::default(), [("slow", 0, Gate::open()), ("b", 0, Gate::open()), ("c", 0, Gate::open())]);
    let service = layer.layer(leaf);
    for _ in 0..200 {
        service.clone().oneshot(chat()).await.expect("an answer");
    }
    let slow = log.count("slow");
    assert!((1..=6).contains(&slow), "tried when unknown, and once in a while in a minute: {slow}");
    assert!(log.count("b") > 70 && log.count("c") > 70, "{:?}", (log.count("b"), log.count("c")));
    let snapshot = layer.handle().snapshot();
    let first =
        |name: &str| snapshot.member(name).and_then(|member| member.time_to_first_token).expect("it has answered");
    assert!(first("slow") > 2 * first("b"), "{:?} {:?}", first("slow"), first("b"));
}

#[test]
fn members_that_cannot_be_balanced_are_refused_by_name() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _entered = runtime.enter();
    let gate = Gate::open();
    let member = |name: &'static str, gate: Gate| Member::new(name).asked(gate);
    let invalid = |members: Vec<_>| BalanceLayer::new(members).expect_err("invalid");
    assert_eq!(invalid(vec![]), InvalidMembers::Empty);
    assert_eq!(
        invalid(vec![member("a", Gate::open()), member("a", Gate::open())]),
        InvalidMembers::SameName("a".into())
    );
    assert_eq!(invalid(vec![member("a", gate.clone()), member("b", gate)]), InvalidMembers::SharedState("b".into()));
    let weightless = invalid(vec![member("a", Gate::open()).weight(0)]);
    assert_eq!(weightless, InvalidMembers::NoWeight("a".into()));
    assert!(weightless.to_string().contains("\"a\" has a weight of 0: give it at least 1"), "{weightless}");
}
