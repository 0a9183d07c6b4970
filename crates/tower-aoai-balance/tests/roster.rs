//! Members that are added, drained, removed and weighed while calls go on.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use tokio::time::sleep;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_aoai_balance::{BalanceLayer, InvalidMembers, Member, Strategy};
use tower_aoai_core::{Reason, Rejected};

mod support;

use support::{Gate, Log, NameLayer, answer, answering, assert_nothing_is_held, chat};

macro_rules! member {
    ($name:literal, $gate:expr) => {
        Member::new($name).asked($gate).layer(NameLayer($name))
    };
}

macro_rules! ask {
    ($service:expr, $log:expr, $times:expr) => {{
        $log.clear();
        for _ in 0..$times {
            $service.clone().oneshot(chat()).await.expect("an answer");
        }
        ["a", "b", "c"].map(|name| $log.count(name))
    }};
}

#[tokio::test(start_paused = true)]
async fn a_service_and_its_clones_notice_every_change_with_their_next_call() {
    let log = Log::default();
    let members = [member!("a", Gate::open()), member!("b", Gate::open())];
    let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::Weighted);
    let (service, handle) = (layer.layer(answering(&log, |_| answer(200))), layer.handle());
    assert_eq!(ask!(service, log, 60), [30, 30, 0]);
    handle.add(member!("c", Gate::open())).expect("a valid member");
    assert_eq!(ask!(service, log, 60), [20, 20, 20]);
    handle.set_weight("c", 4).expect("it is there");
    let counts = ask!(service, log, 60);
    assert!(counts[2].abs_diff(40) <= 1, "{counts:?}");
    let _ = handle.drain("a").expect("it is there");
    assert_eq!(ask!(service, log, 60)[0], 0);
    handle.resume("a").expect("it is there");
    let counts = ask!(service, log, 60);
    assert!(counts[0].abs_diff(10) <= 2, "it has its share, and not what it missed: {counts:?}");
    let _ = handle.remove("b").expect("it is there");
    assert_eq!(ask!(service, log, 60)[1], 0);

    assert_eq!(
        handle.set_weight("b", 1).expect_err("it is gone").to_string(),
        "the balancer has no member named \"b\""
    );
    handle.add(member!("b", Gate::open())).expect("its name is free again");
    assert!(ask!(service, log, 60)[1] >= 9, "another one in its place");
    let names: Vec<_> = handle.snapshot().members.into_iter().map(|member| member.name).collect();
    assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "c", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_drained_finishes_its_calls_and_says_when_it_is_empty() {
    let log = Log::default();
    let layer = BalanceLayer::new([member!("a", Gate::open()), member!("b", Gate::open())]).expect("members");
    let service = layer.strategy(Strategy::RoundRobin);
    let (handle, service) = (service.handle(), service.layer(answering(&log, |_| answer(200))));
    let first = service.clone().oneshot(chat()).await.expect("an answer");
    let draining = handle.drain("a").expect("it is there");
    assert!(handle.snapshot().member("a").is_some_and(|member| member.is_draining));
    let mut emptied = task::spawn(draining.emptied());
    assert_pending!(emptied.poll());
    assert_eq!(draining.in_flight(), 1);
    assert_eq!(first.into_body().collect().await.expect("a whole body").to_bytes(), "an answer");
    assert!(emptied.is_woken());
    assert_ready!(emptied.poll());
    handle.drain("b").expect("it is there").emptied().await;
    let error = service.oneshot(chat()).await.expect_err("nobody takes calls");
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::NoEndpoint));
}

#[tokio::test(start_paused = true)]
async fn a_removed_member_finishes_its_calls_and_without_members_calls_are_refused() {
    let log = Log::default();
    let layer = BalanceLayer::new([member!("a", Gate::open())]).expect("a member");
    let (handle, service) = (layer.handle(), layer.layer(answering(&log, |_| answer(200))));
    let held = service.clone().oneshot(chat()).await.expect("an answer");
    let removed = handle.remove("a").expect("it is there");
    assert_eq!(removed.in_flight(), 1);
    let error = service.clone().oneshot(chat()).await.expect_err("nobody is there");
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::NoEndpoint));
    drop(held);
    removed.emptied().await;
    handle.add(member!("a", Gate::open())).expect("its name is free");
    service.oneshot(chat()).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_added_changes_nothing() {
    let gate = Gate::open();
    let layer = BalanceLayer::new([member!("a", gate.clone())]).expect("a member");
    let handle = layer.handle();
    assert_eq!(handle.add(member!("a", Gate::open())), Err(InvalidMembers::SameName("a".into())));
    assert_eq!(handle.add(member!("b", gate.clone())), Err(InvalidMembers::SharedState("b".into())));
    let weightless = Member::new("b").weight(0).asked(Gate::open()).layer(NameLayer("b"));
    assert_eq!(handle.add(weightless), Err(InvalidMembers::NoWeight("b".into())));
    assert_eq!(handle.snapshot().members.len(), 1);
    let _ = handle.remove("a").expect("it is there");
    handle.add(member!("b", gate)).expect("the gate is nobody's now");
}

#[tokio::test(start_paused = true)]
async fn a_layer_with_a_state_for_each_service_keeps_it_from_call_to_call_and_through_changes() {
    let log = Log::default();
    let leaf = tower::service_fn(move |request: http::Request<support::Plain>| {
        log.add(support::name_of(&request));
        async {
            sleep(Duration::from_secs(5)).await;
            Ok::<_, tower_aoai_core::Error>(answer(200))
        }
    });
    let limited = |name| Member::new(name).layer(ConcurrencyLimitLayer::new(1)).layer(NameLayer(name));
    let layer = BalanceLayer::new([limited("a")]).expect("a member");
    let (handle, service) = (layer.handle(), layer.layer(leaf));
    let mut calls: Vec<_> = (0..2).map(|_| task::spawn(service.clone().oneshot(chat()))).collect();
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    assert_eq!(handle.snapshot().members[0].entered, 1, "one place for all calls");
    handle.add(limited("b")).expect("a valid member");
    let mut third = task::spawn(service.oneshot(chat()));
    assert_pending!(third.poll());
    let entered: Vec<_> = handle.snapshot().members.iter().map(|member| member.entered).collect();
    assert_eq!(entered, [1, 1], "its place is taken still, and the new member's is free");
    drop((calls, third));
    assert_nothing_is_held(&handle, "in the end");
}

#[tokio::test(start_paused = true)]
async fn the_stack_of_a_removed_member_is_let_go_with_the_next_call() {
    let log = Log::default();
    let client = Arc::new(());
    let held = Arc::clone(&client);
    let answers = answering(&log, |_| answer(200));
    let leaf = tower::service_fn(move |request| {
        let (answers, _client) = (answers.clone(), Arc::clone(&held));
        answers.oneshot(request)
    });
    let layer = BalanceLayer::new([member!("a", Gate::open()), member!("b", Gate::open())]).expect("members");
    let (handle, service) = (layer.handle(), layer.layer(leaf));
    let with_both = Arc::strong_count(&client);
    let _ = handle.remove("a").expect("it is there");
    service.clone().oneshot(chat()).await.expect("an answer");
    assert_eq!(Arc::strong_count(&client), with_both - 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_forgets_what_was_learned_and_not_who_is_in_flight() {
    let log = Log::default();
    let layer = BalanceLayer::new([member!("a", Gate::open()), member!("b", Gate::open())]).expect("members");
    let layer = layer.strategy(Strategy::RoundRobin);
    let (handle, service) = (layer.handle(), layer.layer(answering(&log, |_| answer(401))));
    let held = [service.clone().oneshot(chat()).await, service.clone().oneshot(chat()).await];
    let before = handle.snapshot();
    assert!(before.members.iter().all(|member| member.misconfigured == 1 && member.out_of_rotation.len() == 1));
    handle.reset();
    for member in handle.snapshot().members {
        assert_eq!((member.misconfigured, member.out_of_rotation.len(), member.in_flight), (0, 0, 1));
    }
    drop(held);
    assert_nothing_is_held(&handle, "in the end");
}
