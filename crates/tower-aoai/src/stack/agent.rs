//! How much output the calls of an agent may have that do not say it themselves.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderName, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::make::context_window::header;
use crate::{
    config::{Config, Problems, plain_name},
    context_window::ContextTag,
    core::{BoxError, Call, CallContext, Error, Operation, RequestBody},
    cost::{Tag, Tags},
};

/// Limits the output of agents' calls.
#[derive(Debug, Clone, Default)]
pub(super) struct AgentDefaultsLayer {
    /// `None` where no agent has a limit.
    agents: Option<Arc<Agents>>,
}

#[derive(Debug)]
struct Agents {
    /// By names as they are written, and by plain ones.
    max_tokens: HashMap<String, u64>,
    header: Option<HeaderName>,
    /// The agent of requests that name none.
    own: Option<String>,
    chat_key: &'static str,
}

impl AgentDefaultsLayer {
    pub(super) fn of(config: &Config) -> Result<Self, Problems> {
        let limits = || config.agents.iter().filter_map(|(name, agent)| Some((name.clone(), agent.max_tokens?)));
        let mut max_tokens: HashMap<_, _> = limits().map(|(name, tokens)| (plain_name(&name), tokens)).collect();
        max_tokens.extend(limits());
        if max_tokens.is_empty() {
            return Ok(Self::default());
        }
        let name = config.context_window.agent_header.as_deref();
        let header = name.map(|name| header("context_window.agent_header", name)).transpose()?;
        let wants_completion = config.request_defaults.max_completion_tokens.is_some();
        let chat_key = if wants_completion { "max_completion_tokens" } else { "max_tokens" };
        Ok(Self { agents: Some(Arc::new(Agents { max_tokens, header, own: config.name.clone(), chat_key })) })
    }
}

impl Agents {
    fn of(&self, request: &Request<RequestBody>) -> Option<u64> {
        let extensions = request.extensions();
        let tagged = extensions.get::<ContextTag>().map(|tag| &*tag.0);
        let agent = tagged
            .or_else(|| extensions.get::<Tags>().and_then(|tags| tags.get(Tag::Agent)))
            .or_else(|| request.headers().get(self.header.as_ref()?)?.to_str().ok())
            .or(self.own.as_deref())?;
        self.max_tokens.get(agent).or_else(|| self.max_tokens.get(&plain_name(agent))).copied()
    }

    fn limit(&self, request: &mut Request<RequestBody>) {
        let Some(tokens) = self.of(request) else { return };
        let call = Call::of(request);
        let key = match call.operation {
            Operation::Chat => self.chat_key,
            Operation::Completions => "max_tokens",
            Operation::Responses => "max_output_tokens",
            _ => return,
        };
        let spans = call.spans.clone();
        if spans.first_member.is_none() || spans.max_output_tokens.is_some() {
            return;
        }
        if request.body_mut().add_member(&spans, key, &tokens.to_string()).is_ok() {
            // Read again, so that whoever limits it further finds it where it is.
            let body = request.body().to_bytes();
            let call = Call::read(request.uri(), request.headers(), &body);
            *request.body_mut() = body.into();
            CallContext::of(request).amend_call(|known| *known = call);
        }
    }
}

impl<S> Layer<S> for AgentDefaultsLayer {
    type Service = AgentDefaults<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AgentDefaults { inner, agents: self.agents.clone() }
    }
}

#[derive(Debug, Clone)]
pub(super) struct AgentDefaults<S> {
    inner: S,
    agents: Option<Arc<Agents>>,
}

impl<S> Service<Request<RequestBody>> for AgentDefaults<S>
where
    S: Service<Request<RequestBody>, Error = Error>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        if let Some(agents) = &self.agents {
            agents.limit(&mut request);
        }
        self.inner.call(request)
    }
}
