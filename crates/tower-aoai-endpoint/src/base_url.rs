//! Where an endpoint is.

use std::{fmt, str::FromStr};

use http::{HeaderValue, Uri, uri::Authority, uri::Scheme};

use crate::InvalidBaseUrl;

/// The address below which an endpoint's paths stand: checked once, when it is read.
///
/// `https://contoso.openai.azure.com` and the like; a trailing slash and Azure's own `/openai` or `/openai/v1` behind
/// it do no harm. Which paths follow is told by host and path:
///
/// | base URL | the v1 path of a chat |
/// |---|---|
/// | `https://contoso.openai.azure.com`, `….cognitiveservices.azure.com`, `….services.ai.azure.com`, the same below `azure.us` and `azure.cn` | `/openai/v1/chat/completions` |
/// | `https://api.openai.com` | `/v1/chat/completions` |
/// | any other host, the path ending in `/v1`: `https://llm.example/api/v1` | `/api/v1/chat/completions` |
/// | any other host: a gateway before Azure OpenAI, a simulator | `/openai/v1/chat/completions` below its path |
/// | [`BaseUrl::openai_compatible`] | `/chat/completions` below its path |
///
/// `http://` is taken only for this machine (`localhost`, `*.localhost`, `127.0.0.0/8`, `[::1]`), for it sends the
/// credential in the clear; [`BaseUrl::allow_http`] takes it for any host.
///
/// ```
/// use tower_aoai_endpoint::BaseUrl;
///
/// let base: BaseUrl = "https://contoso.openai.azure.com/openai/v1/".parse()?;
/// assert_eq!(base.to_string(), "https://contoso.openai.azure.com");
/// let error = "contoso.openai.azure.com".parse::<BaseUrl>().unwrap_err();
/// assert!(error.to_string().ends_with("write https://contoso.openai.azure.com"), "{error}");
/// # Ok::<(), tower_aoai_endpoint::InvalidBaseUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) host_header: HeaderValue,
    /// The path before all that Azure or OpenAI define, without a slash at its end.
    pub(crate) prefix: String,
    /// The path as it was written, without a slash at its end.
    whole: String,
    host: Host,
    pub(crate) root: Option<Root>,
}

/// Whose host it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// `*.openai.azure.com`, and the same in Azure's other clouds.
    AzureOpenAi,
    /// `*.cognitiveservices.azure.com`, and the same in Azure's other clouds: a resource of several services.
    CognitiveServices,
    /// `*.services.ai.azure.com`, and the same in Azure's other clouds: a Foundry resource.
    AiServices,
    /// `*.inference.ai.azure.com`, `*.models.ai.azure.com`: one model, addressed by the inference route.
    Inference,
    /// `api.openai.com`.
    OpenAi,
    /// Any other: a gateway, a simulator, a server that speaks OpenAI's language.
    Other,
}

/// What the base URL itself says of the paths below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    /// It ended in `/openai/v1`.
    AzureV1,
    /// The v1 paths stand right below the prefix.
    OpenAi,
    /// It ended in `/models`, or the host has the inference route alone.
    Inference,
}

/// Domains under which resources have names, by what they are.
const DOMAINS: [(&str, Host); 13] = [
    (".openai.azure.com", Host::AzureOpenAi),
    (".openai.azure.us", Host::AzureOpenAi),
    (".openai.azure.cn", Host::AzureOpenAi),
    (".cognitiveservices.azure.com", Host::CognitiveServices),
    (".cognitiveservices.azure.us", Host::CognitiveServices),
    (".cognitiveservices.azure.cn", Host::CognitiveServices),
    (".services.ai.azure.com", Host::AiServices),
    (".services.ai.azure.us", Host::AiServices),
    (".services.ai.azure.cn", Host::AiServices),
    (".inference.ai.azure.com", Host::Inference),
    (".inference.ai.azure.us", Host::Inference),
    (".models.ai.azure.com", Host::Inference),
    (".models.ai.azure.us", Host::Inference),
];

/// Ends of a path that name what is asked for, and so cannot be a base.
const OPERATIONS: [&str; 4] = ["completions", "embeddings", "responses", "deployments"];

impl BaseUrl {
    /// Reads an address whose `http://` is meant, whatever the host: a server in the same private network.
    ///
    /// # Errors
    ///
    /// What is wrong, and what would be right.
    pub fn allow_http(text: &str) -> Result<Self, InvalidBaseUrl> {
        Self::read(text, true)
    }

    /// Says that `chat/completions` stands right below this address as it was written, as the OpenAI SDKs take
    /// their `base_url`: for a server that speaks OpenAI's language and whose path does not end in `/v1`. At OpenAI itself
    /// that is so anyway.
    ///
    /// ```
    /// use tower_aoai_endpoint::BaseUrl;
    ///
    /// let base = "https://llm.example/v1beta/openai".parse::<BaseUrl>()?.openai_compatible();
    /// assert_eq!(base.to_string(), "https://llm.example/v1beta/openai");
    /// # Ok::<(), tower_aoai_endpoint::InvalidBaseUrl>(())
    /// ```
    #[must_use]
    pub fn openai_compatible(mut self) -> Self {
        if self.host != Host::OpenAi {
            self.prefix.clone_from(&self.whole);
            self.root = Some(Root::OpenAi);
        }
        self
    }

    /// Whose host it is.
    #[must_use]
    pub const fn host(&self) -> Host {
        self.host
    }

    /// The scope for which a Microsoft Entra token for this host is asked, `None` for a host that is not Azure's.
    ///
    /// Azure documents `https://ai.azure.com/.default` and `https://cognitiveservices.azure.com/.default`; here it is
    /// the former for Foundry resources and the latter for all others, with the domain of the host's cloud.
    #[must_use]
    pub fn scope(&self) -> Option<&'static str> {
        let host = self.authority.host().trim_end_matches('.').to_ascii_lowercase();
        let cloud = ["com", "us", "cn"].into_iter().position(|end| host.ends_with(&format!(".azure.{end}")))?;
        const FOUNDRY: [&str; 3] =
            ["https://ai.azure.com/.default", "https://ai.azure.us/.default", "https://ai.azure.cn/.default"];
        const COGNITIVE: [&str; 3] = [
            "https://cognitiveservices.azure.com/.default",
            "https://cognitiveservices.azure.us/.default",
            "https://cognitiveservices.azure.cn/.default",
        ];
        match self.host {
            Host::OpenAi | Host::Other => None,
            Host::AiServices => FOUNDRY.get(cloud).copied(),
            Host::AzureOpenAi | Host::CognitiveServices | Host::Inference => COGNITIVE.get(cloud).copied(),
        }
    }

    fn read(text: &str, any_http: bool) -> Result<Self, InvalidBaseUrl> {
        let mut base = Self::of(text, any_http)?;
        base.settle_path()?;
        Ok(base)
    }

    /// Everything but what the path's end means.
    fn of(text: &str, any_http: bool) -> Result<Self, InvalidBaseUrl> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidBaseUrl::Empty);
        }
        // Before anything else: the other errors show the text.
        let address = text.split_once("://").map_or(text, |(_, rest)| rest).trim_start_matches('/');
        if address.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
            return Err(InvalidBaseUrl::Credential);
        }
        if !text.contains("://") {
            let rest = without_scheme(address).split(['?', '#']).next().unwrap_or_default();
            let domain = if rest.contains(['.', ':', '/']) { "" } else { ".openai.azure.com" };
            return Err(InvalidBaseUrl::NoScheme { right: format!("https://{rest}{domain}") });
        }
        if text.contains(['?', '#']) {
            let right = text.split(['?', '#']).next().unwrap_or_default().to_owned();
            // What is wrong before the query makes more of a difference.
            return Err(Self::read(&right, any_http).err().unwrap_or(InvalidBaseUrl::Query { right }));
        }
        let not_an_address = || InvalidBaseUrl::NotAnAddress { given: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| not_an_address())?;
        let (Some(scheme), Some(authority)) = (uri.scheme().cloned(), uri.authority().cloned()) else {
            return Err(not_an_address());
        };
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let right = format!("https://{authority}{}", uri.path().trim_end_matches('/'));
        if scheme == Scheme::HTTP {
            if !any_http && !is_this_machine(&host) {
                return Err(InvalidBaseUrl::Http { right });
            }
        } else if scheme != Scheme::HTTPS {
            return Err(InvalidBaseUrl::Scheme { right });
        }
        let has_port =
            authority.as_str().rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.ends_with(']'));
        if host.is_empty() || (has_port && authority.port_u16().is_none()) {
            return Err(not_an_address());
        }
        if let Some((domain, _)) = DOMAINS.iter().find(|(domain, _)| host == domain[1..]) {
            return Err(InvalidBaseUrl::NoResource { domain });
        }
        let prefix = uri.path().trim_end_matches('/');
        if prefix.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(InvalidBaseUrl::Path { given: uri.path().to_owned() });
        }
        let host_header = HeaderValue::from_str(authority.as_str()).map_err(|_| not_an_address())?;
        let known = DOMAINS.iter().find(|(domain, _)| host.ends_with(domain)).map(|(_, host)| *host);
        let host = known.unwrap_or(if host == "api.openai.com" { Host::OpenAi } else { Host::Other });
        let (prefix, whole) = (prefix.to_owned(), prefix.to_owned());
        Ok(Self { scheme, authority, host_header, prefix, whole, host, root: None })
    }

    /// Takes what Azure and OpenAI define off the path's end.
    fn settle_path(&mut self) -> Result<(), InvalidBaseUrl> {
        let whole = self.whole.clone();
        let segments: Vec<String> = whole.split('/').skip(1).map(str::to_ascii_lowercase).collect();
        let ends = |words: &[&str]| {
            segments.iter().rev().zip(words.iter().rev()).filter(|(a, b)| a == *b).count() == words.len()
        };
        let is_azure = matches!(self.host, Host::AzureOpenAi | Host::CognitiveServices | Host::AiServices);
        let named = segments.iter().position(|segment| segment == "deployments");
        if named.is_some() || segments.last().is_some_and(|last| OPERATIONS.contains(&&**last)) {
            let deployment = named.and_then(|at| whole.split('/').nth(at + 2)).map(str::to_owned);
            let right = format!("{}://{}", self.scheme, self.authority);
            return Err(InvalidBaseUrl::TooMuch { deployment, right });
        }
        let (taken, root) = if ends(&["openai", "v1"]) {
            (2, Some(Root::AzureV1))
        } else if ends(&["openai"]) {
            (1, None)
        } else if ends(&["models"]) && matches!(self.host, Host::AiServices) {
            (1, Some(Root::Inference))
        } else if self.host == Host::Inference {
            (usize::from(ends(&["models"])), Some(Root::Inference))
        } else if ends(&["v1"]) && is_azure {
            let at = whole.len() - "/v1".len();
            let right = format!("{}://{}{}", self.scheme, self.authority, &whole[..at]);
            return Err(InvalidBaseUrl::BareV1 { right });
        } else if ends(&["v1"]) || (self.host == Host::OpenAi && !segments.is_empty()) {
            (0, Some(Root::OpenAi))
        } else if self.host == Host::OpenAi {
            self.prefix.push_str("/v1");
            (0, Some(Root::OpenAi))
        } else {
            (0, None)
        };
        for _ in 0..taken {
            self.prefix.truncate(self.prefix.rfind('/').unwrap_or(0));
        }
        let left = segments.len() - taken;
        if taken > 0 && segments.iter().take(left).any(|segment| segment == "openai") {
            return Err(InvalidBaseUrl::Twice { given: whole });
        }
        self.root = root;
        Ok(())
    }
}

/// Of an address with a slash too few.
fn without_scheme(address: &str) -> &str {
    let (scheme, rest) = address.split_once(':').unwrap_or(("", address));
    if ["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        rest.trim_start_matches('/')
    } else {
        address
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || host == "localhost" || host.ends_with(".localhost")
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        Self::read(text, false)
    }
}

/// Without what was taken off its end; an OpenAI-compatible one with its `/v1`.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self}, {:?})", self.host)
    }
}
