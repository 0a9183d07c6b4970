//! One request, from its arrival to what is to be answered and when.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, request::Parts};
use tokio::time::Instant;

use crate::{
    SimulatedBody,
    answer::{
        Answer,
        errors::{self, Failure, Hint},
        headers::{self, Ids},
        id_prefix, refused_stream,
        stream::Playback,
    },
    deployment::{Charge, Deployment, HeaderStyle, Quota, RetryHints},
    draw::Draws,
    journal::{Ending, Served},
    latency::Times,
    quota::{QuotaSnapshot, Refusal, RefusalReason, TokenLimit},
    request::{self, Ask, Operation, Route},
    script::{Kind, Scripted, StreamFault},
    state::{Shared, State},
    ticket::{Settlement, Ticket},
};

/// What becomes of a request.
pub(crate) struct Serving {
    pub(crate) ticket: Ticket,
    /// From the arrival to the head of the answer.
    pub(crate) wait: Duration,
    pub(crate) verdict: Verdict,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every verdict is an answer"
)]
pub(crate) enum Verdict {
    Answer(Response<SimulatedBody>),
    Reset,
    Hang,
}

/// What was read of a request.
struct Read {
    route: Option<Route>,
    ask: Result<Ask, Failure>,
}

/// The decision, before it is written.
enum Decision {
    Failure(Failure, Hint),
    Success(Option<(u64, StreamFault)>),
    Raw(Vec<Bytes>, Hint),
    Reset,
    Hang,
}

/// Everything the decision leaves to be written down.
struct Decided {
    decision: Decision,
    reserved: u64,
    refused: Option<RefusalReason>,
    snapshot: QuotaSnapshot,
    slowness: f64,
}

/// Serves a request that is here with its whole body (`None`: it was too large to read).
pub(crate) fn serve(
    shared: &Arc<Shared>,
    parts: &Parts,
    body: Option<Bytes>,
    now: Instant,
) -> Serving {
    let read = read(shared, parts, body);
    let deployment = read
        .route
        .as_ref()
        .and_then(|route| route.deployment.clone());
    let index = deployment.as_deref().and_then(|name| shared.find(name));
    let known = index.and_then(|index| shared.config.deployments.get(index));

    let mut state = shared.state.lock();
    let sequence = state.journal.next();
    let mut draws = Draws::of(shared.config.seed, sequence);
    let ids = Ids {
        apim: draws.uuid(),
        request: draws.uuid(),
        client: parts.headers.get("x-ms-client-request-id").cloned(),
    };
    let length = completion_length(shared, known, &read, &mut draws);
    let authorised = authorised(shared, &parts.headers);
    let named = deployment.as_deref().filter(|_| authorised);
    let scripted = named.and_then(|name| state.scripted(name, now, &mut draws));
    // A script may name a deployment that was not built.
    let stand_in = named
        .filter(|_| scripted.is_some())
        .map(Deployment::unlimited);
    let deployed = known.or(stand_in.as_ref());
    let asked = Asked {
        shared,
        read: &read,
        deployed,
        index,
        authorised,
        ids: &ids,
        length,
    };
    let decided = asked.decide(&mut state, scripted.as_ref(), now, &mut draws);
    let operation = read
        .route
        .as_ref()
        .map_or(Operation::Unknown, |route| route.operation);
    let (status, hint) = match &decided.decision {
        Decision::Failure(failure, hint) => (Some(failure.status), *hint),
        Decision::Raw(_, hint) => (Some(StatusCode::OK), *hint),
        Decision::Success(_) => (Some(StatusCode::OK), Hint::default()),
        Decision::Reset | Decision::Hang => (None, Hint::default()),
    };
    let ask = read.ask.as_ref().ok();
    let succeeded = matches!(decided.decision, Decision::Success(_));
    let completion = if succeeded {
        asked.completion_tokens()
    } else {
        0
    };
    state.journal.push(Served {
        sequence,
        deployment,
        operation,
        stream: ask.is_some_and(|ask| ask.stream),
        arrived: now,
        first_byte: None,
        first_content: None,
        ended: None,
        status,
        refused: decided.refused,
        prompt_tokens: ask.map_or(0, |ask| ask.prompt_tokens),
        completion_tokens: completion,
        reserved: decided.reserved,
        retry_hint: hint.told(),
        scripted: scripted.is_some(),
        client_request_id: ids.client.clone(),
        ending: Ending::Pending,
    });
    drop(state);
    tracing::trace!(sequence, ?status, refused = ?decided.refused, "simulated request arrived");

    let settlement = index
        .zip(ask)
        .filter(|_| succeeded)
        .map(|(deployment, ask)| Settlement {
            deployment,
            reserved: decided.reserved,
            used: Charge {
                prompt: ask.prompt_tokens,
                cached: ask.cached_tokens,
                output: completion,
            },
        });
    let ticket = Ticket::new(Arc::clone(shared), sequence, settlement);
    let (wait, verdict) = asked.write(decided, scripted, now, &mut draws);
    Serving {
        ticket,
        wait,
        verdict,
    }
}

fn read(shared: &Shared, parts: &Parts, body: Option<Bytes>) -> Read {
    let Some(mut route) = Route::read(&parts.method, &parts.uri) else {
        return Read {
            route: None,
            ask: Err(Failure::not_found()),
        };
    };
    let Some(body) = body else {
        return Read {
            route: Some(route),
            ask: Err(Failure::body_too_large()),
        };
    };
    let ask = request::object(&body).and_then(|fields| {
        if route.deployment.is_none() {
            route.deployment = Some(request::model(&fields)?);
        }
        request::ask(parts, &route, &fields, &*shared.config.counter)
    });
    Read {
        route: Some(route),
        ask,
    }
}

fn authorised(shared: &Shared, headers: &HeaderMap) -> bool {
    let keys = &shared.config.keys;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    keys.is_empty()
        || [text("api-key"), bearer]
            .into_iter()
            .flatten()
            .any(|given| keys.iter().any(|key| key == given))
}

/// Tokens of each choice before any limit: what the request's header says, or a draw. The draw is
/// made in any case, so that a header does not disturb what is drawn after it.
fn completion_length(
    shared: &Shared,
    known: Option<&Deployment>,
    read: &Read,
    draws: &mut Draws,
) -> u64 {
    let length = known.and_then(|deployment| deployment.completion_length);
    let drawn = length
        .unwrap_or(shared.config.completion_length)
        .draw(draws);
    let dictated = read.ask.as_ref().ok().and_then(|ask| ask.completion_tokens);
    // A dictated length is bounded like a drawn one, or a header could ask for terabytes.
    dictated.unwrap_or(drawn).min(1_000_000)
}

impl State {
    fn scripted(&mut self, deployment: &str, now: Instant, draws: &mut Draws) -> Option<Scripted> {
        let named = self.scenes.get_mut(deployment);
        named
            .and_then(|scene| scene.take(now, draws))
            .or_else(|| self.any_scene.take(now, draws))
    }
}

/// A request with all that is known of it.
struct Asked<'a> {
    shared: &'a Shared,
    read: &'a Read,
    deployed: Option<&'a Deployment>,
    index: Option<usize>,
    authorised: bool,
    ids: &'a Ids,
    /// Tokens of each choice, before any limit.
    length: u64,
}

impl Asked<'_> {
    /// Decides, and books what the decision costs.
    fn decide(
        &self,
        state: &mut State,
        scripted: Option<&Scripted>,
        now: Instant,
        draws: &mut Draws,
    ) -> Decided {
        let slowness = self
            .index
            .and_then(|index| state.slowness.get(index))
            .copied();
        let quota = self.index.and_then(|index| state.quotas.get_mut(index));
        let quota = quota.filter(|_| self.authorised);
        let mut none = Quota::Unlimited;
        let quota = quota.unwrap_or(&mut none);
        let mut decided = Decided {
            decision: Decision::Hang,
            reserved: 0,
            refused: None,
            snapshot: QuotaSnapshot::Unlimited,
            slowness: slowness.unwrap_or(1.0),
        };
        decided.decision = match (
            scripted.and_then(|scripted| self.dictated(scripted)),
            self.check(),
        ) {
            (Some(dictated), _) => {
                quota.count_failed(now);
                dictated
            }
            (None, Err(failure)) => {
                // Azure's documentation: requests that fail may count toward the limit.
                quota.count_failed(now);
                Decision::Failure(failure, Hint::default())
            }
            (None, Ok((deployment, route, ask))) => {
                let charge = charge(deployment, route, ask, draws);
                if let Some(Scripted {
                    kind: Kind::Usual(fault),
                    ..
                }) = scripted
                {
                    decided.reserved = quota.force(now, charge);
                    self.usual(ask, *fault)
                } else {
                    let (cost, admitted) = quota.admit(now, charge);
                    decided.reserved = cost;
                    match admitted {
                        Ok(()) => Decision::Success(None),
                        Err(refusal) => {
                            decided.refused = Some(refusal.reason);
                            self.refuse(deployment, route, ask, refusal)
                        }
                    }
                }
            }
        };
        decided.snapshot = quota.snapshot(now);
        decided
    }

    /// What is wrong with the request itself, in the order in which Azure finds it.
    fn check(&self) -> Result<(&Deployment, &Route, &Ask), Failure> {
        if !self.authorised {
            return Err(Failure::wrong_key());
        }
        let Some(route) = &self.read.route else {
            return Err(Failure::not_found());
        };
        let Some(deployment) = self.deployed else {
            return Err(match (&self.read.ask, &route.deployment) {
                (Err(failure), None) => failure.clone(),
                _ => Failure::no_deployment(route.style),
            });
        };
        let ask = self.read.ask.as_ref().map_err(Clone::clone)?;
        let model = deployment.facts();
        if !model.supports(route.operation) {
            return Err(Failure::unsupported(route.operation, &deployment.model));
        }
        if let Some(limit) = ask.max_output
            && route.operation != Operation::Embeddings
            && limit > model.max_output
        {
            return Err(Failure::output_too_large(
                ask.max_output_field,
                model.max_output,
                limit,
            ));
        }
        let provisioned = deployment.is_provisioned();
        if let Some(limit) = model.provisioned_prompt_limit.filter(|_| provisioned)
            && ask.prompt_tokens > limit
        {
            return Err(Failure::context_length(limit, ask.prompt_tokens, None));
        }
        let window = model.context_window;
        if ask
            .prompt_tokens
            .saturating_add(ask.max_output.unwrap_or(0))
            > window
        {
            let output = ask.max_output.filter(|_| ask.prompt_tokens <= window);
            return Err(Failure::context_length(window, ask.prompt_tokens, output));
        }
        Ok((deployment, route, ask))
    }

    /// A scripted answer that needs nothing of the request.
    fn dictated(&self, scripted: &Scripted) -> Option<Decision> {
        Some(match &scripted.kind {
            Kind::Usual(_) => return None,
            Kind::Hang => Decision::Hang,
            Kind::Reset => Decision::Reset,
            Kind::Events(frames) => Decision::Raw(frames.clone(), Hint::default()),
            Kind::Failure(failure) => Decision::Failure(failure.clone(), Hint::default()),
            Kind::Status(status) => {
                let failure = Failure::of_status(*status, &self.ids.request);
                Decision::Failure(failure, Hint::default())
            }
            Kind::RateLimited(hint) => {
                let refusal = Refusal {
                    reason: RefusalReason::Tokens,
                    retry_after: Duration::ZERO,
                };
                let (deployment, route) = self.deployed.zip(self.read.route.as_ref())?;
                Decision::Failure(
                    errors::refused(deployment, route, refusal, hint.seconds),
                    *hint,
                )
            }
            Kind::RefusedStream(after) => {
                let hint = Hint::of(*after, RetryHints::Seconds, true);
                Decision::Raw(
                    self.refused_events(self.deployed?, RefusalReason::Tokens),
                    hint,
                )
            }
        })
    }

    /// An answer as usual that is to go wrong: one that is not streamed has no room for an error
    /// inside it.
    fn usual(&self, ask: &Ask, fault: Option<(u64, StreamFault)>) -> Decision {
        match fault {
            Some((_, StreamFault::Error)) if !ask.stream => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let failure = Failure::of_status(status, &self.ids.request);
                Decision::Failure(failure, Hint::default())
            }
            fault => Decision::Success(fault),
        }
    }

    fn refuse(
        &self,
        deployment: &Deployment,
        route: &Route,
        ask: &Ask,
        refusal: Refusal,
    ) -> Decision {
        let bucket = matches!(
            deployment.token_limit,
            TokenLimit::Bucket | TokenLimit::BucketOf(_)
        );
        let round_up = refusal.reason != RefusalReason::Tokens || !bucket;
        let hints = match (deployment.retry_hints, refusal.reason) {
            (_, RefusalReason::Utilisation) => RetryHints::Milliseconds,
            _ if deployment.header_style == HeaderStyle::MinusOne => RetryHints::Absent,
            // A day is said in seconds.
            (RetryHints::Milliseconds | RetryHints::ZeroMilliseconds, RefusalReason::TooLarge) => {
                RetryHints::Seconds
            }
            (hints, _) => hints,
        };
        let hint = Hint::of(refusal.retry_after, hints, round_up);
        let inside = deployment.refuse_in_stream && !deployment.is_provisioned();
        if inside && ask.stream && route.operation == Operation::Responses {
            return Decision::Raw(self.refused_events(deployment, refusal.reason), hint);
        }
        Decision::Failure(
            errors::refused(deployment, route, refusal, hint.seconds),
            hint,
        )
    }

    fn refused_events(&self, deployment: &Deployment, reason: RefusalReason) -> Vec<Bytes> {
        let message = errors::typed_message(deployment, reason);
        let id = format!("resp_{}", self.ids.request.replace('-', ""));
        refused_stream(
            &id,
            self.shared.config.unix_time,
            &deployment.model,
            &message,
        )
    }

    /// Tokens of one choice, and whether the request's limit cut them.
    fn choice_tokens(&self, ask: &Ask) -> (u64, bool) {
        let limit = ask
            .max_output
            .or_else(|| self.deployed.map(|deployed| deployed.facts().max_output));
        let limit = limit.unwrap_or(u64::MAX);
        (self.length.min(limit), self.length > limit)
    }

    /// Tokens of all choices.
    fn completion_tokens(&self) -> u64 {
        let operation = self.read.route.as_ref().map(|route| route.operation);
        match &self.read.ask {
            Ok(ask) if operation != Some(Operation::Embeddings) => {
                self.choice_tokens(ask).0.saturating_mul(ask.choices)
            }
            _ => 0,
        }
    }

    /// Writes the answer down: when its head goes out, and what it is.
    fn write(
        &self,
        decided: Decided,
        scripted: Option<Scripted>,
        now: Instant,
        draws: &mut Draws,
    ) -> (Duration, Verdict) {
        let (delay, extra) = scripted.map_or((None, None), |scripted| {
            (scripted.delay, Some(scripted.headers))
        });
        let latency = self.deployed.and_then(|deployed| deployed.latency.as_ref());
        let latency = latency.unwrap_or(&self.shared.config.latency);
        let refusal = delay.unwrap_or(latency.refusal);
        let mut hint = Hint::default();
        let (wait, status, content_type, body) = match decided.decision {
            Decision::Hang => return (Duration::ZERO, Verdict::Hang),
            Decision::Reset => return (refusal, Verdict::Reset),
            Decision::Failure(failure, told) => {
                hint = told;
                let body = SimulatedBody::whole(failure.body);
                (refusal, failure.status, failure.content_type, body)
            }
            Decision::Raw(frames, told) => {
                hint = told;
                let playback = Playback::raw(frames, now + refusal);
                (
                    refusal,
                    StatusCode::OK,
                    EVENT_STREAM,
                    SimulatedBody::stream(playback),
                )
            }
            Decision::Success(fault) => {
                let Ok(ask) = &self.read.ask else {
                    return (Duration::ZERO, Verdict::Reset);
                };
                let mut times = latency.draw(ask.prompt_tokens, decided.slowness, draws);
                if let Some(delay) = delay {
                    times = Times {
                        head: delay,
                        first: delay,
                        ..times
                    };
                }
                let (wait, kind, body) = self.success(ask, fault, times, now, draws);
                (wait, StatusCode::OK, kind, body)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let deployed = self.deployed;
        let region = deployed.map(|deployed| &*deployed.region);
        headers::common(
            headers,
            self.ids,
            region,
            deployed.map(|deployed| &*deployed.name),
        );
        headers::set(headers, header::CONTENT_TYPE.as_str(), content_type);
        if let Some(deployed) = deployed.filter(|_| self.authorised) {
            let (style, hints) = (deployed.header_style, deployed.retry_hints);
            headers::quota(headers, &decided.snapshot, style, hints, decided.refused);
        }
        headers::hint(headers, hint);
        headers.extend(extra.unwrap_or_default());
        (wait, Verdict::Answer(response))
    }

    fn success(
        &self,
        ask: &Ask,
        fault: Option<(u64, StreamFault)>,
        times: Times,
        now: Instant,
        draws: &mut Draws,
    ) -> (Duration, &'static str, SimulatedBody) {
        let operation = self
            .read
            .route
            .as_ref()
            .map_or(Operation::Unknown, |route| route.operation);
        let embeddings = operation == Operation::Embeddings;
        let (tokens, cut) = if embeddings {
            (0, false)
        } else {
            self.choice_tokens(ask)
        };
        let age = now.saturating_duration_since(self.shared.config.started);
        let answer = Answer {
            operation,
            id: format!("{}{}", id_prefix(operation), draws.hex(32)),
            fingerprint: format!("fp_{}", draws.hex(10)),
            created: self.shared.config.unix_time.saturating_add(age.as_secs()),
            model: self
                .deployed
                .map_or_else(String::new, |deployed| deployed.model.to_string()),
            choices: ask.choices,
            tokens,
            cut,
            prompt_tokens: ask.prompt_tokens,
            cached_tokens: ask.cached_tokens,
            annotations: self.deployed.is_some_and(|deployed| deployed.annotations),
        };
        if ask.stream {
            let playback = Playback::new(&answer, ask.include_usage, now, times, fault);
            return (times.head, EVENT_STREAM, SimulatedBody::stream(playback));
        }
        let body = match fault {
            Some((_, StreamFault::Cut)) => SimulatedBody::broken(),
            Some((_, StreamFault::Stall)) => SimulatedBody::stream(Playback::stalled(now)),
            _ => SimulatedBody::whole(answer.whole(ask, draws)),
        };
        (times.last(tokens), "application/json", body)
    }
}

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// What this request is charged at arrival.
fn charge(deployment: &Deployment, route: &Route, ask: &Ask, draws: &mut Draws) -> Charge {
    let estimate = &deployment.estimate;
    let normal = draws.normal();
    let prompt = if ask.dictated {
        estimate.prompt_counted(ask.prompt_tokens, normal)
    } else {
        estimate.charge(ask.characters, Some(0), 0, normal)
    };
    let output = match route.operation {
        Operation::Embeddings => 0,
        _ => estimate.output(ask.max_output, ask.charged_choices),
    };
    Charge {
        prompt,
        cached: ask.cached_tokens.min(prompt),
        output,
    }
}
