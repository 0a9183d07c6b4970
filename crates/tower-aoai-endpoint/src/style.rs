//! How an endpoint wants to be addressed.

use std::sync::Arc;

use tower_aoai_core::ApiStyle;

use crate::{BaseUrl, Host, InvalidStyle, base_url::Root};

/// The way in which an endpoint's paths name model and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Style {
    /// `/openai/deployments/{deployment}/…?api-version=…`
    Classic(Arc<str>),
    /// `/openai/v1/…`, or OpenAI's own `/v1/…`.
    V1,
    /// `/models/…?api-version=…`
    Inference(Arc<str>),
}

/// The api-version with which Azure documents the inference route.
pub(crate) const INFERENCE_VERSION: &str = "2024-05-01-preview";

impl Style {
    /// What the base URL says, else v1, which needs no api-version.
    pub(crate) fn default_of(base: &BaseUrl) -> Self {
        match base.root {
            Some(Root::Inference) => Self::Inference(INFERENCE_VERSION.into()),
            Some(Root::AzureV1 | Root::OpenAi) | None => Self::V1,
        }
    }

    pub(crate) fn classic(base: &BaseUrl, api_version: &str) -> Result<Self, InvalidStyle> {
        const STYLE: &str = "classic paths";
        match (base.root, base.host()) {
            (_, host @ (Host::OpenAi | Host::Inference)) => Err(InvalidStyle::Host { style: STYLE, host }),
            (Some(root), _) => Err(InvalidStyle::BaseUrl { style: STYLE, ends: root.ends() }),
            (None, _) => Ok(Self::Classic(dated(api_version)?)),
        }
    }

    pub(crate) fn v1(base: &BaseUrl) -> Result<Self, InvalidStyle> {
        match base.root {
            Some(root @ Root::Inference) if base.host() != Host::Inference => {
                Err(InvalidStyle::BaseUrl { style: "v1 paths", ends: root.ends() })
            }
            _ => Ok(Self::V1),
        }
    }

    pub(crate) fn inference(base: &BaseUrl, api_version: &str) -> Result<Self, InvalidStyle> {
        const STYLE: &str = "inference route";
        match (base.root, base.host()) {
            (_, host @ (Host::OpenAi | Host::AzureOpenAi)) => Err(InvalidStyle::Host { style: STYLE, host }),
            (Some(root @ (Root::AzureV1 | Root::OpenAi)), _) => {
                Err(InvalidStyle::BaseUrl { style: "its paths", ends: root.ends() })
            }
            _ => Ok(Self::Inference(dated(api_version)?)),
        }
    }

    pub(crate) const fn api_style(&self) -> ApiStyle {
        match self {
            Self::Classic(_) => ApiStyle::Classic,
            Self::V1 => ApiStyle::V1,
            Self::Inference(_) => ApiStyle::Inference,
        }
    }

    pub(crate) const fn api_version(&self) -> Option<&Arc<str>> {
        match self {
            Self::Classic(version) | Self::Inference(version) => Some(version),
            Self::V1 => None,
        }
    }
}

impl Root {
    const fn ends(self) -> &'static str {
        match self {
            Self::AzureV1 => "/openai/v1",
            Self::OpenAi => "/v1",
            Self::Inference => "/models",
        }
    }
}

/// `YYYY-MM-DD`, with `-preview` or another word behind it.
fn dated(api_version: &str) -> Result<Arc<str>, InvalidStyle> {
    let version = api_version.trim();
    if version.is_empty() {
        return Err(InvalidStyle::NoApiVersion);
    }
    let wrong = || InvalidStyle::ApiVersion { given: version.to_owned() };
    let (date, word) = version.split_at_checked("YYYY-MM-DD".len()).ok_or_else(wrong)?;
    let is_date = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let is_word = word.is_empty() || word.strip_prefix('-').is_some_and(|word| !word.is_empty());
    let is_plain = word.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
    if is_date && is_word && is_plain { Ok(version.into()) } else { Err(wrong()) }
}
