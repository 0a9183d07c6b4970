//! A stack as it is, until it is made anew.

use std::{collections::HashMap, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use pin_project::pin_project;
use tower::{Layer, ServiceBuilder, util::Oneshot};
use tower_service::Service;

use std::{
    future::Future,
    task::{Context, Poll, ready},
};

use super::{
    agent::AgentDefaultsLayer,
    body::{AnswerBody, AskBody, erase},
    flight::Flight,
    layers::{Chain, EndpointParts, Maker},
    make,
    parts::Parts,
    plan::Plan,
    router::{Router, Routes},
    shared::SharedLimits,
    slot::SlotLayer,
};
use crate::{
    config::{Config, Problem, Problems},
    context_window::{ContextWindowHandle, ContextWindowLayer, Models},
    core::{BoxError, DeadlineLayer, Error, PrepareLayer, Reason, Rejected, RejectedResponseLayer, RequestBody},
    cost::CostLayer,
    telemetry::CallTelemetryLayer,
};

/// A stack as it is.
pub(super) struct Assembly {
    pub(super) config: Arc<Config>,
    pub(super) entrance: Box<dyn Entrance>,
    pub(super) flight: Arc<Flight>,
    pub(super) chains: Vec<Chain>,
    pub(super) context_window: (Config, ContextWindowLayer),
    pub(super) windows: Arc<Models>,
    pub(super) cost: CostLayer,
    /// The same, before it was said how calls are assessed.
    books: CostLayer,
    refusals: RejectedResponseLayer,
}

/// The layers above the transport, before they are put over it.
pub(super) struct Layers {
    rejected: RejectedResponseLayer,
    prepare: PrepareLayer,
    telemetry: CallTelemetryLayer,
    door: SlotLayer,
    agents: AgentDefaultsLayer,
    context_window: ContextWindowLayer,
    cost: CostLayer,
    deadline: DeadlineLayer,
    routes: Arc<Routes>,
    chains: Vec<Chain>,
}

pub(super) type CallFuture = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Error>> + Send>>;

/// Where calls go in: a whole stack, of one type.
pub(super) trait Entrance: Send + Sync {
    fn call(&self, request: Request<AskBody>) -> CallFuture;
}

/// Puts layers over a transport.
pub(super) trait Foundation: Send + Sync {
    fn carry(&self, layers: Layers) -> Box<dyn Entrance>;
}

/// A transport, of whatever type.
pub(super) struct Over<T>(pub(super) T);

impl<T, B> Foundation for Over<T>
where
    T: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Sync + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn carry(&self, layers: Layers) -> Box<dyn Entrance> {
        let chains = layers.chains.iter().map(|chain| chain.layer.layer(self.0.clone())).collect();
        let service = ServiceBuilder::new()
            .layer(layers.rejected)
            .layer(layers.prepare)
            .layer(layers.telemetry)
            .layer(layers.door)
            .layer(layers.agents)
            .layer(layers.context_window)
            .layer(layers.cost)
            .layer(layers.deadline)
            .service(Router::new(chains, layers.routes));
        Box::new(Entry(service))
    }
}

struct Entry<S>(S);

impl<S, B> Entrance for Entry<S>
where
    S: Service<Request<AskBody>, Response = Response<B>, Error = Error> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<AskBody>) -> CallFuture {
        Box::pin(Erasing { inner: Oneshot::new(self.0.clone(), request) })
    }
}

/// With its body erased.
#[pin_project]
struct Erasing<F> {
    #[pin]
    inner: F,
}

impl<F, B> Future for Erasing<F>
where
    F: Future<Output = Result<Response<B>, Error>>,
    B: Body<Data = Bytes> + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<AnswerBody>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx)).map(|response| response.map(erase)))
    }
}

/// What outlives an assembly.
pub(super) struct Ground<'a> {
    pub(super) foundation: &'a dyn Foundation,
    pub(super) parts: &'a Parts,
    pub(super) limits: &'a SharedLimits,
}

impl Assembly {
    /// Makes it all, or says all that stands against it; nothing that is used is changed before all is made.
    pub(super) fn make(config: Config, ground: &Ground<'_>, former: Option<&Self>) -> Result<Self, Vec<Problem>> {
        let mut problems = config.findings().problems;
        if !problems.is_empty() {
            return Err(problems);
        }
        let said = config;
        let config = said.effective();
        let plan = Plan::of(&config);
        let mut note = |found: Problems| problems.extend(found);
        let prices = make::cost::prices(&config).map_err(&mut note).unwrap_or_default();
        let models = make::context_window::models(&config).map_err(&mut note).unwrap_or_default();
        let windows = named(models, &plan);
        let context_window = context_window(&config, &windows, former, ground.parts).map_err(&mut note).ok();
        let books = match former {
            Some(former) => Ok(former.books.clone()),
            None => make::cost::books(&config).map(|books| match &ground.parts.map_cost {
                Some(change) => change(books),
                None => books,
            }),
        };
        let books = books.map_err(&mut note).unwrap_or_else(|_| CostLayer::off());
        let cost = make::cost::assessing(books.clone(), &config, prices.clone()).map_err(&mut note);
        let cost = cost.unwrap_or_else(|_| CostLayer::off());
        let maker = Maker {
            parts: ground.parts,
            limits: ground.limits,
            cost: &cost,
            prices: &prices,
            former: former.map_or(&[], |former| &former.chains),
        };
        let mut chains = Vec::new();
        for chain in &plan.chains {
            match maker.chain(chain) {
                Ok(chain) => chains.push(chain),
                Err(found) => {
                    let new = found.into_iter().filter(|problem| !problems.contains(problem));
                    problems.extend(new.collect::<Vec<_>>());
                }
            }
        }
        let agents = AgentDefaultsLayer::of(&config).map_err(|found| problems.extend(found)).unwrap_or_default();
        let Some(context_window) = context_window.filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        let answers = config.door.answer_refusals == Some(true);
        let refusals = if answers { RejectedResponseLayer::new() } else { RejectedResponseLayer::off() };
        let prepare = config.door.body_limit.map_or(PrepareLayer::new(), |limit| PrepareLayer::new().body_limit(limit));
        let layers = Layers {
            rejected: refusals,
            prepare,
            telemetry: told(ground.parts),
            door: SlotLayer::new(ground.parts.door.clone()),
            agents,
            context_window: context_window.1.clone(),
            cost: cost.clone(),
            deadline: make::timeouts::deadline(&config.timeouts),
            routes: Arc::new(plan.routes.clone()),
            chains: chains.clone(),
        };
        let entrance = ground.foundation.carry(layers);
        limit(&plan, &chains);
        ground.limits.tidy(tokio::time::Instant::now());
        Ok(Self {
            config: Arc::new(said),
            entrance,
            flight: Arc::default(),
            chains,
            context_window,
            windows: Arc::new(windows),
            cost,
            books,
            refusals,
        })
    }

    /// What is answered to calls that come after the end.
    pub(super) fn refuse(&self) -> CallFuture {
        let refusing = self.refusals.layer(tower::service_fn(|_: Request<()>| {
            std::future::ready(Err::<Response<Full<Bytes>>, Error>(Rejected::new(Reason::ShuttingDown, "stack").into()))
        }));
        Box::pin(Erasing { inner: Oneshot::new(refusing, Request::new(())) })
    }

    /// Whether it says something else than the former of what a stack has from its beginning.
    pub(super) fn begins_otherwise(&self, former: &Self) -> bool {
        let books = |config: &Config| {
            let mut cost = config.cost.clone();
            // How calls are assessed may change.
            (cost.unknown_price, cost.service_tier) = (None, None);
            cost.tag_headers.clear();
            cost
        };
        let (new, old) = (&self.config, &former.config);
        new.budgets != old.budgets
            || books(new) != books(old)
            || new.statistics != old.statistics
            || new.transport != old.transport
            || new.timeouts.connect != old.timeouts.connect
    }

    pub(super) fn endpoint(&self, name: &str) -> Option<&EndpointParts> {
        let legs = self.chains.iter().flat_map(|chain| &chain.legs);
        legs.flat_map(|leg| &leg.endpoints).find(|endpoint| *endpoint.name == *name)
    }

    pub(super) fn context_window(&self) -> ContextWindowHandle {
        self.context_window.1.handle()
    }
}

fn told(parts: &Parts) -> CallTelemetryLayer {
    let layer = parts.recorders.iter().cloned().fold(CallTelemetryLayer::new(), CallTelemetryLayer::recorder);
    match &parts.classify {
        Some(classify) => layer.classify(Arc::clone(classify)),
        None => layer,
    }
}

/// The layer there was goes on where nothing of it changes, with what it has counted.
fn context_window(
    config: &Config,
    windows: &Models,
    former: Option<&Assembly>,
    parts: &Parts,
) -> Result<(Config, ContextWindowLayer), Problems> {
    let mut own = Config::new();
    own.context_window = config.context_window.clone();
    own.agents = config.agents.clone();
    own.endpoints = config.endpoints.clone();
    own.models = config.models.clone();
    if let Some(former) = former.filter(|former| former.context_window.0 == own && *former.windows == *windows) {
        return Ok(former.context_window.clone());
    }
    let layer = make::context_window::layer(config, windows.clone())?;
    let layer = match &parts.map_context_window {
        Some(change) => change(layer),
        None => layer,
    };
    Ok((own, layer))
}

/// The table of models, with the names that this stack has for them: those of chains and of deployments.
fn named(models: Models, plan: &Plan) -> Models {
    let mut names: HashMap<&str, &str> = HashMap::new();
    for chain in &plan.chains {
        let endpoints = || chain.legs.iter().flat_map(|leg| &leg.endpoints).map(|endpoint| &endpoint.config);
        for endpoint in endpoints() {
            if let (Some(deployment), Some(model)) = (&endpoint.deployment, &endpoint.model) {
                names.entry(deployment).or_insert(model);
            }
        }
        if let Some(model) = endpoints().find_map(|endpoint| endpoint.priced_as()) {
            names.entry(&chain.name).or_insert(model);
        }
    }
    names.into_iter().fold(models, |models, (name, model)| {
        if models.get(name).is_some() || models.get(model).is_none() { models } else { models.alias(name, model) }
    })
}

/// What endpoints can take from now on.
fn limit(plan: &Plan, chains: &[Chain]) {
    for (chain, made) in plan.chains.iter().zip(chains) {
        let plans = chain.legs.iter().flat_map(|leg| &leg.endpoints);
        let parts = made.legs.iter().flat_map(|leg| &leg.endpoints);
        for (endpoint, parts) in plans.zip(parts) {
            parts.state.bucket.limit(make::quota::limits(&endpoint.config));
        }
    }
}
