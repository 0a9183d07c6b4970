//! The whole stack over the simulator, in paused time.
#![cfg(feature = "stack")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::{task::JoinSet, time::Instant};
use tower::{ServiceExt, util::MapRequestLayer};
use tower_aoai::{
    Stack,
    config::{
        AgentConfig, Config, EndpointConfig, LegConfig, ModelConfig, Overflow, PatienceConfig, Profile, ResourceConfig,
        Sources, UnknownModel,
    },
    core::{Error, Reason, Rejected, RequestBody, Served},
    stack::{AnswerBody, InvalidStack, SharedLimits, StackFuture},
    statistics::PlannedCall,
};
use tower_aoai_simulator::{Deployment, Latency, Scripted, Simulator, World, quota::RequestLimit};

const KEY: &str = "0123456789abcdef";

fn resource(name: &str) -> ResourceConfig {
    ResourceConfig::new(name, format!("https://{name}.openai.azure.com")).api_key(KEY)
}

/// One resource, one deployment.
fn one() -> Config {
    Config::new().resource(resource("contoso")).endpoint(EndpointConfig::new("chat", "contoso").deployment("gpt-4o"))
}

fn deployment(name: &str) -> Deployment {
    Deployment::standard(name).model("gpt-4o").tokens_per_minute(1_000_000).requests_per_minute(6_000)
}

fn simulator(deployment: Deployment) -> Simulator {
    Simulator::builder().seed(7).api_key(KEY).latency(Latency::typical()).deployment(deployment).build()
}

fn over(config: Config, simulator: &Simulator) -> Stack {
    Stack::builder(config).transport(simulator.clone()).seed(7).build().expect("a stack")
}

fn chat(model: &str, stream: bool) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"Say it."}}],"max_tokens":20,"stream":{stream}}}"#
    );
    let request = Request::post("https://anywhere.example/openai/v1/chat/completions");
    request.header("content-type", "application/json").body(Full::from(body)).expect("a request")
}

/// The status, who served it, and the whole body.
async fn call(stack: &Stack, request: Request<Full<Bytes>>) -> Result<(u16, Served, Bytes), Error> {
    let response = stack.clone().oneshot(request).await?;
    let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
    let status = response.status().as_u16();
    Ok((status, served, response.into_body().collect().await?.to_bytes()))
}

/// How many of so many calls, made at equal distances over `time`, had a whole answer.
async fn steady(stack: &Stack, calls: u32, time: Duration) -> u32 {
    let mut under_way = JoinSet::new();
    for _ in 0..calls {
        let stack = stack.clone();
        under_way.spawn(async move { matches!(call(&stack, chat("gpt-4o", false)).await, Ok((200, ..))) });
        tokio::time::sleep(time / calls).await;
    }
    under_way.join_all().await.into_iter().map(u32::from).sum()
}

fn refused(simulator: &Simulator) -> usize {
    simulator.journal().iter().filter(|served| served.status.is_some_and(|status| status == 429)).count()
}

fn assert_nothing_is_held(stack: &Stack, when: &str) {
    assert_eq!(stack.in_flight(), 0, "a call is under way {when}");
    assert_eq!(stack.cost().snapshot().open, 0, "a booking is open {when}");
    for endpoint in &stack.config().endpoints {
        let quota = stack.quota(&endpoint.name).expect("an endpoint").snapshot();
        assert_eq!((quota.in_flight, quota.queued), (0, 0), "a reservation is left {when}");
        let circuit = stack.circuit(&endpoint.name).expect("an endpoint").snapshot();
        assert_eq!(circuit.in_flight, 0, "a permit is left {when}");
    }
}

#[test]
fn t5_the_stack_its_future_and_its_body_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    fn body<T: Body<Data = Bytes, Error = Error> + Send + Sync + Unpin + 'static>() {}
    fn future<T: Send + 'static>() {}
    anywhere::<Stack>();
    anywhere::<SharedLimits>();
    body::<AnswerBody>();
    future::<StackFuture>();
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_to_its_deployment_with_the_key_and_says_who_served_it() {
    let simulator = simulator(deployment("gpt-4o"));
    let stack = over(one(), &simulator);
    let (status, served, body) = call(&stack, chat("whatever it is called here", false)).await.expect("an answer");
    assert_eq!((status, served.endpoint.as_deref(), served.attempts), (200, Some("chat"), 1));
    assert!(body.starts_with(b"{"), "{body:?}");
    assert_eq!(simulator.journal()[0].deployment.as_deref(), Some("gpt-4o"));
    assert_nothing_is_held(&stack, "after an answer");
}

#[tokio::test(start_paused = true)]
async fn bodies_are_streamed_from_end_to_end() {
    let simulator = simulator(deployment("gpt-4o"));
    let stack = over(one(), &simulator);
    let mut body = stack.clone().oneshot(chat("gpt-4o", true)).await.expect("an answer").into_body();
    let mut whole = Vec::new();
    let mut instants = Vec::new();
    while let Some(frame) = body.frame().await {
        whole.extend(frame.expect("a frame").into_data().unwrap_or_default());
        instants.push(Instant::now());
        assert_eq!(stack.in_flight() == 0, whole.ends_with(b"[DONE]\n\n"), "under way until its last byte");
    }
    instants.dedup();
    assert!(instants.len() > 5, "as it comes, and not all at once: {}", instants.len());
    let text = String::from_utf8(whole).expect("text");
    assert!(!text.contains("\"usage\":{"), "what was asked for in addition is taken out again");
    assert_eq!(stack.cost().snapshot().open, 0);
    assert!(stack.cost().sum(&tower_aoai::cost::Query::total()).exact.tokens.output > 0, "and was counted");
    drop(body);
    assert_nothing_is_held(&stack, "after a stream");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_in_pieces_is_collected() {
    let simulator = simulator(deployment("gpt-4o"));
    let stack = over(one(), &simulator);
    let whole = chat("gpt-4o", false);
    let (head, body) = whole.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let pieces: Vec<Result<_, std::io::Error>> =
        bytes.chunks(7).map(|piece| Ok(http_body::Frame::data(Bytes::copy_from_slice(piece)))).collect();
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
    let response = stack.oneshot(Request::from_parts(head, body)).await.expect("an answer");
    assert_eq!(response.status(), 200);
}

fn ptu_and_standard() -> Config {
    Config::new()
        .resource(resource("contoso"))
        .endpoint(EndpointConfig::new("ptu", "contoso").deployment("chat-ptu").model("gpt-4o").provisioned(1))
        .endpoint(EndpointConfig::new("payg", "contoso").deployment("chat").model("gpt-4o"))
}

#[tokio::test(start_paused = true)]
async fn what_the_ptu_cannot_serve_in_time_goes_to_standard_and_costs_money_there_alone() {
    let simulator = Simulator::builder()
        .seed(7)
        .api_key(KEY)
        .latency(Latency::instant().first_token(Duration::from_millis(200)))
        .deployment(Deployment::provisioned("chat-ptu").model("gpt-4o").units(1))
        .deployment(deployment("chat"))
        .build();
    let stack = over(ptu_and_standard(), &simulator);
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let stack = stack.clone();
        calls.spawn(
            async move { call(&stack, chat("gpt-4o", false)).await.map(|(status, served, _)| (status, served)) },
        );
    }
    let answers: Vec<_> = calls.join_all().await.into_iter().map(|answer| answer.expect("an answer")).collect();
    assert!(answers.iter().all(|(status, _)| *status == 200));
    let legs = |leg: &str| answers.iter().filter(|(_, served)| served.leg.as_deref() == Some(leg)).count();
    assert!(legs("provisioned") > 20 && legs("standard") > 20, "{} and {}", legs("provisioned"), legs("standard"));
    let spilled = answers.iter().filter(|(_, served)| served.spilled_from.as_deref() == Some("provisioned")).count();
    assert_eq!(spilled, legs("standard"));
    let by = stack.cost().by(&[tower_aoai::cost::Tag::Endpoint], &tower_aoai::cost::Query::total());
    assert_eq!(by.len(), 2, "{by:?}");
    for line in by {
        let is_paid_for = line.values.iter().any(|value| &**value == "ptu");
        assert_eq!(line.spend.cost().as_nano_dollars() == 0, is_paid_for, "{line:?}");
    }
    assert_nothing_is_held(&stack, "after a burst");
}

/// Three regions of the same deployment, for one model.
fn regions() -> (Config, World) {
    let names = ["contoso-east", "contoso-west", "contoso-sweden"];
    let world = names.iter().fold(World::builder(), |world, name| {
        let simulator = Simulator::builder().seed(7).api_key(KEY).region(name).latency(Latency::typical());
        world.resource(name, simulator.deployment(deployment("gpt-4o")).build())
    });
    let config = names.iter().fold(Config::new(), |config, name| {
        config.resource(resource(name)).endpoint(EndpointConfig::new(*name, *name).deployment("gpt-4o"))
    });
    (config, world.build())
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_region_is_seen_by_nobody() {
    let (config, world) = regions();
    let stack = Stack::builder(config).transport(world.clone()).seed(7).build().expect("a stack");
    let now = Instant::now();
    let (from, until) = (now + Duration::from_secs(20), now + Duration::from_secs(80));
    world.region_down("contoso-east", from, until, &Scripted::plain_text_503());
    assert_eq!(steady(&stack, 1_200, Duration::from_secs(120)).await, 1_200);
    let east = world.resource("contoso-east").expect("a region").journal();
    let during = east.iter().filter(|served| (from..until).contains(&served.arrived)).count();
    assert!(during < 40, "{during} were sent to where nobody was");
    assert!(east.iter().any(|served| served.arrived > until + Duration::from_secs(15)), "and it came back");
    assert_nothing_is_held(&stack, "after an outage");
}

#[tokio::test(start_paused = true)]
async fn a_reload_under_load_drops_no_call_and_forgets_no_quota() {
    // As Azure counts in the harshest way: a minute's tokens over any minute.
    let limited = Deployment::standard("gpt-4o")
        .model("gpt-4o")
        .tokens_per_minute(6_000)
        .token_limit(tower_aoai_simulator::quota::TokenLimit::SlidingMinute)
        .requests_per_minute(6_000)
        .request_limit(RequestLimit::Fixed(Duration::from_secs(1)));
    let simulator = simulator(limited);
    let config = |total: u64| {
        let mut config = one();
        config.endpoints[0].quota.tokens_per_minute = Some(6_000);
        config.timeouts.total = Some(Duration::from_secs(total).into());
        config
    };
    let stack = over(config(3_000), &simulator);
    let load = tokio::spawn({
        let stack = stack.clone();
        async move { steady(&stack, 600, Duration::from_secs(60)).await }
    });
    for reload in 0..10 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let used = stack.quota("chat").expect("an endpoint").snapshot().tokens_used;
        let draining = stack.reload(config(3_001 + reload)).expect("a good configuration");
        assert_eq!(stack.quota("chat").expect("an endpoint").snapshot().tokens_used, used, "what is used stays used");
        let stack = stack.clone();
        tokio::spawn(async move {
            draining.emptied().await;
            assert_eq!(draining.in_flight(), 0);
            drop(stack);
        });
    }
    assert_eq!(load.await.expect("a task"), 600, "no call is dropped");
    assert_eq!(refused(&simulator), 0, "and the server never had to refuse one");
    assert_nothing_is_held(&stack, "after reloads");
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_limits_for_those_who_wait_and_leaves_what_it_does_not_name() {
    let simulator = simulator(deployment("gpt-4o"));
    let mut config = one();
    config.endpoints[0].quota.max_in_flight = Some(1);
    let stack = over(config.clone(), &simulator);
    simulator.script("gpt-4o").then(Scripted::hang());
    let hanging = tokio::spawn(stack.clone().oneshot(chat("gpt-4o", false)));
    tokio::task::yield_now().await;
    let waiting = tokio::spawn({
        let stack = stack.clone();
        async move { call(&stack, chat("gpt-4o", false)).await.map(|(status, ..)| status) }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    stack.circuit("chat").expect("an endpoint").trip_for(Duration::from_secs(1_000));
    assert_eq!(stack.quota("chat").expect("an endpoint").snapshot().queued, 1);
    config.endpoints[0].quota.max_in_flight = Some(5);
    let draining = stack.reload(config).expect("a good configuration");
    assert_eq!(waiting.await.expect("a task").expect("an answer"), 200, "the old stack has the new limit");
    assert_eq!(draining.in_flight(), 1);
    hanging.abort();
    draining.emptied().await;
    let circuit = stack.circuit("chat").expect("an endpoint").snapshot();
    assert_eq!(circuit.state.name(), "open", "and the new one the old circuit");
}

#[tokio::test(start_paused = true)]
async fn a_bad_configuration_is_refused_with_all_that_is_wrong_and_the_old_one_stays() {
    let simulator = simulator(deployment("gpt-4o"));
    let stack = over(one(), &simulator);
    let mut bad = one().endpoint(EndpointConfig::new("lost", "nowhere")).model("chat", ModelConfig::of(["chta"]));
    bad.endpoints[0].quota.tokens_per_minute = Some(1);
    let refused = stack.reload(bad).expect_err("it names what is not there");
    let InvalidStack::Config(problems) = &refused else { panic!("{refused}") };
    assert!(problems.len() >= 2, "{refused}");
    for wrong in ["nowhere", "chta"] {
        assert!(refused.to_string().contains(wrong), "{refused}");
    }
    assert_eq!(stack.quota("chat").expect("an endpoint").limits().tokens_per_minute, None, "nothing has changed");
    assert_eq!(call(&stack, chat("gpt-4o", false)).await.expect("an answer").0, 200);

    let mut bad = one();
    bad.resources[0].base_url = "ftp://contoso".to_owned();
    bad.endpoints[0].circuit_breaker.failure_ratio = Some(7.0.into());
    assert!(matches!(stack.reload(bad), Err(InvalidStack::Config(_))));
}

#[tokio::test(start_paused = true)]
async fn two_stacks_that_share_limits_never_exceed_one_quota() {
    let limited = Deployment::standard("gpt-4o")
        .model("gpt-4o")
        .tokens_per_minute(6_000)
        .token_limit(tower_aoai_simulator::quota::TokenLimit::SlidingMinute)
        .requests_per_minute(6_000)
        .request_limit(RequestLimit::Fixed(Duration::from_secs(1)));
    let simulator = simulator(limited);
    let mut config = one();
    config.endpoints[0].quota.tokens_per_minute = Some(6_000);
    config.timeouts.total = Some(Duration::from_secs(3_000).into());
    let limits = SharedLimits::new();
    let agent = |name: &str| {
        let stack = Stack::builder(config.clone()).name(name).shared_limits(&limits).transport(simulator.clone());
        stack.seed(7).build().expect("a stack")
    };
    let (planner, writer) = (agent("planner"), agent("writer"));
    let (one, other) =
        tokio::join!(steady(&planner, 300, Duration::from_secs(60)), steady(&writer, 300, Duration::from_secs(60)));
    assert_eq!((one, other, refused(&simulator)), (300, 300, 0));
    // Without sharing the same traffic is too much.
    let apart = |name: &str| {
        let stack = Stack::builder(config.clone()).name(name).transport(simulator.clone());
        stack.seed(7).build().expect("a stack")
    };
    let (planner, writer) = (apart("planner"), apart("writer"));
    tokio::time::sleep(Duration::from_secs(61)).await;
    tokio::join!(steady(&planner, 300, Duration::from_secs(60)), steady(&writer, 300, Duration::from_secs(60)));
    assert!(refused(&simulator) > 0, "which is what sharing is for");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_calls_end_and_takes_no_new_ones() {
    let simulator = simulator(deployment("gpt-4o"));
    let stack = over(one(), &simulator);
    let mut body = stack.clone().oneshot(chat("gpt-4o", true)).await.expect("an answer").into_body();
    let mut closing = tokio_test::task::spawn({
        let stack = stack.clone();
        async move { stack.shutdown(Duration::from_secs(60)).await }
    });
    tokio_test::assert_pending!(closing.poll());
    let refused = call(&stack, chat("gpt-4o", false)).await.expect_err("it is closed");
    assert_eq!(refused.rejected().map(Rejected::reason), Some(Reason::ShuttingDown));
    assert!(matches!(stack.reload(one()), Err(InvalidStack::ShutDown)));
    while let Some(frame) = body.frame().await {
        frame.expect("the call goes on to its end");
    }
    let leftover = closing.await;
    assert_eq!((leftover.calls, leftover.is_log_written, leftover.are_alerts_delivered), (0, true, true));

    let stack = over(one(), &simulator);
    simulator.script("gpt-4o").then(Scripted::hang());
    let hanging = tokio::spawn(stack.clone().oneshot(chat("gpt-4o", false)));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(stack.shutdown(Duration::from_secs(2)).await.calls, 1, "patience has an end, and says so");
    hanging.abort();
    assert_eq!(stack.shutdown(Duration::from_secs(2)).await.calls, 0);
}

#[tokio::test(start_paused = true)]
async fn t5_nothing_is_held_wherever_a_call_is_dropped() {
    for polls in 0.. {
        let simulator = simulator(deployment("gpt-4o"));
        simulator.script("gpt-4o").then(Scripted::rate_limited(Duration::from_millis(100)));
        let stack = over(one(), &simulator);
        let mut call = tokio_test::task::spawn(stack.clone().oneshot(chat("gpt-4o", true)));
        let mut response = None;
        for _ in 0..polls {
            if let std::task::Poll::Ready(answer) = call.poll() {
                response = Some(answer.expect("an answer"));
                break;
            }
            tokio::time::advance(Duration::from_millis(20)).await;
        }
        drop(call);
        let is_over = response.is_some();
        drop(response);
        assert_nothing_is_held(&stack, &format!("after {polls} polls"));
        if is_over {
            assert!(polls > 3, "there were points to drop it at");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t5_nothing_is_held_wherever_an_answer_is_dropped() {
    for frames in 0.. {
        let simulator = simulator(deployment("gpt-4o"));
        let stack = over(one(), &simulator);
        let mut body = stack.clone().oneshot(chat("gpt-4o", true)).await.expect("an answer").into_body();
        let mut is_over = false;
        for _ in 0..frames {
            match body.frame().await {
                Some(frame) => drop(frame.expect("a frame")),
                None => is_over = true,
            }
        }
        drop(body);
        assert_nothing_is_held(&stack, &format!("after {frames} frames"));
        if is_over {
            assert!(frames > 3, "there were frames to drop it between");
            break;
        }
    }
}

fn two_models() -> Config {
    Config::new()
        .resource(resource("contoso"))
        .endpoint(EndpointConfig::new("small", "contoso").deployment("mini"))
        .endpoint(EndpointConfig::new("large", "contoso").deployment("gpt-4o"))
        .model("standard", ModelConfig::of(["small"]))
        .model("advanced", ModelConfig::new().leg(LegConfig::new("only", ["large"])))
}

#[tokio::test(start_paused = true)]
async fn the_model_that_is_asked_for_chooses_the_chain() {
    let simulator = Simulator::builder()
        .api_key(KEY)
        .latency(Latency::instant())
        .deployment(deployment("mini"))
        .deployment(deployment("gpt-4o"))
        .build();
    let mut config = two_models();
    config.models.entry("standard".to_owned()).or_default().aliases = vec!["cheap".to_owned()];
    let stack = over(config.clone(), &simulator);
    for (asked, endpoint) in [("standard", "small"), ("cheap", "small"), ("advanced", "large")] {
        let (_, served, _) = call(&stack, chat(asked, false)).await.expect("an answer");
        assert_eq!(served.endpoint.as_deref(), Some(endpoint), "{asked}");
    }
    let refused = call(&stack, chat("gpt-9", false)).await.expect_err("neither is the default").to_string();
    assert!(refused.contains(r#"no model "gpt-9" here; there are: advanced, cheap, standard"#), "{refused}");

    config.default_model = Some("advanced".to_owned());
    let _ = stack.reload(config.clone()).expect("a good configuration");
    assert_eq!(call(&stack, chat("gpt-9", false)).await.expect("by default").1.endpoint.as_deref(), Some("large"));
    config.unknown_model = Some(UnknownModel::Refuse);
    config.door.answer_refusals = Some(true);
    let _ = stack.reload(config).expect("a good configuration");
    let (status, _, body) = call(&stack, chat("gpt-9", false)).await.expect("a refusal as an answer");
    assert!(status == 400 && String::from_utf8_lossy(&body).contains("gpt-9"), "{status} {body:?}");
}

#[tokio::test(start_paused = true)]
async fn layers_of_ones_own_stand_at_the_door_in_each_leg_and_at_each_endpoint() {
    let simulator = Simulator::builder()
        .api_key(KEY)
        .latency(Latency::instant())
        .deployment(deployment("mini"))
        .deployment(deployment("gpt-4o"))
        .build();
    simulator.script("mini").then(Scripted::plain_text_503()).then(Scripted::plain_text_503());
    let config = Config::new()
        .resource(resource("contoso"))
        .endpoint(EndpointConfig::new("small", "contoso").deployment("mini"))
        .endpoint(EndpointConfig::new("large", "contoso").deployment("gpt-4o"))
        .model(
            "chat",
            ModelConfig::new().leg(LegConfig::new("first", ["small"])).leg(LegConfig::new("second", ["large"])),
        );
    let counts: Arc<[AtomicUsize; 4]> = Arc::default();
    let count = |place: usize| {
        let counts = Arc::clone(&counts);
        MapRequestLayer::new(move |request: Request<RequestBody>| {
            counts[place].fetch_add(1, Relaxed);
            request
        })
    };
    let (door, leg, endpoint) = (count(0), count(1), count(2));
    let retried = Arc::clone(&counts);
    let stack = Stack::builder(config)
        .transport(simulator)
        .seed(7)
        .door_layer(door)
        .leg_layer(move |_| leg.clone())
        .endpoint_layer(move |_| endpoint.clone())
        .map_retry(move |_, retry| {
            let retried = Arc::clone(&retried);
            retry.on_retry(move |_| {
                retried[3].fetch_add(1, Relaxed);
                std::future::ready(())
            })
        })
        .build()
        .expect("a stack");
    let mut config = (*stack.config()).clone();
    config.retry.max_retries = Some(1);
    let _ = stack.reload(config).expect("a good configuration");
    let (status, served, _) = call(&stack, chat("chat", false)).await.expect("an answer");
    assert_eq!((status, served.leg.as_deref()), (200, Some("second")));
    let counts: Vec<_> = counts.iter().map(|count| count.load(Relaxed)).collect();
    assert_eq!(counts, [1, 2, 3, 1], "one call, two legs, three attempts, one of them a retry");
    assert_nothing_is_held(&stack, "below layers of one's own");
}

#[tokio::test(start_paused = true)]
async fn an_agents_calls_have_its_limit_unless_they_say_another() {
    let simulator = simulator(deployment("gpt-4o"));
    let mut config = one();
    let mut agent = AgentConfig::default();
    agent.max_tokens = Some(7);
    config.agents.insert("writer".to_owned(), agent);
    let stack = over(config, &simulator);
    let tokens = |request: Request<Full<Bytes>>, agent: Option<&'static str>| {
        let stack = stack.clone();
        async move {
            let mut request = request;
            if let Some(agent) = agent {
                request.extensions_mut().insert(tower_aoai::cost::Tags::new().agent(agent));
            }
            let body = call(&stack, request).await.expect("an answer").2;
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            body["usage"]["completion_tokens"].as_u64().expect("a usage")
        }
    };
    let unlimited = || {
        let body = r#"{"model":"x","messages":[{"role":"user","content":"Say it."}]}"#;
        Request::post("https://anywhere.example/openai/v1/chat/completions").body(Full::from(body)).expect("a request")
    };
    assert_eq!(tokens(unlimited(), Some("writer")).await, 7);
    assert!(tokens(unlimited(), Some("planner")).await > 7);
    assert_eq!(tokens(unlimited(), Some("Writer")).await, 7, "a variable cannot say how it is written");
    assert!(tokens(unlimited(), None).await > 7);
    assert_eq!(tokens(chat("x", false), Some("writer")).await, 20, "a call's own limit counts");
}

#[cfg(feature = "cache")]
#[tokio::test(start_paused = true)]
async fn no_agent_has_the_kept_answer_of_one_with_another_limit() {
    let mut config = one();
    for (name, tokens) in [("brief", 3), ("thorough", 30)] {
        let mut agent = AgentConfig::default();
        agent.max_tokens = Some(tokens);
        config.agents.insert(name.to_owned(), agent);
    }
    let simulator = simulator(deployment("gpt-4o"));
    let stack = Stack::builder(config).transport(simulator).door_layer(tower_aoai::cache::CacheLayer::new()).build();
    let stack = stack.expect("a stack");
    let tokens = async |agent: &'static str| {
        let body = r#"{"model":"x","temperature":0,"messages":[{"role":"user","content":"Say it."}]}"#;
        let request = Request::post("https://anywhere.example/openai/v1/chat/completions");
        let mut request = request.body(Full::from(body)).expect("a request");
        request.extensions_mut().insert(tower_aoai::cost::Tags::new().agent(agent));
        let (_, served, body) = call(&stack, request).await.expect("an answer");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        (body["usage"]["completion_tokens"].as_u64().expect("a usage"), served.from_cache)
    };
    assert_eq!(tokens("brief").await, (3, false));
    assert_eq!(tokens("brief").await, (3, true));
    assert_eq!(tokens("thorough").await, (30, false));
}

#[tokio::test(start_paused = true)]
async fn patience_with_the_ptu_is_as_it_is_said() {
    let simulator = Simulator::builder()
        .api_key(KEY)
        .latency(Latency::instant())
        .deployment(deployment("chat-ptu"))
        .deployment(deployment("chat"))
        .build();
    let mut config = ptu_and_standard();
    let legs = |patience| {
        let mut ptu = LegConfig::new("ptu", ["ptu"]);
        ptu.patience = Some(patience);
        ModelConfig::new().leg(ptu).leg(LegConfig::new("standard", ["payg"]))
    };
    config = config.model("gpt-4o", legs(PatienceConfig::AtMost(Duration::from_secs(1))));
    let stack = over(config.clone(), &simulator);
    simulator.script("chat-ptu").then(Scripted::rate_limited(Duration::from_secs(5)));
    assert_eq!(call(&stack, chat("gpt-4o", false)).await.expect("an answer").1.leg.as_deref(), Some("standard"));
    let _ = stack.reload(config.model("gpt-4o", legs(PatienceConfig::Unlimited))).expect("a good configuration");
    tokio::time::sleep(Duration::from_secs(10)).await;
    simulator.script("chat-ptu").then(Scripted::rate_limited(Duration::from_secs(5)));
    assert_eq!(call(&stack, chat("gpt-4o", false)).await.expect("an answer").1.leg.as_deref(), Some("ptu"));
}

/// What a transport is given, by whom.
#[tokio::test(start_paused = true)]
async fn a_mock_may_stand_at_the_bottom() {
    let (transport, mut mock) = tower_test::mock::pair::<Request<RequestBody>, Response<Full<Bytes>>>();
    let stack = Stack::builder(one()).transport(transport).build().expect("a stack");
    let answer = tokio::spawn(stack.oneshot(chat("gpt-4o", false)));
    let (request, respond) = mock.next_request().await.expect("a request");
    assert_eq!(request.uri(), "https://contoso.openai.azure.com/openai/v1/chat/completions");
    assert_eq!(request.headers()["api-key"], KEY);
    respond.send_response(Response::new(Full::from("{}")));
    assert_eq!(answer.await.expect("a task").expect("an answer").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_statistics_go_on_through_reloads_and_end_with_the_stack() {
    let simulator = simulator(deployment("gpt-4o"));
    let named = |name: &str| {
        let mut config = one();
        config.name = Some(name.to_owned());
        config
    };
    let stack = over(named("assistant"), &simulator);
    call(&stack, chat("gpt-4o", false)).await.expect("an answer");
    let mut other = named("assistant");
    other.resources.push(resource("contoso-two"));
    other.endpoints.push(EndpointConfig::new("two", "contoso-two").deployment("gpt-4o"));
    let _ = stack.reload(other).expect("a good configuration");
    call(&stack, chat("gpt-4o", false)).await.expect("an answer");
    let snapshot = stack.statistics().snapshot();
    assert_eq!((snapshot.total.answered, snapshot.endpoints.len()), (2, 2));
    let known = || tower_aoai::statistics::all_stacks().iter().any(|stack| &*stack.name() == "assistant");
    assert!(known());
    drop(stack);
    assert!(!known(), "nothing keeps it");
}

#[tokio::test(start_paused = true)]
async fn the_risk_of_a_long_prompt_is_that_of_what_the_stack_makes_of_it() {
    let simulator = simulator(deployment("gpt-4o"));
    for (policy, clamps, prompt, output, is_served) in [
        (Overflow::Reject, false, 1_000, 1_000, true),
        (Overflow::Reject, false, 200_000, 1_000, false),
        (Overflow::Reject, false, 120_000, 16_000, false),
        (Overflow::Reject, true, 120_000, 16_000, true),
        (Overflow::Reject, true, 200_000, 16_000, false),
        (Overflow::Truncate, false, 200_000, 16_000, true),
        (Overflow::LetThrough, false, 200_000, 16_000, false),
    ] {
        let mut config = one();
        config.context_window.policy = Some(policy);
        config.context_window.clamp_output = Some(clamps);
        let stack = over(config, &simulator);
        let risk = stack.statistics().risk(&PlannedCall::new("gpt-4o", prompt, output));
        assert_eq!(risk.is_served(), is_served, "{policy:?}, {clamps}, {prompt} and {output}: {risk}");
    }
}

fn from_variables(variables: &[(&str, &str)]) -> Config {
    Sources::new().vars(variables.iter().copied().collect()).environment().read().expect("good variables")
}

#[tokio::test(start_paused = true)]
async fn a_ptu_and_a_standard_deployment_from_the_environment() {
    let simulator = Simulator::builder()
        .api_key(KEY)
        .latency(Latency::instant())
        .deployment(deployment("chat-ptu"))
        .deployment(deployment("chat"))
        .build();
    let config = from_variables(&[
        ("OPENAI_API_BASE", "https://contoso.openai.azure.com"),
        ("OPENAI_API_KEY", KEY),
        ("PTU_DEPLOYMENT", "chat-ptu"),
        ("STANDARD_DEPLOYMENT", "chat"),
        ("PTU_MAX_WAIT", "1000"),
        ("MAX_RETRIES", "2"),
    ]);
    let stack = over(config, &simulator);
    let served = |answer: Result<(u16, Served, Bytes), Error>| {
        let (status, served, _) = answer.expect("an answer");
        assert_eq!(status, 200);
        served
    };
    let first = served(call(&stack, chat("gpt-4o", false)).await);
    assert_eq!((first.attempts, first.spilled_from), (1, None));
    simulator.script("chat-ptu").then(Scripted::rate_limited(Duration::from_millis(400)));
    let waited = served(call(&stack, chat("gpt-4o", false)).await);
    assert_eq!((waited.attempts, waited.spilled_from), (2, None), "a short wait is waited for");
    simulator.script("chat-ptu").then(Scripted::rate_limited(Duration::from_secs(9)));
    let spilled = served(call(&stack, chat("gpt-4o", false)).await);
    assert!(spilled.spilled_from.is_some(), "a long one is not");
    assert_eq!(simulator.journal().last().and_then(|served| served.deployment.as_deref()), Some("chat"));
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_take_turns_from_the_environment_on_and_off() {
    let names = ["contoso-east", "contoso-west", "contoso-sweden"];
    let world = names.iter().fold(World::builder(), |world, name| {
        let simulator = Simulator::builder().api_key(KEY).latency(Latency::instant());
        world.resource(name, simulator.deployment(deployment("chat")).build())
    });
    let world = world.build();
    let list: Vec<_> = names
        .iter()
        .map(|name| {
            let address = format!("https://{name}.openai.azure.com");
            serde_json::json!({"AZURE_OPENAI_ENDPOINT": address, "AZURE_OPENAI_API_KEY": KEY})
        })
        .collect();
    let list = serde_json::Value::from(list).to_string();
    for (is_on, shares) in [("true", [10, 10, 10]), ("false", [30, 0, 0])] {
        world.reset();
        let config = from_variables(&[
            ("AZURE_OPENAI_ENDPOINT", "https://contoso-east.openai.azure.com"),
            ("AZURE_OPENAI_API_KEY", KEY),
            ("AZURE_OPENAI_DEPLOYMENT", "chat"),
            ("AZURE_OPENAI_ROUND_ROBIN_CONNECTION", &list),
            ("USE_AZURE_OPENAI_ROUND_ROBIN", is_on),
        ]);
        let stack = Stack::builder(config).transport(world.clone()).seed(7).build().expect("a stack");
        for _ in 0..30 {
            assert_eq!(call(&stack, chat("gpt-4o", false)).await.expect("an answer").0, 200);
        }
        let served = names.map(|name| world.resource(name).expect("a resource").journal().len());
        assert_eq!(served, shares, "with {is_on}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_cautious_profile_is_as_slow_as_it_says() {
    let simulator = simulator(deployment("gpt-4o"));
    let stack = over(one().profile(Profile::Cautious), &simulator);
    assert_eq!(steady(&stack, 30, Duration::from_millis(30)).await, 30);
    let arrived: Vec<_> = simulator.journal().iter().map(|served| served.arrived).collect();
    assert!(arrived.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(100)), "100 ms between two");
}
