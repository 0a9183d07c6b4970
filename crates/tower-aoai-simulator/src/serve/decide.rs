use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::{Read, spill::Spill};
use crate::{
    answer::{
        Content, Finish,
        errors::Failure,
        headers::Ids,
        known_model, models,
        refusal::{Hint, refused, typed_message},
        refused_stream,
    },
    booking::{Charge, Quota},
    deployment::{Deployment, HeaderStyle, Quirks, RetryHints},
    draw::Draws,
    models::Model,
    quota::{QuotaSnapshot, Refusal, RefusalReason, TokenLimit},
    request::{Ask, Operation, Route},
    script::{Kind, Scripted, StreamFault},
    state::{Shared, State},
};

/// The decision, before it is written.
pub(super) enum Decision {
    Failure(Failure, Hint),
    Success(Option<(u64, StreamFault)>),
    /// A 200 that needs no model.
    Whole(Bytes),
    Raw(Vec<Bytes>, Hint),
    Reset,
    Hang,
}

/// Everything the decision leaves to be written down.
pub(super) struct Decided {
    pub(super) decision: Decision,
    pub(super) reserved: u64,
    pub(super) refused: Option<RefusalReason>,
    pub(super) snapshot: QuotaSnapshot,
    pub(super) slowness: f64,
    pub(super) spill: Spill,
}

/// A request with all that is known of it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) shared: &'a Shared,
    pub(super) read: &'a Read,
    pub(super) deployed: Option<&'a Deployment>,
    /// What is known of its model.
    pub(super) model: Option<Model>,
    pub(super) index: Option<usize>,
    /// Whether the request may come in, and if not, how it is told.
    pub(super) access: &'a Result<(), Failure>,
    pub(super) ids: &'a Ids,
    /// Tokens of each choice, before any limit.
    pub(super) length: u64,
    pub(super) content: &'a Content,
    /// The content filter blocks the answer after so many tokens.
    pub(super) filtered_after: Option<u64>,
    pub(super) quirks: Quirks,
}

impl Asked<'_> {
    /// Decides, and books what the decision costs.
    pub(super) fn decide(
        &self,
        state: &mut State,
        scripted: Option<&Scripted>,
        now: Instant,
        draws: &mut Draws,
    ) -> Decided {
        let slowness = self.index.and_then(|index| state.slowness.get(index)).copied();
        let quota = self.index.and_then(|index| state.quotas.get_mut(index));
        let quota = quota.filter(|_| self.access.is_ok());
        let mut none = Quota::Unlimited;
        let quota = quota.unwrap_or(&mut none);
        let mut decided = Decided {
            decision: Decision::Hang,
            reserved: 0,
            refused: None,
            snapshot: QuotaSnapshot::Unlimited,
            slowness: slowness.unwrap_or(1.0),
            spill: Spill::default(),
        };
        if let Some(answered) = self.models() {
            decided.decision = answered;
            return decided;
        }
        decided.decision = match (scripted.and_then(|scripted| self.dictated(scripted)), self.check()) {
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
                if let Some(Scripted { kind: Kind::Usual(fault), .. }) = scripted {
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

    /// The answer to a question about models, if it is one.
    fn models(&self) -> Option<Decision> {
        let route = self.read.route.as_ref()?;
        if route.operation != Operation::Models || self.access.is_err() {
            return None;
        }
        let config = &self.shared.config;
        let answer = match &route.model {
            None => Some(models(&config.deployments, config.unix_time)),
            Some(name) => known_model(&config.deployments, name, config.unix_time),
        };
        Some(match answer {
            Some(answer) => Decision::Whole(answer.to_string().into()),
            None => Decision::Failure(Failure::not_found(), Hint::default()),
        })
    }

    /// What is wrong with the request itself, in the order in which Azure finds it.
    fn check(&self) -> Result<(&Deployment, &Route, &Ask), Failure> {
        self.access.clone()?;
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
        let model = self.model.unwrap_or_else(|| deployment.facts());
        if !model.supports(route.operation) {
            return Err(Failure::unsupported(route.operation, &deployment.model));
        }
        if let Some(limit) = ask.max_output
            && route.operation != Operation::Embeddings
            && limit > model.max_output
        {
            return Err(Failure::output_too_large(ask.max_output_field, model.max_output, limit));
        }
        let provisioned = deployment.is_provisioned();
        if let Some(limit) = model.provisioned_prompt_limit.filter(|_| provisioned)
            && ask.prompt_tokens > limit
        {
            return Err(Failure::context_length(limit, ask.prompt_tokens, None));
        }
        let window = model.context_window;
        if ask.prompt_tokens.saturating_add(ask.max_output.unwrap_or(0)) > window {
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
            Kind::ContentFilter => {
                let operation = self.read.route.as_ref().map(|route| route.operation);
                let failure = if operation == Some(Operation::Responses) {
                    Failure::response_content_filter()
                } else {
                    Failure::content_filter()
                };
                Decision::Failure(failure, Hint::default())
            }
            Kind::Status(status) => {
                let failure = Failure::of_status(*status, &self.ids.request);
                Decision::Failure(failure, Hint::default())
            }
            Kind::RateLimited(hint) => {
                let (deployment, route) = self.deployed.zip(self.read.route.as_ref())?;
                let reason =
                    if deployment.is_provisioned() { RefusalReason::Utilisation } else { RefusalReason::Tokens };
                let failure = refused(deployment, route, reason, hint.seconds);
                Decision::Failure(failure, *hint)
            }
            Kind::RefusedStream(after) => {
                let hint = Hint::of(*after, RetryHints::Seconds, true);
                Decision::Raw(self.refused_events(self.deployed?, RefusalReason::Tokens), hint)
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

    fn refuse(&self, deployment: &Deployment, route: &Route, ask: &Ask, refusal: Refusal) -> Decision {
        let bucket = matches!(deployment.token_limit, TokenLimit::Bucket | TokenLimit::BucketOf(_));
        let round_up = refusal.reason != RefusalReason::Tokens || !bucket;
        let hints = match (self.quirks.hints, refusal.reason) {
            (_, RefusalReason::Utilisation) => RetryHints::Milliseconds,
            _ if self.quirks.style == HeaderStyle::MinusOne => RetryHints::Absent,
            // A day is said in seconds.
            (RetryHints::Milliseconds | RetryHints::ZeroMilliseconds, RefusalReason::TooLarge) => RetryHints::Seconds,
            (hints, _) => hints,
        };
        let hint = Hint::of(refusal.retry_after, hints, round_up);
        let inside = deployment.refuse_in_stream && !deployment.is_provisioned();
        if inside && ask.stream && route.operation == Operation::Responses {
            return Decision::Raw(self.refused_events(deployment, refusal.reason), hint);
        }
        Decision::Failure(refused(deployment, route, refusal.reason, hint.seconds), hint)
    }

    fn refused_events(&self, deployment: &Deployment, reason: RefusalReason) -> Vec<Bytes> {
        let message = typed_message(deployment, reason);
        let id = format!("resp_{}", self.ids.request.replace('-', ""));
        refused_stream(&id, self.shared.config.unix_time, &deployment.model, &message)
    }

    /// Tokens of one choice, and why there are no more.
    pub(super) fn choice_tokens(&self, ask: &Ask) -> (u64, Finish) {
        let limit = ask.max_output.or_else(|| self.model.map(|model| model.max_output));
        let limit = limit.unwrap_or(u64::MAX);
        let tokens = self.length.min(limit);
        if let Some(blocked) = self.filtered_after {
            return (tokens.min(blocked), Finish::ContentFilter);
        }
        let finish = match self.content {
            _ if self.length > limit => Finish::Length,
            // So it is documented: who names the tool is told that the model stopped.
            Content::Calls(calls) if !calls.iter().any(|call| call.by_name) => Finish::ToolCalls,
            _ => Finish::Stop,
        };
        (tokens, finish)
    }

    /// Tokens of all choices.
    pub(super) fn completion_tokens(&self) -> u64 {
        let operation = self.read.route.as_ref().map(|route| route.operation);
        match &self.read.ask {
            Ok(ask) if operation != Some(Operation::Embeddings) => {
                self.choice_tokens(ask).0.saturating_mul(ask.choices)
            }
            _ => 0,
        }
    }
}

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
    Charge { prompt, cached: ask.cached_tokens.min(prompt), output }
}
