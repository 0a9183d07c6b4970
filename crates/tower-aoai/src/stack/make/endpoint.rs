use std::sync::Arc;

use http::HeaderName;

use super::{problem as wrong, said};
use crate::{
    config::{EndpointConfig, KeyHeader, Problems, RequestDefaultsConfig, ResourceConfig, Style},
    endpoint::{BaseUrl, Defaults, EndpointLayer, Host, InvalidSecret, Token, TokenCache},
};

/// The last that Azure made generally available.
const CLASSIC_VERSION: &str = "2024-10-21";
/// As Azure documents it.
const INFERENCE_VERSION: &str = "2024-05-01-preview";

pub(in crate::stack) fn base_url(resource: &ResourceConfig) -> Result<BaseUrl, Problems> {
    resource.address().map_err(|error| problem(resource, "base_url", &error))
}

/// Without what is sent: that is the resource's.
pub(in crate::stack) fn layer(
    endpoint: &EndpointConfig,
    resource: &ResourceConfig,
    base: BaseUrl,
) -> Result<EndpointLayer, Problems> {
    let layer = EndpointLayer::new(base);
    let version = resource.api_version.as_deref();
    let layer = match (resource.style, version) {
        (None, None) => Ok(layer),
        (Some(Style::V1), _) => layer.v1(),
        (Some(Style::Inference), version) => layer.inference(version.unwrap_or(INFERENCE_VERSION)),
        (Some(Style::Classic) | None, version) => layer.classic(version.unwrap_or(CLASSIC_VERSION)),
    };
    let layer = layer.map_err(|error| problem(resource, "style", &error))?;
    let layer = said(layer, endpoint.deployment.as_deref(), |layer, name| layer.deployment(Arc::<str>::from(name)));
    Ok(layer.defaults(defaults(&endpoint.request_defaults)))
}

fn defaults(config: &RequestDefaultsConfig) -> Defaults {
    let defaults = said(Defaults::new(), config.temperature, Defaults::temperature);
    let defaults = said(defaults, config.top_p, Defaults::top_p);
    let defaults = said(defaults, config.max_tokens, Defaults::max_tokens);
    said(defaults, config.max_completion_tokens, Defaults::max_completion_tokens)
}

/// What the resource's endpoints send, `None` for nothing.
pub(in crate::stack) fn credential(resource: &ResourceConfig, base: &BaseUrl) -> Result<Option<TokenCache>, Problems> {
    if let Some(key) = &resource.api_key {
        let token = token(key.expose(), resource, base).map_err(|error| problem(resource, "api_key", &error))?;
        return Ok(Some(TokenCache::new(token)));
    }
    entra(resource, base)
}

fn token(key: &str, resource: &ResourceConfig, base: &BaseUrl) -> Result<Token, InvalidSecret> {
    let is_openai = base.host() == Host::OpenAi
        || resource.openai_compatible == Some(true)
        || (base.host() == Host::Other && is_v1(&resource.base_url));
    match &resource.key_header {
        Some(KeyHeader::Bearer) => Token::bearer(key),
        Some(KeyHeader::Named(name)) => {
            let name = HeaderName::try_from(name.as_str());
            name.map_or_else(|_| Token::api_key(""), |name| Token::in_header(name, key))
        }
        None if is_openai => Token::bearer(key),
        Some(KeyHeader::ApiKey) | None => Token::api_key(key),
    }
}

/// As OpenAI's SDKs name an address.
fn is_v1(address: &str) -> bool {
    let address = address.trim_end_matches('/');
    address.ends_with("/v1") && !address.ends_with("/openai/v1")
}

#[cfg(feature = "entra")]
fn entra(resource: &ResourceConfig, base: &BaseUrl) -> Result<Option<TokenCache>, Problems> {
    use crate::{
        config::{CredentialConfig, Secret},
        endpoint::EntraCredential,
    };

    let credential = match &resource.credential {
        None => return Ok(None),
        Some(CredentialConfig::ManagedIdentity) => EntraCredential::managed_identity(),
        Some(CredentialConfig::WorkloadIdentity) => EntraCredential::workload_identity(),
        Some(CredentialConfig::DeveloperTools) => EntraCredential::developer_tools(),
        Some(CredentialConfig::ClientSecret(application)) => {
            let secret = application.client_secret.as_ref().map(Secret::expose).unwrap_or_default();
            EntraCredential::client_secret(&application.tenant_id, &application.client_id, secret)
        }
    };
    let credential = match &resource.entra_scope {
        Some(scope) => credential.scope(scope.as_str()),
        None => credential.scope_of(base),
    };
    Ok(Some(TokenCache::new(credential)))
}

#[cfg(not(feature = "entra"))]
fn entra(resource: &ResourceConfig, _: &BaseUrl) -> Result<Option<TokenCache>, Problems> {
    match &resource.credential {
        None => Ok(None),
        Some(_) => Err(problem(resource, "credential", &"tokens of Microsoft Entra ID need the feature `entra`")),
    }
}

fn problem(resource: &ResourceConfig, key: &str, what: &dyn std::fmt::Display) -> Problems {
    wrong(format!("resources.{}.{key}", resource.name), what.to_string())
}
