//! What would become of a planned call.

use std::{fmt, sync::Arc, time::Duration};

use http::Request;
use serde::Serialize;
use tokio::time::Instant;
use tower_aoai_circuit_breaker::CircuitState;
use tower_aoai_core::{Call, CallContext, Operation, Reason, model_names};
use tower_aoai_cost::Tags;
use tower_aoai_token_bucket::{Dimension, Risk as BucketRisk};

use super::{
    handles::{EndpointHandles, LegHandles, ModelHandles, StackHandles},
    snapshot::{short, short_time},
};

/// A call that somebody thinks of making.
///
/// ```
/// use tower_aoai::statistics::PlannedCall;
///
/// let by_figures = PlannedCall::new("gpt-4o", 3_000, 500);
/// let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}],"max_tokens":500}"#;
/// let by_request = PlannedCall::of(&http::Request::post("/openai/v1/chat/completions").body(body).expect("valid"));
/// # let _ = (by_figures, by_request);
/// ```
#[derive(Debug, Clone)]
pub struct PlannedCall {
    call: Call,
    prompt_tokens: Option<u64>,
    tags: Tags,
}

impl PlannedCall {
    /// A chat to this model, or deployment, with a prompt of so many tokens, asking for at most so many.
    #[must_use]
    pub fn new(model: impl Into<Arc<str>>, prompt_tokens: u64, max_output_tokens: u64) -> Self {
        let mut call = Call::default();
        call.operation = Operation::Chat;
        call.model = Some(model.into());
        // What quotas reckon with.
        call.prompt_bytes = usize::try_from(prompt_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
        call.body_bytes = call.prompt_bytes.max(1);
        call.max_output_tokens = Some(max_output_tokens);
        Self { call, prompt_tokens: Some(prompt_tokens), tags: Tags::new() }
    }

    /// What a request asks for: by the [`CallContext`] in its extensions if a door has left one, else by its address and
    /// body; and for whom, by the [`Tags`] there. Headers that name tags are not read: [say](Self::tags) what they do.
    #[must_use]
    pub fn of<B: AsRef<[u8]>>(request: &Request<B>) -> Self {
        let call = request.extensions().get::<CallContext>().map_or_else(
            || Call::read(request.uri(), request.headers(), request.body().as_ref()),
            |context| context.call().clone(),
        );
        Self { call, prompt_tokens: None, tags: request.extensions().get::<Tags>().cloned().unwrap_or_default() }
    }

    /// In whose name it would come: whose budgets are asked.
    #[must_use]
    pub fn tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }
}

/// What would become of a call that came now, as far as the stack can tell; nothing is reserved for it, and another call
/// may be faster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StackRisk {
    /// In short.
    pub verdict: Verdict,
    /// Each leg, in the order in which they would be tried, up to the one that would serve it.
    pub legs: Vec<LegRisk>,
}

/// What would become of it, in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Verdict {
    /// It would be sent at once, to the leg that it is meant for.
    Now {
        /// That leg.
        leg: Arc<str>,
        /// The endpoint that would take it.
        endpoint: Arc<str>,
    },
    /// It would wait, and then be sent there.
    Waits {
        /// The leg that it is meant for.
        leg: Arc<str>,
        /// The endpoint that would take it.
        endpoint: Arc<str>,
        /// For about so long.
        seconds: f64,
    },
    /// Another leg would serve it.
    Spills {
        /// The leg that it is meant for.
        from: Arc<str>,
        /// The one that would serve it.
        to: Arc<str>,
        /// The endpoint that would take it.
        endpoint: Arc<str>,
        /// After about so long.
        seconds: f64,
        /// Why not the first.
        why: String,
    },
    /// Nobody would serve it.
    Cannot {
        /// Why.
        why: String,
        /// From when on the first would, if waiting helps.
        opens_in_seconds: Option<f64>,
    },
}

/// What would become of it in one leg.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LegRisk {
    /// The leg.
    pub leg: Arc<str>,
    /// How long a call waits there before it goes on; `null`: as long as it takes.
    pub patience_seconds: Option<f64>,
    /// Each endpoint.
    pub endpoints: Vec<EndpointRisk>,
}

/// What would become of it at one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EndpointRisk {
    /// The endpoint.
    pub endpoint: Arc<str>,
    /// What it would be charged there, in quota tokens.
    pub charge: Option<u64>,
    /// It would start after so long; `null`: not at all.
    pub starts_in_seconds: Option<f64>,
    /// Why not at once.
    pub why: Option<String>,
    /// From when on it would be let in, where it is refused and waiting helps.
    pub opens_in_seconds: Option<f64>,
}

impl StackRisk {
    pub(crate) fn of(handles: &StackHandles, planned: &PlannedCall, now: Instant) -> Self {
        let cannot = |why: String, legs| Self { verdict: Verdict::Cannot { why, opens_in_seconds: None }, legs };
        let target = planned.call.target();
        let Some(model) = serving(handles, target) else {
            return cannot("the stack has no endpoint".to_owned(), Vec::new());
        };
        if let Some(why) = too_long(handles, planned, target.unwrap_or(&model.name)) {
            return cannot(why, Vec::new());
        }
        let refused = handles.cost.as_ref().and_then(|cost| cost.would_refuse(&planned.call, &planned.tags, now));
        if let Some(refused) = refused {
            let opens_in_seconds = refused.opens_at().map(|at| at.saturating_duration_since(now).as_secs_f64());
            return Self { verdict: Verdict::Cannot { why: refused.to_string(), opens_in_seconds }, legs: Vec::new() };
        }
        let context = CallContext::new(planned.call.clone(), now);
        let mut legs: Vec<LegRisk> = Vec::new();
        for (place, leg) in model.legs.iter().enumerate() {
            let risk = LegRisk::of(leg, &context, now);
            // The last one has nobody to leave it to.
            let patience = leg.patience.filter(|_| place + 1 < model.legs.len());
            let start =
                risk.first_start().filter(|(wait, _)| patience.is_none_or(|patience| *wait <= patience.as_secs_f64()));
            legs.push(risk);
            let Some((seconds, endpoint)) = start else { continue };
            let verdict = match legs.first().filter(|_| place > 0) {
                Some(first) => Verdict::Spills {
                    from: Arc::clone(&first.leg),
                    to: Arc::clone(&leg.name),
                    endpoint,
                    seconds,
                    why: first.why_not(model.legs[0].patience),
                },
                None if seconds == 0.0 => Verdict::Now { leg: Arc::clone(&leg.name), endpoint },
                None => Verdict::Waits { leg: Arc::clone(&leg.name), endpoint, seconds },
            };
            return Self { verdict, legs };
        }
        let opens = legs
            .iter()
            .flat_map(|leg| &leg.endpoints)
            .filter_map(|endpoint| endpoint.opens_in_seconds.or(endpoint.starts_in_seconds));
        let opens_in_seconds = opens.min_by(f64::total_cmp);
        let why = match legs.last() {
            Some(last) => last.why_not(None),
            None => format!("{} has no leg", model.name),
        };
        Self { verdict: Verdict::Cannot { why, opens_in_seconds }, legs }
    }

    /// Whether somebody would serve it.
    #[must_use]
    pub const fn is_served(&self) -> bool {
        !matches!(self.verdict, Verdict::Cannot { .. })
    }
}

/// The model that is asked for by that name, else the first.
fn serving<'a>(handles: &'a StackHandles, target: Option<&str>) -> Option<&'a ModelHandles> {
    let named = handles.models.iter().find(|model| target == Some(&*model.name));
    named.or_else(|| handles.models.first())
}

/// Whether, and by how much, it does not fit its model's window.
fn too_long(handles: &StackHandles, planned: &PlannedCall, name: &str) -> Option<String> {
    let windows = handles.windows.as_ref().filter(|_| !handles.fits_prompts)?;
    let model = model_names(name).find_map(|name| windows.get(&name))?;
    let prompt = planned.prompt_tokens.unwrap_or_else(|| (planned.call.prompt_bytes as u64).div_ceil(4));
    let output = planned.call.max_output_tokens.unwrap_or(0);
    let is_too_much = !handles.fits_outputs && prompt.saturating_add(output) > model.window;
    let is_too_long = prompt > model.prompt || is_too_much;
    is_too_long.then(|| {
        format!(
            "a prompt of {prompt} tokens and an output of {output} do not fit {name}: it takes {} of prompt, and {} together",
            model.prompt, model.window
        )
    })
}

impl LegRisk {
    fn of(leg: &LegHandles, context: &CallContext, now: Instant) -> Self {
        Self {
            leg: Arc::clone(&leg.name),
            patience_seconds: leg.patience.map(|patience| patience.as_secs_f64()),
            endpoints: leg.endpoints.iter().map(|endpoint| EndpointRisk::of(leg, endpoint, context, now)).collect(),
        }
    }

    /// Where it would start first, and after how long.
    fn first_start(&self) -> Option<(f64, Arc<str>)> {
        let starts = self
            .endpoints
            .iter()
            .filter_map(|endpoint| endpoint.starts_in_seconds.map(|seconds| (seconds, Arc::clone(&endpoint.endpoint))));
        starts.min_by(|one, other| one.0.total_cmp(&other.0))
    }

    fn why_not(&self, patience: Option<Duration>) -> String {
        match (self.first_start(), patience) {
            (Some((seconds, endpoint)), Some(patience)) => {
                format!("it would wait {} for {endpoint}, and goes on after {}", short(seconds), short_time(patience))
            }
            (Some((seconds, endpoint)), None) => format!("it would wait {} for {endpoint}", short(seconds)),
            (None, _) => {
                let whys = self.endpoints.iter().filter_map(|endpoint| endpoint.why.as_deref());
                let whys: Vec<_> = whys.collect();
                if whys.is_empty() { format!("the leg {} has no endpoint", self.leg) } else { whys.join("; ") }
            }
        }
    }
}

impl EndpointRisk {
    fn of(leg: &LegHandles, endpoint: &EndpointHandles, context: &CallContext, now: Instant) -> Self {
        let name = &endpoint.name;
        let bucket = endpoint.bucket.as_ref();
        let charge = bucket.map(|bucket| bucket.charge(context));
        let mut risk = Self {
            endpoint: Arc::clone(name),
            charge: charge.map(|charge| charge.tokens),
            starts_in_seconds: None,
            why: None,
            opens_in_seconds: None,
        };
        let seconds = |at: Instant| at.saturating_duration_since(now).as_secs_f64();
        let member = leg.balance.as_ref().and_then(|balance| balance.snapshot().member(name).cloned());
        if member.as_ref().is_some_and(|member| member.is_draining) {
            risk.why = Some(format!("{name} is being drained"));
            return risk;
        }
        let target = context.call().target();
        let rest = member.as_ref().and_then(|member| {
            member.out_of_rotation.iter().find(|rest| rest.deployment.is_none() || rest.deployment.as_deref() == target)
        });
        if let Some(rest) = rest {
            risk.why = Some(format!("{name} answers that key, deployment or network rules are wrong"));
            risk.opens_in_seconds = Some(seconds(rest.until));
            return risk;
        }
        let mut starts = 0.0_f64;
        match endpoint.breaker.as_ref().map(|breaker| breaker.snapshot().state) {
            Some(CircuitState::Open { until: Some(until) } | CircuitState::Throttled { until }) if until > now => {
                risk.opens_in_seconds = Some(seconds(until));
                risk.why = Some(format!("{name} is left alone for {} more", short(seconds(until))));
                return risk;
            }
            Some(CircuitState::Open { until: None }) => {
                risk.why = Some(format!("{name} is left alone until its circuit is reset"));
                return risk;
            }
            _ => {}
        }
        match bucket.zip(charge).map(|(bucket, charge)| bucket.risk(charge)) {
            Some(BucketRisk::Waits { until, on }) => {
                starts = starts.max(seconds(until));
                risk.why = Some(format!("{name}: {}", waits_for(on)));
            }
            Some(BucketRisk::Refused { reason, until }) => {
                risk.opens_in_seconds = until.map(seconds);
                risk.why = Some(refused(name, reason, risk.charge));
                return risk;
            }
            _ => {}
        }
        risk.starts_in_seconds = Some(starts);
        risk
    }
}

fn refused(name: &str, reason: Reason, charge: Option<u64>) -> String {
    match (reason, charge) {
        (Reason::TooLarge, Some(charge)) => format!("{name}: {charge} tokens are more than its whole quota"),
        _ => format!("{name}: {reason}"),
    }
}

fn waits_for(on: Option<Dimension>) -> &'static str {
    match on {
        Some(Dimension::Tokens) => "its tokens per minute are used",
        Some(Dimension::Requests) => "its requests per minute are used",
        Some(Dimension::Gate) => "its server asked to wait",
        Some(Dimension::Interval) => "calls are kept apart",
        Some(Dimension::InFlight) => "it takes no more calls at once",
        Some(_) | None => "others wait before it",
    }
}

/// `waits about 3.2 s for eastus`.
impl fmt::Display for StackRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Now { endpoint, .. } => write!(f, "fits now, at {endpoint}"),
            Verdict::Waits { endpoint, seconds, .. } => write!(f, "waits about {} for {endpoint}", short(*seconds)),
            Verdict::Spills { from, to, seconds, why, .. } => {
                write!(f, "will spill from {from} to {to}")?;
                if *seconds > 0.0 {
                    write!(f, " and wait about {} there", short(*seconds))?;
                }
                write!(f, ": {why}")
            }
            Verdict::Cannot { why, opens_in_seconds } => {
                write!(f, "cannot be served: {why}")?;
                opens_in_seconds.map_or(Ok(()), |seconds| write!(f, "; in {} it could", short(seconds)))
            }
        }
    }
}
