use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, Uri, header, uri::PathAndQuery};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::{ConnectionFault, Scripted, SimulatedBody, SimulatedFuture, Simulator, TokenIssuer};

/// The domains under which Azure has resources: the resource's name is what stands before.
const DOMAINS: [&str; 6] = [
    ".openai.azure.com",
    ".services.ai.azure.com",
    ".cognitiveservices.azure.com",
    ".openai.azure.us",
    ".cognitiveservices.azure.us",
    ".localhost",
];

/// Several resources in one process: each a [`Simulator`] with a name.
///
/// A tower service like the simulator itself. Which resource is meant it takes from
/// 1. the request's host, `{resource}.openai.azure.com` and Azure's other domains (or
///    `{resource}.localhost`), then
/// 2. the path, if it begins with a resource's name: `/{resource}/openai/…`, then
/// 3. the default, which is the first resource, so that a client pointed at a plain address works.
///
/// A host under one of Azure's domains that names no resource is answered 404.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use tower::ServiceExt;
/// use tower_aoai_simulator::{Deployment, Simulator, World};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let region = |region| Simulator::builder().region(region).deployment(Deployment::standard("gpt-4o")).build();
/// let world = World::builder()
///     .resource("contoso-sweden", region("Sweden Central"))
///     .resource("contoso-east", region("East US"))
///     .build();
/// let body = Full::<Bytes>::from(r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}"#);
/// let request = http::Request::post("https://contoso-east.openai.azure.com/openai/v1/chat/completions").body(body)?;
/// let response = world.oneshot(request).await?;
/// assert_eq!(response.headers()["x-ms-region"], "East US");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct World {
    places: Arc<Places>,
}

struct Places {
    resources: Vec<(Arc<str>, Simulator)>,
    default: usize,
    /// Answers for hosts that are nobody's.
    nowhere: Simulator,
    issuer: TokenIssuer,
}

impl World {
    /// Starts to put one together.
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// A resource by its name, in whatever case.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<&Simulator> {
        let mut resources = self.resources();
        resources.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, simulator)| simulator)
    }

    /// All resources, with their names, in the order in which they were added.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &Simulator)> {
        self.places.resources.iter().map(|(name, simulator)| (&**name, simulator))
    }

    /// The resource of requests that name none; in a world without any, one that knows nothing.
    #[must_use]
    pub fn default_resource(&self) -> &Simulator {
        let default = self.places.resources.get(self.places.default);
        default.map_or(&self.places.nowhere, |(_, simulator)| simulator)
    }

    /// The name of the default resource.
    #[must_use]
    pub fn default_name(&self) -> Option<&str> {
        let default = self.places.resources.get(self.places.default);
        default.map(|(name, _)| &**name)
    }

    /// Who issues the tokens that the server's token endpoint grants.
    #[must_use]
    pub fn issuer(&self) -> &TokenIssuer {
        &self.places.issuer
    }

    /// Dictates every answer of a region's deployments, in all resources, to requests that arrive
    /// from one instant until just before the other: the region is down. Scripts of single
    /// deployments come first.
    pub fn region_down(&self, region: &str, from: Instant, until: Instant, scripted: &Scripted) {
        for (_, simulator) in self.resources() {
            simulator.script_region(region).during(from, until, scripted.clone());
        }
    }

    /// Puts every resource back as it was built and takes all tokens back: see
    /// [`Simulator::reset`].
    pub fn reset(&self) {
        self.resources().for_each(|(_, simulator)| simulator.reset());
        self.places.issuer.revoke_all();
    }

    /// The resource a request is for, and how many bytes of its path named it.
    fn find(&self, host: Option<&str>, path: &str) -> (&Simulator, usize) {
        if let Some(name) = host.and_then(subdomain) {
            let resource = self.resource(name);
            return (resource.unwrap_or(&self.places.nowhere), 0);
        }
        let first = path.strip_prefix('/').unwrap_or(path);
        let first = first.split('/').next().unwrap_or_default();
        match self.resource(first) {
            Some(resource) if !matches!(first, "openai" | "models") => (resource, first.len() + 1),
            _ => (self.default_resource(), 0),
        }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.resources.iter().map(|(name, _)| name)).finish()
    }
}

/// One resource, under no name of its own.
impl From<Simulator> for World {
    fn from(simulator: Simulator) -> Self {
        Self::builder().resource("default", simulator).build()
    }
}

impl<B: Body> Service<Request<B>> for World {
    type Response = Response<SimulatedBody>;
    type Error = ConnectionFault;
    type Future = SimulatedFuture<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> SimulatedFuture<B> {
        let host = host(&request);
        let (simulator, named) = self.find(host.as_deref(), request.uri().path());
        let mut simulator = simulator.clone();
        if named > 0 {
            *request.uri_mut() = without_prefix(request.uri(), named);
        }
        simulator.call(request)
    }
}

fn host<B>(request: &Request<B>) -> Option<String> {
    let authority = request.uri().host().map(str::to_owned);
    authority.or_else(|| {
        let host = request.headers().get(header::HOST)?.to_str().ok()?;
        Some(host.split(':').next().unwrap_or(host).to_owned())
    })
}

/// What stands before one of Azure's domains.
fn subdomain(host: &str) -> Option<&str> {
    DOMAINS.iter().find_map(|domain| {
        let at = host.len().checked_sub(domain.len())?;
        let (name, tail) = host.split_at_checked(at)?;
        (tail.eq_ignore_ascii_case(domain) && !name.is_empty()).then_some(name)
    })
}

/// The same address with so many bytes of its path left out; as it is, if nothing would be left.
fn without_prefix(uri: &Uri, bytes: usize) -> Uri {
    let rest = uri.path_and_query().and_then(|path| path.as_str().get(bytes..)).filter(|rest| rest.starts_with('/'));
    let rest = rest.and_then(|rest| PathAndQuery::try_from(rest).ok());
    rest.map_or_else(|| uri.clone(), Uri::from)
}

/// Puts a [`World`] together.
#[derive(Debug, Default)]
#[must_use]
pub struct WorldBuilder {
    resources: Vec<(Arc<str>, Simulator)>,
    default: Option<String>,
    issuer: Option<TokenIssuer>,
}

impl WorldBuilder {
    /// Adds a resource, in place of one of the same name. Azure's names have letters, digits and
    /// hyphens; `openai` and `models` cannot be reached by path.
    pub fn resource(mut self, name: &str, simulator: Simulator) -> Self {
        self.resources.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.resources.push((name.into(), simulator));
        self
    }

    /// The resource of requests that name none. Default the first; a name that is nobody's
    /// changes nothing.
    pub fn default_resource(mut self, name: &str) -> Self {
        self.default = Some(name.to_owned());
        self
    }

    /// Who issues the tokens that the server's token endpoint grants. Default the issuer of the
    /// first resource that was built with one, or one that nobody listens to.
    pub fn token_issuer(mut self, issuer: TokenIssuer) -> Self {
        self.issuer = Some(issuer);
        self
    }

    /// The world.
    #[must_use]
    pub fn build(self) -> World {
        let default = self.default.and_then(|name| {
            let mut resources = self.resources.iter();
            resources.position(|(other, _)| other.eq_ignore_ascii_case(&name))
        });
        let mut issuers = self.resources.iter();
        let issuer = self.issuer.or_else(|| issuers.find_map(|(_, simulator)| simulator.issuer()));
        World {
            places: Arc::new(Places {
                resources: self.resources,
                default: default.unwrap_or_default(),
                nowhere: Simulator::builder().nowhere().build(),
                issuer: issuer.unwrap_or_default(),
            }),
        }
    }
}
