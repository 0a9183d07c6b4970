//! What one attempt has cost.

use std::sync::Arc;

use http::StatusCode;
use tower_aoai_core::{Attempt, Call, Operation, Outcome, Usage};

use crate::{Column, DeploymentType, Prices, Rates, ServiceTier, Spend, Tag, Tags, Tokens, UnknownPrice, price::Quote};

/// Bytes of a prompt for one token, where the server did not count them: fewer than English, code or Chinese have on
/// average, so that the estimate is rather too high.
pub(crate) const BYTES_PER_TOKEN: u64 = 3;

/// The output that is assumed of a call that sets no limit and of which nothing was seen: what Azure documents as the
/// default of gpt-4o.
pub(crate) const ASSUMED_OUTPUT: u64 = 4_096;

/// What is known of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    usage: Option<Usage>,
    model: Option<Arc<str>>,
    service_tier: Option<Arc<str>>,
    deployment: Option<Arc<str>>,
    /// Azure let a standard deployment serve what was sent to a provisioned one.
    is_spilled: bool,
    endpoint: Option<Arc<str>>,
    status: Option<StatusCode>,
    outcome: Option<Outcome>,
    content_events: u64,
    has_content: bool,
}

impl Seen {
    pub(crate) fn of(attempt: &Attempt) -> Self {
        attempt.look(|state| Self {
            usage: state.usage,
            model: state.model.clone(),
            service_tier: state.service_tier.clone(),
            deployment: state.deployment.clone(),
            is_spilled: state.spilled_from.is_some(),
            endpoint: state.endpoint.clone(),
            status: state.status,
            outcome: state.progress.verdict.map(|verdict| verdict.outcome),
            content_events: state.progress.content_events,
            has_content: state.progress.first_content.is_some(),
        })
    }

    /// Of an answer that nobody observed there is only the head, if there is one.
    pub(crate) fn unobserved(status: Option<StatusCode>) -> Self {
        Self { status, ..Self::default() }
    }

    /// Says which status the caller saw, of an attempt that was judged by it and not observed.
    pub(crate) fn answered(&mut self, status: Option<StatusCode>) {
        if self.status.is_none() && matches!(self.outcome, Some(Outcome::Refused | Outcome::ContextLength)) {
            self.status = status;
        }
    }

    /// So many tokens the server counted in the prompt.
    pub(crate) fn counted_input(&self) -> Option<u64> {
        self.usage.map(|usage| usage.input)
    }
}

/// How much of an attempt without a usage may be billed.
///
/// Azure documents that a call may be charged whose status is not 200: one that the content filter refused or whose input
/// was too long (400), and one that ran out of time (408). What has no status may have been served all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Billed {
    Nothing,
    Prompt,
    Whole,
}

fn billed(seen: &Seen) -> Billed {
    let is_refused = matches!(seen.outcome, Some(Outcome::Refused | Outcome::ContextLength));
    if matches!(seen.outcome, Some(Outcome::Throttled { .. } | Outcome::TooLarge | Outcome::Misconfigured)) {
        return Billed::Nothing;
    }
    match seen.status.map(|status| status.as_u16()) {
        // By a layer, with nothing sent.
        None if is_refused => Billed::Nothing,
        Some(200..=299) if is_refused && !seen.has_content => Billed::Prompt,
        // 499: somebody on the way took the caller for gone, and the server may have gone on.
        None | Some(200..=299 | 408 | 499) => Billed::Whole,
        Some(400 | 500..) => Billed::Prompt,
        Some(_) => Billed::Nothing,
    }
}

/// What is needed to say what an attempt costs.
#[derive(Debug)]
pub(crate) struct Assessor<'a> {
    pub(crate) prices: &'a Prices,
    pub(crate) unknown: &'a UnknownPrice,
    /// Where the name of a deployment says nothing.
    pub(crate) usual_type: DeploymentType,
    /// Where an answer does not name one.
    pub(crate) usual_tier: ServiceTier,
}

/// The price that applies, and whether it is the one of what answered.
struct Priced {
    quote: Quote,
    is_certain: bool,
}

impl Assessor<'_> {
    /// What an attempt cost, and by what it is to be found. `counted_input` is what the server counted in another
    /// attempt of the same call.
    pub(crate) fn assess(&self, call: &Call, seen: &Seen, counted_input: Option<u64>, mut tags: Tags) -> (Tags, Spend) {
        let deployment = seen.deployment.as_ref().or(call.deployment.as_ref()).or(call.model.as_ref());
        tags.set(Tag::Deployment, deployment.cloned());
        tags.set(Tag::Endpoint, seen.endpoint.clone());
        tags.set(Tag::Model, self.model_name(call, seen));
        let mut spend = Spend::default();
        let billed = billed(seen);
        if seen.usage.is_none() && billed == Billed::Nothing {
            spend.free = 1;
            return (tags, spend);
        }
        let kind = self.kind(call, seen);
        let may_have_spilled = kind == DeploymentType::ProvisionedSpilling && seen.status.is_none();
        if kind.is_provisioned() && !may_have_spilled {
            spend.provisioned =
                Column { attempts: 1, tokens: seen.usage.map(Tokens::from).unwrap_or_default(), ..Column::default() };
            return (tags, spend);
        }
        let usage = seen.usage.map(Tokens::from);
        let prompt = usage.map_or_else(|| estimated_input(call, counted_input), |tokens| Some(tokens.input));
        let priced = prompt.and_then(|prompt| self.priced(call, seen, kind, prompt));
        let (Some(prompt), Some(priced)) = (prompt, priced) else {
            spend.unpriced = Column { attempts: 1, tokens: usage.unwrap_or_default(), ..Column::default() };
            return (tags, spend);
        };
        match usage {
            Some(tokens) => {
                let column = Column { attempts: 1, cost: priced.quote.rates.cost(&tokens), tokens };
                *(if priced.is_certain { &mut spend.exact } else { &mut spend.estimated }) = column;
            }
            None => {
                let output = if billed == Billed::Whole { estimated_output(call, seen, &priced) } else { 0 };
                let tokens = Tokens { input: prompt, output, ..Tokens::default() };
                let cost = priced.quote.rates.worst(prompt, output);
                spend.estimated = Column { attempts: 1, cost, tokens };
            }
        }
        (tags, spend)
    }

    /// The most that one attempt of a call can cost; `None` if that is not known.
    ///
    /// No token is shorter than a byte. What is not text (pictures, files, what the server keeps of a conversation) can
    /// have more tokens than bytes, and is not in this.
    ///
    /// `endpoint`: where it is about to be sent, if that is known; another model may be there than was asked for.
    pub(crate) fn worst(&self, call: &Call, endpoint: Option<Arc<str>>) -> Option<crate::Money> {
        if call.operation == Operation::Other {
            return None;
        }
        let prompt = (call.body_bytes > 0).then_some(call.prompt_bytes.max(1) as u64)?;
        let to_come = Seen { endpoint, ..Seen::default() };
        let priced = self.priced(call, &to_come, self.kind(call, &to_come), prompt)?;
        let output = match call.operation {
            Operation::Embeddings => 0,
            _ => call.max_output_tokens.unwrap_or(priced.quote.max_output).saturating_mul(call.choices.max(1)),
        };
        Some(priced.quote.rates.worst(prompt, output))
    }

    /// Whether the price of what a call asks for is known.
    pub(crate) fn knows(&self, call: &Call) -> bool {
        let nothing = Seen::default();
        call.operation == Operation::Other || self.priced(call, &nothing, self.kind(call, &nothing), 0).is_some()
    }

    /// How what answered is billed. The name that the answer gives goes before those of who sent it: what a provisioned
    /// deployment has spilled is paid for by the token.
    fn kind(&self, call: &Call, seen: &Seen) -> DeploymentType {
        let answered = seen.deployment.as_deref();
        // What another deployment of which nothing is known has answered is paid for.
        let billed = |kind: DeploymentType, by_another: bool| match kind {
            kind if kind.is_provisioned() && (by_another || seen.is_spilled) => DeploymentType::Global,
            kind => kind,
        };
        let endpoint = seen.endpoint.as_deref().and_then(|name| self.prices.deployed(name));
        let is_own = |own: &str| answered.is_none_or(|name| name.eq_ignore_ascii_case(own));
        if let Some(deployed) = endpoint.filter(|deployed| deployed.answers_as.as_deref().is_some_and(is_own)) {
            return billed(deployed.kind, false);
        }
        if let Some(deployed) = answered.and_then(|name| self.prices.deployed(name)) {
            return billed(deployed.kind, false);
        }
        if let Some(deployed) = endpoint {
            // One whose deployment has no name of its own answers by the name that it was called by.
            return billed(deployed.kind, deployed.answers_as.is_some());
        }
        let sent = [call.deployment.as_deref(), call.model.as_deref()];
        match sent.into_iter().flatten().find_map(|name| self.prices.deployed(name)) {
            Some(deployed) => billed(deployed.kind, answered.is_some()),
            None => billed(self.usual_type, false),
        }
    }

    /// The price of what answered; else of what was asked for, by whatever name it has.
    fn priced(&self, call: &Call, seen: &Seen, kind: DeploymentType, prompt: u64) -> Option<Priced> {
        // The most that it can cost is what it costs elsewhere.
        let kind = if kind.is_provisioned() { DeploymentType::Global } else { kind };
        let (tier, knows_tier) = match seen.service_tier.as_deref() {
            None => (self.asked_tier(call), self.asked_tier(call) == self.usual_tier),
            Some(name) => ServiceTier::named(name).map_or((self.usual_tier, false), |tier| (tier, true)),
        };
        let priced = |model: &str, is_certain: bool| {
            let quote = self.prices.quote(model, kind, tier, prompt)?;
            Some(Priced { quote, is_certain: is_certain && knows_tier && !quote.is_assumed })
        };
        let answered = seen.model.as_deref();
        if let Some(known) = answered.and_then(|model| priced(model, true)) {
            return Some(known);
        }
        let names = [&seen.deployment, &seen.endpoint, &call.deployment, &call.model];
        let stands_for = names.into_iter().flatten().find_map(|name| self.prices.deployed(name));
        if let Some(known) = stands_for.and_then(|deployed| priced(&deployed.model, answered.is_none())) {
            return Some(known);
        }
        // By the name of a model that a deployment, or the request, has.
        if let Some(known) = names.into_iter().flatten().find_map(|name| priced(name, false)) {
            return Some(known);
        }
        match self.unknown {
            UnknownPrice::Assume(rates) => Some(assumed(*rates)),
            UnknownPrice::Warn | UnknownPrice::Refuse => None,
        }
    }

    /// The tier that a call asks for; the usual one, where it leaves that to the server.
    fn asked_tier(&self, call: &Call) -> ServiceTier {
        let asked = call.service_tier.as_deref().filter(|name| *name != "auto");
        asked.and_then(ServiceTier::named).unwrap_or(self.usual_tier)
    }

    fn model_name(&self, call: &Call, seen: &Seen) -> Option<Arc<str>> {
        seen.model.clone().or_else(|| {
            let names = [&seen.deployment, &seen.endpoint, &call.deployment, &call.model];
            let stands_for = names.into_iter().flatten().find_map(|name| self.prices.deployed(name));
            stands_for.map(|deployed| Arc::clone(&deployed.model)).or_else(|| call.model.clone())
        })
    }
}

const fn assumed(rates: Rates) -> Priced {
    Priced { quote: Quote { rates, is_assumed: true, max_output: ASSUMED_OUTPUT, reasons: true }, is_certain: false }
}

fn estimated_input(call: &Call, counted: Option<u64>) -> Option<u64> {
    if let Some(counted) = counted {
        return Some(counted);
    }
    let bytes = if call.prompt_bytes > 0 { call.prompt_bytes } else { call.body_bytes };
    (bytes > 0 && call.operation != Operation::Other).then(|| (bytes as u64).div_ceil(BYTES_PER_TOKEN))
}

/// What the server may have made before it stopped.
fn estimated_output(call: &Call, seen: &Seen, priced: &Priced) -> u64 {
    if call.operation == Operation::Embeddings {
        return 0;
    }
    let choices = call.choices.max(1);
    let most = call.max_output_tokens.unwrap_or(priced.quote.max_output).saturating_mul(choices);
    if call.stream && seen.has_content && !priced.quote.reasons {
        // An event is a token as a rule, and more where the server sends in bursts; some are made and not yet sent.
        return seen.content_events.saturating_mul(2).saturating_add(SENT_AHEAD).min(most);
    }
    let expected =
        call.max_output_tokens.unwrap_or(ASSUMED_OUTPUT.min(priced.quote.max_output)).saturating_mul(choices);
    expected.max(seen.content_events).min(most)
}

/// Tokens that are on their way when a stream is cut.
const SENT_AHEAD: u64 = 16;
