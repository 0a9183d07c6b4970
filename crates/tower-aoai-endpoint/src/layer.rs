use std::sync::Arc;

use tokio::time::Instant;
use tower_aoai_core::{Admission, Asked, Availability, CallContext, Load};
use tower_layer::Layer;

use crate::{
    BaseUrl, Credential, Defaults, Endpoint, EndpointHandle, InvalidStyle, TokenCache, deployments::Deployments,
    handle::Counters, style::Style, translate::Route,
};

pub(crate) const NAME: &str = "endpoint";

/// Addresses calls to one endpoint; see the [crate's page](crate).
///
/// One layer value is one endpoint: every service it makes, and every clone, shares its token and counts.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct EndpointLayer {
    settings: Option<Arc<Settings>>,
}

/// What the services of one layer share.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) route: Route,
    pub(crate) defaults: Option<Defaults>,
    pub(crate) tokens: Option<TokenCache>,
    pub(crate) counters: Arc<Counters>,
}

impl EndpointLayer {
    /// The endpoint at `base`, addressed as is usual there: by the inference route on its own hosts, else by v1 paths,
    /// which need no api-version. Without a [credential](Self::credential) none is sent.
    pub fn new(base: BaseUrl) -> Self {
        let style = Style::default_of(&base);
        let settings = Settings {
            route: Route { base, style, deployments: Deployments::default() },
            defaults: None,
            tokens: None,
            counters: Arc::default(),
        };
        Self { settings: Some(Arc::new(settings)) }
    }

    /// Passes every call through as it is, credentials included: for a stack whose type must not change.
    ///
    /// What is set on it has no effect.
    pub const fn off() -> Self {
        Self { settings: None }
    }

    /// Addresses by classic paths, `/openai/deployments/{deployment}/…`, with this api-version, whatever the call's own
    /// was. The last one that Azure made generally available is `2024-10-21`.
    ///
    /// # Errors
    ///
    /// If the api-version is none with a date, or host or base URL have no such paths.
    pub fn classic(self, api_version: &str) -> Result<Self, InvalidStyle> {
        self.try_with(|settings| {
            settings.route.style = Style::classic(&settings.route.base, api_version)?;
            Ok(())
        })
    }

    /// Addresses by v1 paths, with the deployment in the body's `model`: the default but on hosts of the inference route.
    ///
    /// # Errors
    ///
    /// If the base URL is one of another style.
    pub fn v1(self) -> Result<Self, InvalidStyle> {
        self.try_with(|settings| {
            settings.route.style = Style::v1(&settings.route.base)?;
            Ok(())
        })
    }

    /// Addresses by the inference route, `/models/…`, with this api-version; Azure documents `2024-05-01-preview`.
    ///
    /// # Errors
    ///
    /// If the api-version is none with a date, or host or base URL have no such route.
    pub fn inference(self, api_version: &str) -> Result<Self, InvalidStyle> {
        self.try_with(|settings| {
            settings.route.style = Style::inference(&settings.route.base, api_version)?;
            Ok(())
        })
    }

    /// Sends every call to this deployment, whatever model it names, but for those of [`model`](Self::model).
    pub fn deployment(self, name: impl Into<Arc<str>>) -> Self {
        self.with(|settings| settings.route.deployments.set_of_every_model(name.into()))
    }

    /// Sends calls that name `model`, in their body or as the deployment of their path, to `deployment`.
    ///
    /// Without this and [`deployment`](Self::deployment) the name in the call is taken for the deployment's; with this
    /// alone, calls for any other model are refused.
    pub fn model(self, model: impl Into<Arc<str>>, deployment: impl Into<Arc<str>>) -> Self {
        self.with(|settings| settings.route.deployments.insert(model.into(), deployment.into()))
    }

    /// Sends the tokens of `credential`, kept in a [`TokenCache`] of the layer's own.
    pub fn credential(self, credential: impl Credential + 'static) -> Self {
        self.token_cache(TokenCache::new(credential))
    }

    /// Sends the tokens of a cache that other endpoints may share.
    pub fn token_cache(self, tokens: TokenCache) -> Self {
        self.with(|settings| settings.tokens = Some(tokens))
    }

    /// Adds parameters that callers left out of their bodies. Default: none are added.
    pub fn defaults(self, defaults: Defaults) -> Self {
        self.with(|settings| settings.defaults = Some(defaults))
    }

    /// Shows what the layer does.
    #[must_use]
    pub fn handle(&self) -> EndpointHandle {
        self.settings.as_deref().map(EndpointHandle::of).unwrap_or_default()
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let Self { mut settings } = self;
        if let Some(settings) = &mut settings {
            change(Arc::make_mut(settings));
        }
        Self { settings }
    }

    fn try_with(self, change: impl FnOnce(&mut Settings) -> Result<(), InvalidStyle>) -> Result<Self, InvalidStyle> {
        let mut result = Ok(());
        let layer = self.with(|settings| result = change(settings));
        result.map(|()| layer)
    }
}

/// Shut while the credential gives no token, and open otherwise: an endpoint has no queue.
impl Asked for EndpointLayer {
    fn availability(&self) -> Arc<dyn Availability> {
        match &self.settings {
            Some(settings) => Arc::clone(settings) as Arc<dyn Availability>,
            None => Arc::new(Open),
        }
    }
}

impl Availability for Settings {
    fn admission(&self, _: &CallContext, from: Instant) -> Admission {
        match self.tokens.as_ref().and_then(|tokens| tokens.shut_until(from)) {
            Some(until) => Admission::Shut(Some(until)),
            None => Admission::At(from),
        }
    }

    fn load(&self) -> Load {
        Load::default()
    }
}

/// The state of a layer that is off.
#[derive(Debug)]
struct Open;

impl Availability for Open {
    fn admission(&self, _: &CallContext, from: Instant) -> Admission {
        Admission::At(from)
    }

    fn load(&self) -> Load {
        Load::default()
    }
}

impl<S> Layer<S> for EndpointLayer {
    type Service = Endpoint<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Endpoint::new(inner, self.settings.clone())
    }
}
