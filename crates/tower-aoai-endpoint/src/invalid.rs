//! What can be wrong with an endpoint's configuration, and what would be right.

use std::{error::Error, fmt};

use crate::Host;

/// Why a base URL is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidBaseUrl {
    /// It is empty.
    Empty,
    /// It begins without `https://`.
    NoScheme {
        /// What was probably meant.
        right: String,
    },
    /// It begins with something other than `https://` or `http://`.
    Scheme {
        /// What was probably meant.
        right: String,
    },
    /// `http://` to another machine.
    Http {
        /// The same with `https://`.
        right: String,
    },
    /// A user or password stands before the host; not shown.
    Credential,
    /// A query or a fragment follows.
    Query {
        /// The same without.
        right: String,
    },
    /// It cannot be read as an address at all.
    NotAnAddress {
        /// What was given.
        given: String,
    },
    /// One of Azure's domains without the resource's name before it.
    NoResource {
        /// The domain, with its first dot.
        domain: &'static str,
    },
    /// The path has an empty segment, `.` or `..`.
    Path {
        /// The path.
        given: String,
    },
    /// The path names a deployment or what is asked for.
    TooMuch {
        /// The deployment, where it names one.
        deployment: Option<String>,
        /// The base of it.
        right: String,
    },
    /// `/v1` on a host of Azure's, where it is `/openai/v1`.
    BareV1 {
        /// The base of it.
        right: String,
    },
    /// The path has `/openai` twice.
    Twice {
        /// The path.
        given: String,
    },
}

impl fmt::Display for InvalidBaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the base URL is empty: write, for example, https://contoso.openai.azure.com"),
            Self::NoScheme { right } => write!(f, "the base URL does not say how to connect: write {right}"),
            Self::Scheme { right } => write!(f, "a base URL begins with https://: write {right}"),
            Self::Http { right } => {
                write!(f, "http:// would send the credential in the clear: write {right}, or allow http explicitly")
            }
            Self::Credential => f.write_str(
                "the base URL has a user or password before its host: give the credential to the endpoint instead",
            ),
            Self::Query { right } => {
                write!(f, "a base URL has no query: write {right}, and give the api-version to the endpoint")
            }
            Self::NotAnAddress { given } => {
                write!(f, "{given:?} is no address: write, for example, https://contoso.openai.azure.com")
            }
            Self::NoResource { domain } => {
                write!(f, "the resource's name is missing: write https://contoso{domain} with your resource's name")
            }
            Self::Path { given } => {
                write!(f, "the base URL's path {given:?} has an empty segment, `.` or `..`: leave it out")
            }
            Self::TooMuch { deployment: Some(name), right } => {
                write!(f, "the base URL names a deployment: write {right}, and deployment {name:?} beside it")
            }
            Self::TooMuch { deployment: None, right } => {
                write!(f, "the base URL goes on to what is asked for, which each request says itself: write {right}")
            }
            Self::BareV1 { right } => {
                write!(f, "Azure's v1 paths stand below /openai/v1: write {right}, the rest is added")
            }
            Self::Twice { given } => {
                write!(f, "the base URL's path {given:?} has /openai twice: leave it out, it is added")
            }
        }
    }
}

impl Error for InvalidBaseUrl {}

/// Why an endpoint cannot be addressed this way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidStyle {
    /// The api-version is empty.
    NoApiVersion,
    /// The api-version is not one that has a date, as those of classic paths and the inference route have.
    ApiVersion {
        /// What was given.
        given: String,
    },
    /// The host does not serve it.
    Host {
        /// What was asked for.
        style: &'static str,
        /// The host.
        host: Host,
    },
    /// The base URL itself says another one.
    BaseUrl {
        /// What was asked for.
        style: &'static str,
        /// What the base URL ends in.
        ends: &'static str,
    },
}

impl fmt::Display for InvalidStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoApiVersion => {
                f.write_str("the api-version is missing: write 2024-10-21, or the date your deployment is used with")
            }
            Self::ApiVersion { given } if matches!(&**given, "v1" | "preview" | "latest") => {
                write!(f, "api-version {given:?} is one of the v1 paths, which need none: choose v1")
            }
            Self::ApiVersion { given } => {
                write!(f, "api-version {given:?} is no date: write it like 2024-10-21 or 2025-04-01-preview")
            }
            Self::Host { style, host } => {
                let (host, right) = match host {
                    Host::OpenAi => ("api.openai.com", "v1"),
                    Host::AzureOpenAi => ("a host below openai.azure.com", "v1 or classic"),
                    Host::Inference => ("a host of one model", "inference or v1"),
                    Host::CognitiveServices | Host::AiServices | Host::Other => ("this host", "another style"),
                };
                write!(f, "{host} has no {style}: choose {right}")
            }
            Self::BaseUrl { style, ends } => {
                write!(f, "the base URL ends in {ends}, which is not where {style} stand: leave it out of the base URL")
            }
        }
    }
}

impl Error for InvalidStyle {}

/// Why a text is no credential. It never shows the text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidSecret {
    /// It is empty.
    Empty,
    /// A character that no header may have.
    Character {
        /// Which, counted from 0 in bytes.
        at: usize,
    },
    /// It begins with `Bearer`, which is added.
    Scheme,
    /// A header that no credential stands in.
    Header {
        /// Its name.
        name: String,
    },
    /// None of these environment variables is set.
    Unset {
        /// Their names.
        variables: &'static [&'static str],
    },
    /// An environment variable is set to what is no credential.
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        problem: Box<InvalidSecret>,
    },
}

impl fmt::Display for InvalidSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the key or token is empty"),
            Self::Character { at } => {
                write!(f, "the key or token has a character at byte {at} that no header may have: copy it anew")
            }
            Self::Scheme => f.write_str("the token begins with `Bearer`: give the token alone"),
            Self::Header { name } => {
                write!(f, "no credential stands in the header {name}: use api-key or authorization")
            }
            Self::Unset { variables } => write!(f, "no credential in the environment: set {}", variables.join(" or ")),
            Self::Variable { name, problem } => write!(f, "{name}: {problem}"),
        }
    }
}

impl Error for InvalidSecret {}
