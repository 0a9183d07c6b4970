//! One token for many calls: obtained once, ahead of time, whoever is cancelled, and once more when it was refused.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use support::{Leaf, Plain, Scripted, authorization, request, token};
use tokio::time::{Instant, advance, sleep, timeout};
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_aoai_core::{
    Admission, Asked, CallContext, Error, ObserveLayer, Outcome, PrepareLayer, Reason, Rejected, RequestBody,
};
use tower_aoai_endpoint::{BaseUrl, Credential, CredentialError, EndpointLayer, Token, TokenCache, TokenFuture};
use tower_aoai_simulator::{Deployment, Scripted as Answer, Simulator, TokenIssuer};

const HOUR: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);

fn layer() -> EndpointLayer {
    let base: BaseUrl = "https://east.openai.azure.com".parse().expect("a base URL");
    EndpointLayer::new(base)
}

fn cached(credential: impl Credential + 'static) -> TokenCache {
    TokenCache::new(credential).seed(7)
}

fn chat() -> Request<RequestBody> {
    request("POST", "/v1/chat/completions", r#"{"model":"gpt","messages":[]}"#)
}

/// What a call of the layer, over a leaf that always answers, says in its `authorization`.
async fn used(layer: &EndpointLayer) -> Result<String, Error> {
    let arrived = support::sent(layer, chat()).await?;
    Ok(authorization(&arrived).expect("a token").to_owned())
}

fn no_credential(result: Result<String, Error>) -> Rejected {
    let rejected = result.expect_err("refused").rejected().expect("refused here").clone();
    assert_eq!(rejected.reason(), Reason::NoCredential);
    rejected
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_are_one_request_for_a_token() {
    let credential = Scripted::living(HOUR, SECOND);
    let layer = layer().token_cache(cached(credential.clone()));
    let start = Instant::now();
    let used = join_all((0..100).map(|_| used(&layer))).await;
    assert!(used.into_iter().all(|used| used.expect("a token") == "Bearer t0"));
    assert_eq!((credential.asked(), Instant::now() - start), (1, SECOND));
    assert_eq!(layer.handle().snapshot().token.expect("a token").obtained, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_cancelled_the_others_get_their_token() {
    for cancelled in 0..3 {
        let credential = Scripted::living(HOUR, SECOND);
        let layer = layer().token_cache(cached(credential.clone()));
        let mut calls: Vec<_> = (0..3).map(|_| Some(task::spawn(used(&layer)))).collect();
        for call in calls.iter_mut().flatten() {
            assert_pending!(call.poll());
        }
        advance(SECOND / 2).await;
        calls[cancelled] = None;
        for call in calls.into_iter().flatten() {
            assert_eq!(call.await.expect("a token"), "Bearer t0");
        }
        assert_eq!(credential.asked(), 1, "the request went on when caller {cancelled} left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_everybody_left_is_gone_on_with() {
    let credential = Scripted::living(HOUR, 10 * SECOND);
    let layer = layer().token_cache(cached(credential.clone()));
    for _ in 0..3 {
        assert!(timeout(3 * SECOND, used(&layer)).await.is_err(), "callers of little patience");
    }
    assert_eq!(used(&layer).await.expect("a token"), "Bearer t0");
    assert_eq!(credential.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_ahead_while_calls_go_on_with_the_old_one() {
    let credential = Scripted::living(HOUR, 2 * SECOND);
    let layer = layer().token_cache(cached(credential.clone()));
    // A leaf that takes longer than a token.
    let leaf = Leaf::default();
    let slow = ServiceBuilder::new().layer(layer.clone()).service_fn({
        let leaf = leaf.clone();
        move |request: Request<RequestBody>| {
            let leaf = leaf.clone();
            async move {
                sleep(5 * SECOND).await;
                leaf.oneshot(request).await
            }
        }
    });
    slow.clone().oneshot(chat()).await.expect("an answer");
    let first_expiry = layer.handle().snapshot().token.and_then(|token| token.expires_at).expect("it expires");
    sleep(HOUR - Duration::from_secs(290)).await;

    let start = Instant::now();
    slow.clone().oneshot(chat()).await.expect("an answer");
    assert_eq!(Instant::now() - start, 5 * SECOND, "nobody waits for a token while there is one");
    let token = layer.handle().snapshot().token.expect("a token");
    assert!(token.expires_at > Some(first_expiry) && token.obtained == 2 && !token.is_refreshing);
    slow.oneshot(chat()).await.expect("an answer");
    let used: Vec<_> = leaf.taken().iter().map(|request| authorization(request).map(str::to_owned)).collect();
    assert_eq!(used, ["Bearer t0", "Bearer t0", "Bearer t1"].map(|used| Some(used.to_owned())));
    assert_eq!(credential.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_few_and_end_at_once_never_wait_for_another_token_either() {
    let credential = Scripted::living(HOUR, SECOND / 3);
    let layer = layer().token_cache(cached(credential.clone()));
    used(&layer).await.expect("a token");
    for _ in 0..180 {
        sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        used(&layer).await.expect("a token");
        assert_eq!(Instant::now(), start);
    }
    assert_eq!((credential.asked(), layer.handle().snapshot().token.map(|token| token.failures)), (4, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_was_left_for_long_is_begun_anew_by_who_has_to_wait() {
    let credential =
        Scripted::new(20 * SECOND, |n| if n == 0 { Err(CredentialError::new("stale")) } else { Ok(token(n)) });
    let layer = layer().token_cache(cached(credential.clone()));
    assert!(timeout(SECOND, used(&layer)).await.is_err());
    sleep(31 * SECOND).await;
    assert_eq!(used(&layer).await.expect("a token"), "Bearer t1");
}

#[tokio::test(start_paused = true)]
async fn ten_processes_do_not_ask_at_the_same_instant() {
    let mut instants = std::collections::BTreeSet::new();
    for seed in 0..10 {
        let credential = Scripted::living(HOUR, Duration::ZERO);
        let layer = layer().token_cache(TokenCache::new(credential.clone()).seed(seed));
        let start = Instant::now();
        used(&layer).await.expect("a token");
        sleep(HOUR - Duration::from_secs(362)).await;
        while credential.asked() == 1 {
            used(&layer).await.expect("a token");
            sleep(Duration::from_millis(100)).await;
        }
        let after = Instant::now() - start;
        assert!((HOUR - Duration::from_secs(361)..HOUR - Duration::from_secs(299)).contains(&after), "{after:?}");
        instants.insert(after.as_millis());
    }
    assert!(instants.len() >= 8, "{instants:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_refresh_fails_no_call_while_the_token_is_good() {
    let credential = Scripted::new(Duration::ZERO, |n| match n {
        0 => Ok(token(0).expires_at(Instant::now() + 1_000 * SECOND)),
        _ => Err(CredentialError::new("the vault is sealed")),
    });
    let layer = layer().token_cache(cached(credential.clone()));
    let start = Instant::now();
    while Instant::now() < start + 1_000 * SECOND {
        assert_eq!(used(&layer).await.expect("the old one is good"), "Bearer t0");
        sleep(SECOND).await;
    }
    let asked = credential.asked();
    assert!((10..40).contains(&asked), "asked {asked} times in some 330 s: it pauses for up to 30 s");
    let rejected = no_credential(used(&layer).await);
    assert!(rejected.opens_at().is_some_and(|at| at > Instant::now()));
    assert!(!rejected.to_string().contains("sealed"), "what the credential says is not for callers");
    let token = layer.handle().snapshot().token.expect("a token");
    assert_eq!(token.last_failure.as_deref(), Some("no token could be obtained: the vault is sealed"));
    assert_eq!((token.is_good, token.failures), (false, credential.asked() as u64 - 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_token_calls_are_refused_until_the_next_try_and_a_balancer_knows() {
    let credential = Scripted::new(Duration::ZERO, |n| match n {
        0 | 1 => Err(CredentialError::new("not yet")),
        _ => Ok(token(n)),
    });
    let layer = layer().token_cache(cached(credential.clone()));
    let context = CallContext::of(&mut chat()).clone();
    let admission = |at| layer.availability().admission(&context, at);
    let now = Instant::now();
    assert_eq!(admission(now), Admission::At(now));
    let first = no_credential(used(&layer).await).opens_at().expect("an instant");
    assert!((now + SECOND..=now + 2 * SECOND).contains(&first));
    assert_eq!(admission(now), Admission::Shut(Some(first)));
    assert_eq!(admission(first), Admission::At(first));
    assert_eq!(no_credential(used(&layer).await).opens_at(), Some(first), "nobody asks before");
    assert_eq!(credential.asked(), 1);
    tokio::time::sleep_until(first).await;
    let second = no_credential(used(&layer).await).opens_at().expect("an instant");
    tokio::time::sleep_until(second).await;
    assert_eq!(used(&layer).await.expect("a token"), "Bearer t2");
    assert_eq!(layer.handle().snapshot().without_token, 3);
}

/// Panics, or never answers.
#[derive(Debug)]
struct Bad(bool);

impl Credential for Bad {
    fn token(&self) -> TokenFuture {
        let panics = self.0;
        Box::pin(async move {
            assert!(!panics, "on purpose");
            std::future::pending().await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_panics_or_hangs_has_failed() {
    for (panics, says) in [(true, "the credential panicked"), (false, "the credential did not answer in time")] {
        let layer = layer().token_cache(cached(Bad(panics)).patience(3 * SECOND));
        for _ in 0..2 {
            let rejected = no_credential(used(&layer).await);
            tokio::time::sleep_until(rejected.opens_at().expect("an instant")).await;
        }
        let token = layer.handle().snapshot().token.expect("a token");
        assert_eq!((token.failures, token.last_failure.as_deref()), (2, Some(says)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_margin_or_a_patience_without_end_works_all_the_same() {
    for tokens in [cached(Scripted::living(HOUR, SECOND)).margin(Duration::MAX).patience(Duration::MAX)] {
        let layer = layer().token_cache(tokens);
        for expected in ["Bearer t0", "Bearer t0", "Bearer t1"] {
            assert_eq!(used(&layer).await.expect("a token"), expected);
            sleep(HOUR / 2).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_while_the_service_below_was_not_ready_is_not_sent() {
    let layer = layer().token_cache(cached(Scripted::living(HOUR, SECOND)));
    let (inner, mut handle) = tower_test::mock::pair::<Request<RequestBody>, Response<Plain>>();
    handle.allow(0);
    let mut call = task::spawn(layer.layer(inner).oneshot(chat()));
    for passes in [SECOND, 2 * HOUR, SECOND] {
        assert_pending!(call.poll());
        advance(passes).await;
    }
    handle.allow(1);
    assert_pending!(call.poll(), "another token is asked for");
    advance(SECOND).await;
    assert_pending!(call.poll());
    let (arrived, respond) = handle.next_request().await.expect("a request");
    assert_eq!(authorization(&arrived), Some("Bearer t1"));
    respond.send_response(Response::default());
    assert_eq!(call.await.expect("an answer").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_token_is_refused_when_the_call_must_have_started() {
    let layer = layer().token_cache(cached(Scripted::living(HOUR, 10 * SECOND)));
    for (deadline, start_by, reason) in [(3, 5, Reason::Deadline), (5, 3, Reason::StartBy)] {
        let mut request = chat();
        let start = Instant::now();
        let context = CallContext::of(&mut request);
        context.tighten_deadline(start + deadline * SECOND);
        context.set_start_by(Some(start + start_by * SECOND));
        let error = support::sent(&layer, request).await.expect_err("too late");
        assert_eq!(error.rejected().map(Rejected::reason), Some(reason));
        assert_eq!(Instant::now() - start, 3 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_when_the_call_must_have_started_sends_nothing() {
    let layer = layer().token_cache(cached(Scripted::living(HOUR, 3 * SECOND)));
    let mut request = chat();
    let context = CallContext::of(&mut request);
    context.tighten_deadline(Instant::now() + 3 * SECOND);
    let mut call = task::spawn(support::sent(&layer, request));
    assert_pending!(call.poll());
    // Both are there when it is polled again.
    advance(3 * SECOND).await;
    let error = call.await.expect_err("too late");
    assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::Deadline));
    assert_eq!(layer.handle().snapshot().token.map(|token| token.obtained), Some(1), "the next call has it");
}

/// Entra, as the simulator issues its tokens.
#[derive(Debug, Clone)]
struct Entra {
    issuer: TokenIssuer,
    asked: Arc<AtomicUsize>,
}

impl Entra {
    fn new(issuer: &TokenIssuer) -> Self {
        Self { issuer: issuer.clone(), asked: Arc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

impl Credential for Entra {
    fn token(&self) -> TokenFuture {
        let Self { issuer, asked } = self.clone();
        Box::pin(async move {
            asked.fetch_add(1, SeqCst);
            let expires_at = Instant::now() + issuer.token_lifetime();
            let token = issuer.grant("app", "secret").ok_or_else(|| CredentialError::new("no such client"))?;
            Ok(Token::bearer(&token).map_err(CredentialError::new)?.expires_at(expires_at))
        })
    }
}

fn azure(issuer: &TokenIssuer) -> Simulator {
    Simulator::builder().token_issuer(issuer.clone()).deployment(Deployment::standard("gpt").model("gpt-4o")).build()
}

/// A call through an observed stack: the status, and what became of each attempt.
async fn observed(layer: &EndpointLayer, simulator: &Simulator) -> (u16, Vec<Outcome>) {
    observed_with(layer, simulator, |_| {}).await
}

async fn observed_with(
    layer: &EndpointLayer,
    simulator: &Simulator,
    change: impl FnOnce(&mut CallContext),
) -> (u16, Vec<Outcome>) {
    let service = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(layer.clone())
        .layer(ObserveLayer::new())
        .service(simulator.clone());
    let body = r#"{"model":"gpt","messages":[{"role":"user","content":"Hi"}],"max_tokens":3}"#;
    let mut request = Request::post("/v1/chat/completions").body(Plain::from(body)).expect("a request");
    change(CallContext::of(&mut request));
    let context = CallContext::of(&mut request).clone();
    let response = service.oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    response.into_body().collect().await.expect("a whole answer");
    let outcomes = context.attempts().iter().filter_map(|attempt| Some(attempt.verdict()?.outcome)).collect();
    (status, outcomes)
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_and_the_call_sent_once_more_as_an_attempt_of_its_own() {
    let issuer = TokenIssuer::new();
    let (simulator, entra) = (azure(&issuer), Entra::new(&issuer));
    let layer = layer().token_cache(cached(entra.clone()));
    assert_eq!(observed(&layer, &simulator).await, (200, vec![Outcome::Success]));
    issuer.revoke_all();
    assert_eq!(observed(&layer, &simulator).await, (200, vec![Outcome::Misconfigured, Outcome::Success]));
    assert_eq!((entra.asked(), simulator.journal().len()), (2, 3));
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.sent_again, snapshot.token.expect("a token").given_up), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_holds_the_attempt_judges_by_the_send_that_counts() {
    let issuer = TokenIssuer::new();
    let simulator = azure(&issuer);
    let layer = layer().token_cache(cached(Entra::new(&issuer)));
    observed(&layer, &simulator).await;
    issuer.revoke_all();
    let mut held = None;
    observed_with(&layer, &simulator, |context| held = Some(context.begin_attempt())).await;
    let held = held.expect("an attempt");
    assert_eq!(held.verdict().map(|verdict| verdict.outcome), Some(Outcome::Success));
    assert!(held.usage().is_some());
}

#[tokio::test(start_paused = true)]
async fn many_calls_refused_together_are_one_request_for_a_token() {
    let issuer = TokenIssuer::new();
    let (simulator, entra) = (azure(&issuer), Entra::new(&issuer));
    let layer = layer().token_cache(cached(entra.clone()));
    observed(&layer, &simulator).await;
    issuer.revoke_all();
    let calls = join_all((0..20).map(|_| observed(&layer, &simulator))).await;
    assert!(calls.iter().all(|(status, _)| *status == 200));
    assert_eq!(entra.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_the_wrong_audience_is_asked_for_anew_once_and_then_let_be() {
    let (issuer, elsewhere) = (TokenIssuer::new(), TokenIssuer::new());
    let (simulator, entra) = (azure(&issuer), Entra::new(&elsewhere));
    let layer = layer().token_cache(cached(entra.clone()));
    let refused = Outcome::Misconfigured;
    assert_eq!(observed(&layer, &simulator).await, (401, vec![refused, refused]));
    assert_eq!(entra.asked(), 2);
    for _ in 0..29 {
        sleep(SECOND).await;
        assert_eq!(observed(&layer, &simulator).await, (401, vec![refused]));
    }
    assert_eq!(entra.asked(), 2, "no storm on the identity provider");
    sleep(SECOND).await;
    assert_eq!(observed(&layer, &simulator).await, (401, vec![refused, refused]));
}

#[tokio::test(start_paused = true)]
async fn over_a_day_no_call_fails_and_a_token_is_asked_for_once_an_hour() {
    let issuer = TokenIssuer::new();
    let (simulator, entra) = (azure(&issuer), Entra::new(&issuer));
    let layer = layer().token_cache(cached(entra.clone()));
    let start = Instant::now();
    while Instant::now() < start + 24 * HOUR {
        assert_eq!(observed(&layer, &simulator).await.0, 200);
        sleep(Duration::from_secs(40)).await;
    }
    assert!((25..=28).contains(&entra.asked()), "{}", entra.asked());
    assert_eq!(layer.handle().snapshot().sent_again, 0);
}

#[tokio::test(start_paused = true)]
async fn r1_an_owner_without_attempts_left_gets_the_401_itself() {
    let issuer = TokenIssuer::new();
    let (simulator, entra) = (azure(&issuer), Entra::new(&issuer));
    let layer = layer().token_cache(cached(entra.clone()));
    observed(&layer, &simulator).await;
    issuer.revoke_all();
    let owned = |left| {
        move |context: &mut CallContext| {
            context.set_retries_owned(true);
            context.set_attempts_left(Some(left));
        }
    };
    assert_eq!(observed_with(&layer, &simulator, owned(0)).await, (401, vec![Outcome::Misconfigured]));
    assert_eq!(observed_with(&layer, &simulator, owned(0)).await.0, 200, "the token was given up all the same");
    sleep(30 * SECOND).await;
    issuer.revoke_all();
    assert_eq!(observed_with(&layer, &simulator, owned(1)).await.0, 200);
    assert_eq!(entra.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_401_stands_where_no_other_token_came_of_it() {
    for (credential, asked) in [
        (Scripted::new(Duration::ZERO, |_| Ok(token(0))), 2),
        (Scripted::new(Duration::ZERO, |n| if n == 0 { Ok(token(0)) } else { Err(CredentialError::new("no")) }), 2),
    ] {
        let layer = layer().token_cache(cached(credential.clone()));
        let sends = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sends);
        let service = layer.layer(service_fn(move |_: Request<RequestBody>| {
            counter.fetch_add(1, SeqCst);
            let response = Response::builder().status(StatusCode::UNAUTHORIZED).header("x-why", "because");
            std::future::ready(response.body(Plain::from("no")).map_err(Error::flatten))
        }));
        let response = service.oneshot(chat()).await.expect("an answer");
        assert_eq!((response.status().as_u16(), &response.headers()["x-why"]), (401, &"because".parse().unwrap()));
        assert_eq!(response.into_body().collect().await.expect("its body").to_bytes(), "no");
        assert_eq!((sends.load(SeqCst), credential.asked()), (1, asked));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_never_asked_for_anew() {
    let issuer = TokenIssuer::new();
    let simulator = azure(&issuer);
    let layer = layer().credential(Token::api_key("wrong").expect("a key"));
    assert_eq!(observed(&layer, &simulator).await, (401, vec![Outcome::Misconfigured]));
    let token = layer.handle().snapshot().token.expect("a token");
    assert_eq!((token.obtained, token.given_up, token.is_good), (1, 0, true));
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_share_a_cache_share_its_token() {
    let credential = Scripted::living(HOUR, SECOND);
    let tokens = cached(credential.clone());
    let [east, west] = [layer(), layer()].map(|layer| layer.token_cache(tokens.clone()));
    let (one, other) = futures_util::future::join(used(&east), used(&west)).await;
    assert_eq!((one.expect("a token"), other.expect("a token")), ("Bearer t0".to_owned(), "Bearer t0".to_owned()));
    assert_eq!(credential.asked(), 1);
    assert_eq!(east.handle().snapshot().token, west.handle().snapshot().token);
}

#[tokio::test(start_paused = true)]
async fn other_answers_than_a_401_are_left_alone() {
    let issuer = TokenIssuer::new();
    let (simulator, entra) = (azure(&issuer), Entra::new(&issuer));
    let layer = layer().token_cache(cached(entra.clone()));
    for status in [400, 403, 404, 429, 500, 503] {
        simulator.script("gpt").then(Answer::status(status));
        let (answered, outcomes) = observed(&layer, &simulator).await;
        assert_eq!((answered, outcomes.len()), (status, 1));
    }
    assert_eq!(entra.asked(), 1);
}
