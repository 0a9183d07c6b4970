//! What a fallback promises to every tower stack, and to its caller.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{
    Layer, Service as _, ServiceBuilder, ServiceExt,
    layer::{layer_fn, util::Identity},
    service_fn,
};
use tower_aoai_core::{
    BoxError, CallContext, Error, LegFailure, ObserveLayer, ObservedBody, Outcome, Reason, Rejected, RequestBody,
    replay_with,
};
use tower_aoai_fallback::{Condition, FallbackLayer, InvalidLegs, Leg, Patience};
use tower_test::mock;

mod support;

use support::{Plain, answer, failed, fallback, is_idle, leg, next, ready, request, text, throttled, watched};

#[tokio::test(start_paused = true)]
async fn the_first_leg_that_can_serves_and_the_others_are_left_alone() {
    let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
    let (service, handle) = fallback([a, b]);
    let (request, context) = watched();
    let mut call = task::spawn(service.oneshot(request));
    let (_, reply) = next(&mut call, &mut first).await;
    reply.send_response(answer(200, "yes"));
    assert_eq!(text(ready(call.poll()).expect("an answer")).await, "yes");
    assert!(is_idle(&mut second));
    assert_eq!((context.served().leg.as_deref(), failed(&context)), (Some("a"), vec![]));
    let counts = handle.snapshot();
    assert_eq!((counts.calls, counts.answered, counts.legs[0].answered, counts.legs[1].entered), (1, 1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn f3_the_next_leg_serves_what_the_one_before_cannot_and_it_is_told_why() {
    let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
    let (service, handle) = fallback([a.provisioned(), b]);
    let (request, context) = watched();
    let mut call = task::spawn(service.oneshot(request));
    let (_, reply) = next(&mut call, &mut first).await;
    assert!(is_idle(&mut second), "not before the first has failed");
    reply.send_response(throttled(5_000));
    let (_, reply) = next(&mut call, &mut second).await;
    reply.send_response(answer(200, "yes"));
    assert_eq!(text(ready(call.poll()).expect("an answer")).await, "yes");
    let served = context.served();
    assert_eq!((served.leg.as_deref(), served.spilled_from.as_deref()), (Some("b"), Some("a")));
    assert_eq!(failed(&context), ["a: throttled"]);
    let counts = handle.snapshot();
    assert_eq!((counts.legs[0].left.hint, counts.legs[1].spills), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn f4_a_call_is_never_in_two_legs_and_never_twice_in_one() {
    let ((a, mut first), (b, mut second), (c, mut third)) = (leg("a"), leg("b"), leg("c"));
    let (service, _) = fallback([a, b, c]);
    let mut call = task::spawn(service.oneshot(request()));
    for servers in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
        let mut all = [&mut first, &mut second, &mut third];
        let (_, reply) = next(&mut call, all[servers[0]]).await;
        assert!(servers[1..].iter().all(|&other| is_idle(all[other])));
        reply.send_response(throttled(60_000));
    }
    let last = ready(call.poll()).expect("the last server's answer");
    assert_eq!(last.status(), 429);
    assert!([&mut first, &mut second, &mut third].into_iter().all(is_idle));
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_anywhere_goes_nowhere() {
    for (status, body) in [
        (400, r#"{"error":{"code":"content_filter","message":"filtered"}}"#),
        (422, r#"{"error":{"code":"invalid","message":"no"}}"#),
    ] {
        let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
        let (service, handle) = fallback([a, b]);
        let mut call = task::spawn(service.oneshot(request()));
        let (_, reply) = next(&mut call, &mut first).await;
        reply.send_response(answer(status, body));
        assert_eq!(text(ready(call.poll()).expect("the answer")).await, body);
        assert!(is_idle(&mut second));
        assert_eq!((handle.snapshot().answered, handle.snapshot().failed), (1, 0), "it is the answer");
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_last_servers_answer_comes_back_whole_with_what_the_others_said() {
    let ((a, mut first), (b, mut second), (c, mut third)) = (leg("a"), leg("b"), leg("c"));
    let (service, handle) = fallback([a, b, c]);
    let (request, context) = watched();
    let mut call = task::spawn(service.oneshot(request));
    next(&mut call, &mut first).await.1.send_response(answer(503, "first"));
    next(&mut call, &mut second).await.1.send_response(throttled(900));
    let refused = Rejected::new(Reason::CircuitOpen, "test");
    next(&mut call, &mut third).await.1.send_error(Error::from(refused));
    let last = ready(call.poll()).expect("the last server's answer");
    assert_eq!((last.status(), last.headers()["retry-after-ms"].as_bytes()), (429.try_into().unwrap(), &b"900"[..]));
    assert!(text(last).await.contains("Rate limit is exceeded."));
    assert_eq!(failed(&context), ["a: transient", "b: throttled", "c: endpoint_unhealthy"]);
    assert_eq!((handle.snapshot().failed, handle.snapshot().answered), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_served_is_who_gave_the_answer_not_who_was_tried_last() {
    type Servers = [support::Requests; 3];
    let run = |answers: [u16; 3]| async move {
        let ((a, first), (b, second), (c, third)) = (leg("a"), leg("b"), leg("c"));
        let (service, _) = fallback([a, b, c]);
        let (request, context) = watched();
        context.note_served(|served| (served.endpoint, served.tier) = (Some("above".into()), Some(7)));
        let mut call = task::spawn(service.oneshot(request));
        let servers: Servers = [first, second, third];
        for (index, (mut server, status)) in servers.into_iter().zip(answers).enumerate() {
            let (mut request, reply) = next(&mut call, &mut server).await;
            // What layers of the leg say of themselves; the last one's says nothing.
            let below = CallContext::of(&mut request).clone();
            if index < 2 {
                let name: Arc<str> = format!("{index}").into();
                below.note_served(|served| (served.model, served.tier) = (Some(name.clone()), Some(index)));
                below.note_served(|served| served.endpoint = Some(name));
            }
            if status == 0 {
                reply.send_error(Error::from(Rejected::new(Reason::CircuitOpen, "test")));
            } else {
                reply.send_response(answer(status, "said"));
            }
        }
        ready(call.poll()).expect("an answer");
        let served = context.served();
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
        [text(&served.leg), text(&served.endpoint), text(&served.model), format!("{:?}", served.tier)]
    };
    assert_eq!(run([503, 503, 200]).await, ["c", "above", "-", "Some(7)"], "the third has neither name nor model");
    assert_eq!(run([503, 500, 0]).await, ["b", "1", "1", "Some(1)"], "the last answer of a server is the second's");
    assert_eq!(run([503, 0, 0]).await, ["a", "0", "0", "Some(0)"]);
}

#[tokio::test(start_paused = true)]
async fn where_no_server_was_asked_the_refusal_names_the_earliest_instant() {
    let now = Instant::now();
    let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
    let (service, _) = fallback([a, b]);
    let mut call = task::spawn(service.oneshot(request()));
    for (server, seconds) in [(&mut first, 7), (&mut second, 30)] {
        let until = now + Duration::from_secs(seconds);
        let refused = Rejected::new(Reason::QueueFull, "test").until(until);
        next(&mut call, server).await.1.send_error(Error::from(refused));
    }
    let error = ready(call.poll()).expect_err("refused by both");
    let refused = error.rejected().expect("a refusal");
    assert_eq!((refused.reason(), refused.opens_at()), (Reason::QueueFull, Some(now + Duration::from_secs(7))));
}

#[tokio::test(start_paused = true)]
async fn a_condition_decides_who_comes_to_a_leg() {
    let ((a, mut first), (b, mut second), (c, mut third)) = (leg("a"), leg("b"), leg("c"));
    let too_long = Condition::when(|failure| failure.cause == LegFailure::Outcome(Outcome::ContextLength));
    let teapot = Condition::when(|failure| {
        failure.leg == "a" && failure.head.is_some_and(|head| head.status.as_u16() == 418) && failure.error.is_none()
    });
    let (service, _) = fallback([a, b.on(too_long), c.on(teapot)]);
    let mut call = task::spawn(service.clone().oneshot(request()));
    let long = r#"{"error":{"code":"context_length_exceeded","message":"too long"}}"#;
    next(&mut call, &mut first).await.1.send_response(answer(400, long));
    // Nobody below observes: a 400 of which only the head was seen is the caller's own mistake.
    assert_eq!(ready(call.poll()).expect("an answer").status(), 400);
    let mut call = task::spawn(service.clone().oneshot(request()));
    next(&mut call, &mut first).await.1.send_response(answer(418, "short and stout"));
    next(&mut call, &mut third).await.1.send_response(answer(200, "yes"));
    assert_eq!(ready(call.poll()).expect("an answer").status(), 200);
    assert!(is_idle(&mut second));
    let mut call = task::spawn(service.oneshot(request()));
    next(&mut call, &mut first).await.1.send_response(throttled(1));
    assert_eq!(ready(call.poll()).expect("an answer").status(), 429, "no condition holds");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_after_content() {
    static SENDS: AtomicUsize = AtomicUsize::new(0);
    let client = service_fn(|_: Request<Plain>| async {
        SENDS.fetch_add(1, Ordering::Relaxed);
        let content = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
        let frames = [Ok(Frame::data(Bytes::from_static(content.as_bytes()))), Err(BoxError::from("reset"))];
        let body = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)));
        let response = Response::builder().header("content-type", "text/event-stream").body(body);
        Ok::<_, BoxError>(response.expect("a valid response"))
    });
    // Finds out that the stream breaks before the caller has seen any of it, and after an observer has.
    let leg = |name| {
        let buffered = ServiceBuilder::new().and_then(|response: Response<ObservedBody<_>>| async {
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, Error>(Response::new(Full::from(body)))
        });
        Leg::new(name, buffered.layer(ObserveLayer::new()).into_inner()).on(Condition::when(|_| true))
    };
    let (request, context) = watched();
    let layer = FallbackLayer::new([leg("a"), leg("b")]).expect("two legs");
    layer.layer(client).oneshot(request).await.expect_err("it broke");
    assert_eq!((SENDS.load(Ordering::Relaxed), failed(&context)), (1, vec!["a: broken".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_is_read_to_its_end_while_another_leg_is_tried() {
    type Streamed = Response<BoxBody<Bytes, BoxError>>;
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let held = Arc::new(());
    let hangs_on_it = Arc::downgrade(&held);
    let frame = async move {
        receiver.await?;
        drop(held);
        Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"the end")))
    };
    let body = BodyExt::boxed(StreamBody::new(futures_util::stream::once(Box::pin(frame))));
    let mut refused: Streamed = Response::new(body);
    *refused.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let (first, mut first_requests) = mock::pair::<Request<Plain>, Streamed>();
    let (second, mut second_requests) = mock::pair::<Request<Plain>, Streamed>();
    let legs = [("a", first), ("b", second)].map(|(name, server)| Leg::new(name, layer_fn(move |()| server.clone())));
    let mut call = task::spawn(FallbackLayer::new(legs).expect("two legs").layer(()).oneshot(request()));
    assert_pending!(call.poll());
    first_requests.next_request().await.expect("a request").1.send_response(refused);
    assert_pending!(call.poll());
    let (_, reply) = second_requests.next_request().await.expect("a request");
    assert!(hangs_on_it.upgrade().is_some());
    sender.send(()).expect("the body waits");
    assert!(call.is_woken());
    assert_pending!(call.poll());
    assert!(hangs_on_it.upgrade().is_none(), "though the second leg has not answered");
    reply.send_error(Error::from(Rejected::new(Reason::QueueFull, "test")));
    assert_eq!(text(ready(call.poll()).expect("the kept answer")).await, "the end");
}

#[tokio::test(start_paused = true)]
async fn only_the_chosen_leg_has_to_be_ready_and_one_that_never_gets_there_is_passed() {
    let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
    second.allow(0);
    let (service, _) = fallback([a, b]);
    let mut call = task::spawn(service.clone().oneshot(request()));
    next(&mut call, &mut first).await.1.send_response(answer(200, "yes"));
    ready(call.poll()).expect("an answer, though the second leg is not ready");

    first.send_error("broken");
    second.allow(1);
    let (request, context) = watched();
    let mut call = task::spawn(service.oneshot(request));
    next(&mut call, &mut second).await.1.send_response(answer(200, "yes"));
    ready(call.poll()).expect("an answer of the second leg");
    assert_eq!(failed(&context), ["a: transient"]);
}

#[tokio::test(start_paused = true)]
async fn a_leg_that_is_not_ready_in_time_is_left_with_nothing_sent() {
    let start = Instant::now();
    let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
    first.allow(0);
    let (service, handle) = fallback([a.patience(Patience::AtMost(Duration::from_secs(2))), b]);
    let (request, context) = watched();
    let mut call = task::spawn(service.oneshot(request));
    assert_pending!(call.poll());
    tokio::time::advance(Duration::from_millis(1_999)).await;
    assert_pending!(call.poll());
    assert!(is_idle(&mut second));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(call.is_woken());
    next(&mut call, &mut second).await.1.send_response(answer(200, "yes"));
    assert_eq!(Instant::now() - start, Duration::from_secs(2));
    ready(call.poll()).expect("an answer of the second leg");
    assert!(is_idle(&mut first));
    assert_eq!(
        (failed(&context), handle.snapshot().legs[0].left.queue),
        (vec!["a: rate_limit_exceeded".to_owned()], 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_goes_on_though_it_can_be_sent_only_once() {
    let (first, mut first_requests) = mock::pair::<Request<_>, Response<Plain>>();
    let (second, mut second_requests) = mock::pair::<Request<_>, Response<Plain>>();
    first_requests.send_error("never ready");
    let legs = [("a", first), ("b", second)].map(|(name, server)| Leg::new(name, layer_fn(move |()| server.clone())));
    let once = request().map(|body| replay_with(body, |_| None));
    let mut call = task::spawn(FallbackLayer::new(legs).expect("two legs").layer(()).oneshot(once));
    assert_pending!(call.poll());
    second_requests.next_request().await.expect("a request").1.send_response(answer(200, "yes"));
    assert_eq!(text(ready(call.poll()).expect("an answer")).await, "yes");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_no_answer_though_the_server_gave_one() {
    let client = service_fn(|_: Request<Plain>| async { Ok::<_, BoxError>(answer(200, "{}")) });
    let leg = |name| {
        let spoilt = ServiceBuilder::new().and_then(|response: Response<ObservedBody<_>>| async {
            response.into_body().collect().await?;
            Err::<Response<Plain>, _>(Error::Transport("spoilt".into()))
        });
        Leg::new(name, spoilt.layer(ObserveLayer::new()).into_inner())
    };
    let layer = FallbackLayer::new([leg("a")]).expect("a leg");
    layer.layer(client).oneshot(request()).await.expect_err("spoilt");
    assert_eq!((layer.handle().snapshot().failed, layer.handle().snapshot().answered), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_begun_above_is_the_legs_when_the_leg_sends_it() {
    let client = service_fn(|_: Request<Plain>| async {
        let body = r#"{"model":"gpt-4o","usage":{"prompt_tokens":10,"completion_tokens":2}}"#;
        let mut response = answer(200, body);
        response.headers_mut().insert("content-type", "application/json".parse()?);
        Ok::<_, BoxError>(response)
    });
    let legs = ["a", "b"].map(|name| Leg::new(name, ObserveLayer::new()));
    let layer = FallbackLayer::new(legs).expect("two legs");
    for _ in 0..20 {
        let mut request = request();
        let begun = CallContext::of(&mut request).attempt();
        let response = layer.layer(client).oneshot(request).await.expect("an answer");
        response.into_body().collect().await.expect("a body");
        assert!(begun.is_sent());
    }
    assert!(layer.handle().snapshot().legs[0].service.is_some(), "what it took was learned");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_can_be_sent_only_once_ends_the_chain() {
    let legs = ["a", "b"].map(|name| Leg::new(name, Identity::new()));
    let layer = FallbackLayer::new(legs).expect("two legs");
    let client = service_fn(|_| async { Ok::<_, BoxError>(answer(503, "unwell")) });
    let (request, context) = watched();
    let once = request.map(|body| replay_with(body, |_| None));
    let response = layer.layer(client).oneshot(once).await.expect("the only answer");
    assert_eq!(response.status(), 503);
    drop(response);
    assert_eq!((failed(&context), layer.handle().snapshot().failed), (vec!["a: transient".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn each_leg_owns_its_retries_and_obeys_what_was_set_above() {
    let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
    let (service, _) = fallback([a.patience(Patience::AtMost(Duration::from_secs(2))), b]);
    let mut request = request();
    let context = CallContext::of(&mut request);
    let above = context.now() + Duration::from_secs(1);
    context.set_retries_owned(true);
    context.set_start_by(Some(above));
    let mut call = task::spawn(service.oneshot(request));
    for server in [&mut first, &mut second] {
        let (mut request, reply) = next(&mut call, server).await;
        let below = CallContext::of(&mut request);
        assert_eq!((below.retries_owned(), below.start_by()), (false, Some(above)));
        reply.send_response(throttled(100));
    }
}

#[test]
fn t1_it_is_always_ready_and_asks_no_leg_before_it_is_called() {
    let ((a, mut first), (b, _second)) = (leg("a"), leg("b"));
    first.allow(0);
    let (mut service, _) = fallback([a, b]);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(service.poll_ready(&mut cx).is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn t3_a_call_that_is_never_polled_holds_no_readiness_and_sends_nothing() {
    let ((a, mut first), (b, _second)) = (leg("a"), leg("b"));
    first.allow(1);
    let (mut service, _) = fallback([a, b]);
    drop(service.call(request()));
    assert!(is_idle(&mut first));
    let mut call = task::spawn(service.oneshot(request()));
    next(&mut call, &mut first).await.1.send_response(answer(200, "the one place is free"));
    ready(call.poll()).expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn t2_a_leg_that_is_not_ready_wakes_the_call_when_it_is() {
    let ((a, mut first), (b, _second)) = (leg("a"), leg("b"));
    first.allow(0);
    let (service, _) = fallback([a, b]);
    let mut call = task::spawn(service.oneshot(request()));
    assert_pending!(call.poll());
    assert!(!call.is_woken());
    first.allow(1);
    assert!(call.is_woken());
    next(&mut call, &mut first).await.1.send_response(answer(200, "yes"));
    ready(call.poll()).expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn t4_clones_and_services_of_one_layer_share_what_they_count() {
    let ((a, mut first), (b, _second)) = (leg("a"), leg("b"));
    let layer = FallbackLayer::new([a, b]).expect("two legs");
    let services = [layer.layer(()), layer.clone().layer(()), layer.layer(()).clone()];
    for service in services {
        let mut call = task::spawn(service.oneshot(request()));
        next(&mut call, &mut first).await.1.send_response(answer(200, "yes"));
        drop(ready(call.poll()));
    }
    assert_eq!(layer.handle().snapshot().answered, 3);
    layer.handle().reset();
    assert_eq!(layer.handle().snapshot().calls, 0);
    assert_eq!(&*layer.handle().snapshot().legs[1].name, "b");
}

#[tokio::test(start_paused = true)]
async fn t5_a_call_is_counted_once_wherever_it_is_dropped() {
    for steps in 1..5 {
        let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
        let (service, handle) = fallback([a, b]);
        let mut call = task::spawn(service.oneshot(request()));
        let (_, reply) = next(&mut call, &mut first).await;
        if steps > 1 {
            reply.send_response(throttled(1_000));
            let (_, reply) = next(&mut call, &mut second).await;
            if steps > 2 {
                reply.send_response(answer(200, "yes"));
                let response = ready(call.poll()).expect("an answer");
                if steps > 3 {
                    response.into_body().collect().await.expect("a body");
                }
            }
        }
        drop(call);
        let counts = handle.snapshot();
        assert_eq!((counts.calls, counts.answered), (1, u64::from(steps > 2)), "after {steps} steps");
        assert_eq!(counts.cancelled, u64::from(steps <= 2), "after {steps} steps");
        let entered: Vec<_> = counts.legs.iter().map(|leg| leg.entered).collect();
        assert_eq!(entered, [1, u64::from(steps > 1)], "after {steps} steps");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leg_is_entered_once_for_each_call_that_went_into_it_and_by_no_other() {
    let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
    second.allow(0);
    let (mut service, handle) = fallback([a, b]);
    drop(service.call(request()));
    let entered = || handle.snapshot().legs.iter().map(|leg| leg.entered).collect::<Vec<_>>();
    assert_eq!((handle.snapshot().cancelled, entered()), (1, vec![0, 0]), "it was never polled");
    let mut call = task::spawn(service.oneshot(request()));
    next(&mut call, &mut first).await.1.send_response(throttled(1_000));
    assert_pending!(call.poll());
    drop(call);
    assert_eq!((handle.snapshot().cancelled, entered()), (2, vec![1, 0]), "the second leg was not ready");
}

#[test]
fn t5_what_it_makes_is_send_sync_and_static() {
    fn check<T: Send + Sync + 'static>(_: &T) {}
    let layer = FallbackLayer::new([Leg::new("a", Identity::new())]).expect("a leg");
    let client = service_fn(|_: Request<RequestBody>| std::future::ready(Ok::<_, BoxError>(answer(200, ""))));
    let mut service = layer.layer(client);
    check(&layer);
    check(&service);
    check(&service.call(Request::new(RequestBody::empty())));
}

#[test]
fn legs_that_make_no_fallback_are_refused() {
    assert_eq!(FallbackLayer::<()>::new([]).unwrap_err(), InvalidLegs::Empty);
    let twice = FallbackLayer::new([Leg::new("a", ()), Leg::new("a", ())]).unwrap_err();
    assert_eq!(twice.to_string(), r#"two legs are named "a": give each a name of its own"#);
}

#[tokio::test(start_paused = true)]
async fn off_it_is_its_first_leg() {
    let ((a, mut first), (b, mut second)) = (leg("a"), leg("b"));
    let layer = FallbackLayer::new([a.patience(Patience::AtMost(Duration::ZERO)), b]).expect("two legs").off();
    let mut call = task::spawn(layer.layer(()).oneshot(request()));
    let (mut request, reply) = next(&mut call, &mut first).await;
    assert_eq!(CallContext::of(&mut request).start_by(), None);
    reply.send_response(throttled(100));
    assert_eq!(ready(call.poll()).expect("the answer").status(), 429);
    assert!(is_idle(&mut second));
}
