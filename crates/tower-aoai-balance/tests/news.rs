//! What an answer tells of a member depends on when its call began, and on what came after its head.

use std::{sync::Arc, time::Duration};

use http::Request;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_balance::{BalanceLayer, Member, Strategy};
use tower_aoai_core::{Admission, CallContext, Error, ObserveLayer, PrepareLayer};
use tower_aoai_simulator::{Deployment, Scripted, Simulator};

mod support;

use support::{Log, NameLayer, Plain, answer, answering, chat, name_of};

const SECOND: Duration = Duration::from_secs(1);

/// An endpoint whose answer, and how long it takes, a header of the request says.
fn scripted() -> impl Service<
    Request<Plain>,
    Response = http::Response<Plain>,
    Error = Error,
    Future = impl Future<Output = Result<http::Response<Plain>, Error>> + Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    service_fn(|request: Request<Plain>| async move {
        let number = |name| request.headers()[name].to_str().expect("text").parse().expect("a number");
        sleep(Duration::from_millis(number("takes"))).await;
        Ok(answer(u16::try_from(number("status")).expect("a status")))
    })
}

fn answered(status: u16, takes: u64) -> Request<Plain> {
    let mut request = chat();
    request.headers_mut().insert("status", status.into());
    request.headers_mut().insert("takes", takes.into());
    request
}

#[tokio::test(start_paused = true)]
async fn what_began_before_a_reset_says_nothing_after_it() {
    let layer = BalanceLayer::new([Member::new("a")]).expect("a member");
    let (handle, service) = (layer.handle(), layer.layer(scripted()));
    for status in [401, 503, 200] {
        let mut before = task::spawn(service.clone().oneshot(answered(status, 5_000)));
        assert_pending!(before.poll());
        handle.reset();
        let fresh = handle.snapshot();
        advance(6 * SECOND).await;
        drop(before.await.expect("an answer"));
        let mut after = handle.snapshot();
        assert_eq!(after.members[0].in_flight, 0);
        after.members[0].in_flight = fresh.members[0].in_flight;
        after.members[0].admission = fresh.members[0].admission;
        assert_eq!(after, fresh, "{status}: its credential may be another one by now");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_configuration_that_was_right_for_a_later_call_is_old_news() {
    let layer = BalanceLayer::new([Member::new("a")]).expect("a member");
    let (handle, service) = (layer.handle(), layer.layer(scripted()));
    let rests = || handle.snapshot().members[0].out_of_rotation.len();
    let mut early = [(); 2].map(|()| task::spawn(service.clone().oneshot(answered(401, 5_000))));
    for early in &mut early {
        assert_pending!(early.poll());
    }
    let [first, second] = early;
    advance(SECOND).await;
    service.clone().oneshot(answered(200, 100)).await.expect("an answer");
    first.await.expect("an answer");
    assert_eq!(rests(), 0, "a call that began after it went well");
    service.clone().oneshot(answered(401, 100)).await.expect("an answer");
    assert_eq!(rests(), 1, "this one began later still");
    advance(60 * SECOND).await;
    service.clone().oneshot(answered(200, 100)).await.expect("an answer");
    assert_eq!(rests(), 0, "it is back");
    second.await.expect("an answer");
    assert_eq!(rests(), 0, "and stays");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_stream_asks_for_after_its_head_shuts_the_member_as_one_in_a_head_does() {
    let simulator = Simulator::builder().deployment(Deployment::standard("gpt-4o")).build();
    simulator.script("gpt-4o").then(Scripted::refused_stream(30 * SECOND));
    // Nothing is held back, so that the head is handed on before the refusal is read.
    let observe = ObserveLayer::new().hold(Duration::ZERO, 0);
    let layer = BalanceLayer::new([Member::new("a").layer(observe)]).expect("a member");
    let handle = layer.handle();
    let service = ServiceBuilder::new().layer(PrepareLayer::new()).layer(layer).service(simulator);
    let request = Request::post("/openai/v1/responses?api-version=preview")
        .body(Plain::from(r#"{"model":"gpt-4o","input":"Say it.","stream":true}"#))
        .expect("a valid request");
    let response = service.oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let _ = response.into_body().collect().await;
    let snapshot = handle.snapshot();
    let a = &snapshot.members[0];
    assert!(matches!(a.admission, Admission::Shut(Some(until)) if until > Instant::now() + 29 * SECOND), "{a:?}");
    assert_eq!(a.throttled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_is_no_answer_to_those_who_wait() {
    let log = Log::default();
    let (sent, hangs) = (log.clone(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let is_hanging = Arc::clone(&hangs);
    let leaf = service_fn(move |request: Request<Plain>| {
        let name = name_of(&request);
        sent.add(name);
        let hangs = name == "mute" && is_hanging.load(std::sync::atomic::Ordering::SeqCst);
        async move {
            sleep(if hangs { 3_600 * SECOND } else { SECOND / 2 }).await;
            Ok::<_, Error>(answer(200))
        }
    });
    let members = ["mute", "well"].map(|name| Member::new(name).layer(NameLayer(name)).layer(ObserveLayer::new()));
    let layer = BalanceLayer::new(members).expect("members").seed(1);
    let service = layer.layer(leaf);
    for _ in 0..20 {
        drop(service.clone().oneshot(chat()).await.expect("an answer").into_body().collect().await);
    }
    hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let begin = || {
        log.clear();
        let mut call = task::spawn(service.clone().oneshot(chat()));
        assert_pending!(call.poll());
        (call, log.all()[0])
    };
    let sent_to_mute = || loop {
        if let (call, "mute") = begin() {
            return call;
        }
    };
    let _patient = sent_to_mute();
    advance(SECOND * 4 / 10).await;
    let impatient = sent_to_mute();
    advance(SECOND * 4 / 10).await;
    drop(impatient);
    for _ in 0..20 {
        assert_eq!(begin().1, "well", "somebody has waited for longer than is usual");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_of_another_leg_is_another_member_whatever_its_name() {
    let name: Arc<str> = "eastus".into();
    let log = Log::default();
    let leg = |status| {
        let members = [Member::new(Arc::clone(&name)), Member::new("westus")]
            .into_iter()
            .zip(["eastus", "westus"])
            .map(|(member, name)| member.layer(NameLayer(name)).layer(ObserveLayer::new()));
        let layer = BalanceLayer::new(members).expect("members").strategy(Strategy::RoundRobin);
        layer.layer(answering(&log, move |_| answer(status)))
    };
    let mut request = chat();
    let context = CallContext::of(&mut request).clone();
    assert_eq!(leg(503).oneshot(request).await.expect("an answer").status(), 503);
    let mut request = chat();
    request.extensions_mut().insert(context);
    assert_eq!(leg(200).oneshot(request).await.expect("an answer").status(), 200);
    assert_eq!(log.all(), ["eastus", "eastus"], "here it has not failed yet, and it has the first turn");
}
