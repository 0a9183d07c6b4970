use std::{sync::Arc, time::Duration};

use crate::{
    CompletionLength, Estimate, Latency,
    models::Model,
    quota::{RequestLimit, TokenLimit},
};

/// Which rate limit headers a standard deployment sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HeaderStyle {
    /// All of them, as in traffic captured in 2026: limit, remaining, reset and renewal period.
    #[default]
    Full,
    /// Only `x-ratelimit-remaining-*`, as in traffic captured in 2024.
    RemainingOnly,
    /// Limit and remaining are `-1`, reset is 0, and refusals carry no hint: reported of the
    /// Responses API in 2025.
    MinusOne,
    /// None.
    Absent,
}

/// How a refusal says when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RetryHints {
    /// `retry-after-ms`, exact (rounded up), and `retry-after` in whole seconds.
    #[default]
    Milliseconds,
    /// `retry-after` in whole seconds only.
    Seconds,
    /// `retry-after: 1`, `retry-after-ms: 0` and `x-ratelimit-reset-tokens: 0`, whatever the
    /// truth: captured, and the cause of retry storms.
    ZeroMilliseconds,
    /// None at all, neither in headers nor in the message.
    Absent,
}

/// In which words a standard deployment refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Wording {
    /// As the way of calling has it: [`Classic`](Self::Classic) under `/openai/deployments/` and
    /// `/models/`, [`Typed`](Self::Typed) under `/openai/v1/`.
    #[default]
    ByPath,
    /// "Requests to the … Operation under Azure OpenAI API version … have exceeded token rate
    /// limit of your current OpenAI S0 pricing tier."
    Classic,
    /// The same of an "AIServices S0 pricing tier", which ends by pointing to Azure's support.
    ClassicAiServices,
    /// "Your requests to … for … in … have exceeded the token rate limit for your current
    /// AIServices S0 pricing tier.", seen from the end of 2025.
    Regional,
    /// Type `too_many_requests`, code `rate_limit_exceeded`.
    Typed,
}

/// The habits of a deployment's headers that tests change while it runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quirks {
    pub(crate) style: HeaderStyle,
    pub(crate) hints: RetryHints,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Standard,
    Provisioned,
    Unlimited,
}

/// A deployment: a model under a name, with a quota.
#[derive(Debug, Clone)]
#[must_use]
pub struct Deployment {
    pub(crate) name: Arc<str>,
    pub(crate) model: Arc<str>,
    /// Empty: the simulator's.
    pub(crate) region: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) tokens_per_minute: u64,
    pub(crate) requests_per_minute: Option<u64>,
    pub(crate) token_limit: TokenLimit,
    pub(crate) request_limit: RequestLimit,
    pub(crate) count_refused: bool,
    pub(crate) estimate: Estimate,
    pub(crate) header_style: HeaderStyle,
    pub(crate) retry_hints: RetryHints,
    pub(crate) wording: Wording,
    pub(crate) units: u64,
    pub(crate) throughput: Option<(u64, u64)>,
    pub(crate) utilisation_window: Duration,
    /// `None`: the model's; `u64::MAX`: none.
    pub(crate) prompt_limit: Option<u64>,
    pub(crate) context_window: Option<u64>,
    pub(crate) max_output: Option<u64>,
    pub(crate) latency: Option<Latency>,
    pub(crate) completion_length: Option<CompletionLength>,
    pub(crate) refuse_in_stream: bool,
    pub(crate) annotations: bool,
    pub(crate) asynchronous_filter: bool,
    pub(crate) spillover: Option<Arc<str>>,
}

impl Deployment {
    fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            model: name.into(),
            region: "".into(),
            kind,
            tokens_per_minute: 30_000,
            requests_per_minute: None,
            token_limit: TokenLimit::default(),
            request_limit: RequestLimit::default(),
            count_refused: true,
            estimate: Estimate::default(),
            header_style: HeaderStyle::default(),
            retry_hints: RetryHints::default(),
            wording: Wording::default(),
            units: 15,
            throughput: None,
            utilisation_window: Duration::from_secs(60),
            prompt_limit: None,
            context_window: None,
            max_output: None,
            latency: None,
            completion_length: None,
            refuse_in_stream: true,
            annotations: true,
            asynchronous_filter: false,
            spillover: None,
        }
    }

    /// Pay-as-you-go, limited by tokens and requests per minute. Default 30,000 tokens a minute,
    /// and 6 requests a minute for every 1,000 of them.
    pub fn standard(name: &str) -> Self {
        Self::new(name, Kind::Standard)
    }

    /// Provisioned throughput. Default 15 units, the fewest that can be bought for most models.
    pub fn provisioned(name: &str) -> Self {
        Self::new(name, Kind::Provisioned)
    }

    /// Without any limit, and without rate limit headers.
    pub fn unlimited(name: &str) -> Self {
        Self::new(name, Kind::Unlimited)
    }

    /// The model behind it, which decides context window and provisioned throughput and is named
    /// in answers. Default: the deployment's name.
    pub fn model(mut self, model: &str) -> Self {
        self.model = model.into();
        self
    }

    /// As `x-ms-region` names it. Default the simulator's.
    pub fn region(mut self, region: &str) -> Self {
        self.region = region.into();
        self
    }

    /// Standard: tokens per minute. Default 30,000.
    pub fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.tokens_per_minute = tokens;
        self
    }

    /// Standard: requests per minute. Default 6 for every 1,000 tokens per minute, as Azure documents.
    pub fn requests_per_minute(mut self, requests: u64) -> Self {
        self.requests_per_minute = Some(requests);
        self
    }

    /// Standard: how tokens per minute are enforced. Default [`TokenLimit::Bucket`].
    pub fn token_limit(mut self, limit: TokenLimit) -> Self {
        self.token_limit = limit;
        self
    }

    /// Standard: how requests per minute are enforced. Default fixed windows of ten seconds.
    pub fn request_limit(mut self, limit: RequestLimit) -> Self {
        self.request_limit = limit;
        self
    }

    /// Standard: whether refused requests count toward the request limit. Default yes.
    pub fn count_refused(mut self, count: bool) -> Self {
        self.count_refused = count;
        self
    }

    /// What is debited at arrival; on a provisioned deployment, what is added until corrected.
    pub fn estimate(mut self, estimate: Estimate) -> Self {
        self.estimate = estimate;
        self
    }

    /// Standard: which rate limit headers are sent. Default all.
    pub fn header_style(mut self, style: HeaderStyle) -> Self {
        self.header_style = style;
        self
    }

    /// Standard: how a refusal says when to come back. Default milliseconds and seconds.
    pub fn retry_hints(mut self, hints: RetryHints) -> Self {
        self.retry_hints = hints;
        self
    }

    /// Standard: in which words it refuses. Default by the path called.
    pub fn wording(mut self, wording: Wording) -> Self {
        self.wording = wording;
        self
    }

    /// Provisioned: how many units (PTU). Default 15.
    pub fn units(mut self, units: u64) -> Self {
        self.units = units;
        self
    }

    /// Provisioned: input tokens a minute for each unit, and how many of them an output token
    /// weighs. Default by the model, after Azure's documentation (2,500 and 4 for unknown ones).
    pub fn throughput(mut self, input_tokens_per_unit: u64, output_ratio: u64) -> Self {
        self.throughput = Some((input_tokens_per_unit, output_ratio));
        self
    }

    /// Provisioned: how much work makes 100 %. Default a minute's; not documented.
    pub fn utilisation_window(mut self, window: Duration) -> Self {
        self.utilisation_window = window;
        self
    }

    /// Provisioned: prompts of more tokens are answered 400. Default 128,000 for the models of
    /// which Azure's documentation says so (gpt-4.1 and gpt-5.4), else none.
    pub fn prompt_limit(mut self, tokens: Option<u64>) -> Self {
        self.prompt_limit = Some(tokens.unwrap_or(u64::MAX));
        self
    }

    /// Prompt and answer together, in tokens. Default by the model (128,000 for unknown ones).
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }

    /// The largest `max_tokens` a request may set. Default by the model (16,384 for unknown ones).
    pub fn max_output(mut self, tokens: u64) -> Self {
        self.max_output = Some(tokens);
        self
    }

    /// How long it takes. Default the simulator's; the way to the service is the simulator's in
    /// any case, for which deployment is meant is known only on arrival.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = Some(latency);
        self
    }

    /// How many tokens its answers have. Default the simulator's.
    pub fn completion_length(mut self, length: CompletionLength) -> Self {
        self.completion_length = Some(length);
        self
    }

    /// Whether a streamed Responses request above the quota is answered, as captured traffic
    /// shows, with status 200, a `retry-after` header and the refusal inside the stream. Default
    /// yes; otherwise 429.
    pub fn refuse_in_stream(mut self, inside: bool) -> Self {
        self.refuse_in_stream = inside;
        self
    }

    /// Whether answers carry the content filter's annotations, as Azure's do (a stream then
    /// begins with an event that has no choices). Default yes.
    pub fn annotations(mut self, annotations: bool) -> Self {
        self.annotations = annotations;
        self
    }

    /// Whether the content filter looks at streams while they are on their way, so that its
    /// findings come in events of their own, the last after the finish reason. Default no: then
    /// they are in every event.
    pub fn asynchronous_filter(mut self, asynchronous: bool) -> Self {
        self.asynchronous_filter = asynchronous;
        self
    }

    /// Provisioned: the standard deployment of the same resource that serves a request in its
    /// place when this one answers 429, a 400 about the length of the prompt, 500 or 503; Azure's
    /// `spilloverDeploymentName`. Default none; then a request may name one by the header
    /// `x-ms-spillover-deployment`.
    pub fn spillover(mut self, deployment: &str) -> Self {
        self.spillover = Some(deployment.into());
        self
    }

    /// The name by which requests ask for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the model behind it.
    #[must_use]
    pub fn model_name(&self) -> &str {
        &self.model
    }

    /// The region it is in; empty while it has none of its own and is in no simulator.
    #[must_use]
    pub fn region_name(&self) -> &str {
        &self.region
    }

    pub(crate) fn quirks(&self) -> Quirks {
        Quirks { style: self.header_style, hints: self.retry_hints }
    }

    pub(crate) fn is_provisioned(&self) -> bool {
        matches!(self.kind, Kind::Provisioned)
    }

    pub(crate) fn facts(&self) -> Model {
        let mut model = Model::named(&self.model);
        if let Some((input, ratio)) = self.throughput {
            (model.input_per_unit, model.output_ratio) = (input, ratio);
        }
        model.context_window = self.context_window.unwrap_or(model.context_window);
        model.max_output = self.max_output.unwrap_or(model.max_output);
        if let Some(limit) = self.prompt_limit {
            model.provisioned_prompt_limit = Some(limit);
        }
        model
    }
}
