//! Resources: addresses, styles, credentials.

use std::collections::BTreeMap;

use http::HeaderName;

use super::Check;
use crate::{
    config::{Config, CredentialConfig, KeyHeader, Problem, ResourceConfig, Style},
    endpoint::{BaseUrl, EndpointLayer, Host, InvalidBaseUrl, InvalidStyle, Token},
};

const ADDRESS: &str = "the address, such as \"https://contoso.openai.azure.com\"";

pub(super) fn judge(check: &mut Check, config: &Config) {
    let mut names = BTreeMap::new();
    for (index, resource) in config.resources.iter().enumerate() {
        let key = |field: &str| format!("resources[{index}].{field}");
        check.name(key("name"), &resource.name, "resource", &mut names);
        if resource.base_url.trim().is_empty() {
            check.missing(key("base_url"), ADDRESS);
        }
        let address = if resource.base_url.trim().is_empty() { None } else { Some(resource.address()) };
        match address {
            Some(Err(_)) if is_like_a_key(&resource.base_url) => {
                let message = "is a key, by its looks, and no address; write the address here, and the key as the key";
                check.add(Problem::new(key("base_url"), message).of_secret());
            }
            Some(Err(InvalidBaseUrl::Http { right })) => {
                let message = format!(
                    "http:// would send the key in the clear; write {right}, or allow_http = true for its resource, \
                     in a file or in code"
                );
                check.add(
                    Problem::new(key("base_url"), message)
                        .blind("begins with http://; write https://, or allow_http = true for its resource"),
                );
            }
            Some(Err(error)) => {
                check.add(Problem::new(key("base_url"), error.to_string()).blind(
                    "what the variable holds is no base URL; give it one such as https://contoso.openai.azure.com",
                ));
            }
            Some(Ok(base)) => {
                style(check, resource, base.clone(), &key);
                if resource.api_key.is_none() && resource.credential.is_none() && base.host() != Host::Other {
                    check.remark(
                        key("name"),
                        "has neither api_key nor credential; its calls go without, unless code gives one",
                    );
                }
            }
            None => {}
        }
        credential(check, resource, &key);
        if !resource.name.is_empty() && !config.endpoints.iter().any(|endpoint| endpoint.resource == resource.name) {
            check.remark(key("name"), format!("{:?} has no endpoint; nothing is sent to it", resource.name));
        }
    }
}

impl ResourceConfig {
    /// Where it is.
    ///
    /// # Errors
    ///
    /// What is wrong with its address, and what would be right.
    pub fn address(&self) -> Result<BaseUrl, InvalidBaseUrl> {
        let base = match self.allow_http {
            Some(true) => BaseUrl::allow_http(&self.base_url),
            _ => self.base_url.parse(),
        }?;
        Ok(if self.openai_compatible == Some(true) { base.openai_compatible() } else { base })
    }
}

/// Whether a text could be a key that was put into the wrong place, and had better not be shown.
fn is_like_a_key(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 24 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether it is what documentation writes for a key; no key of Azure's has brackets.
fn is_placeholder(api_key: &str) -> bool {
    let api_key = api_key.trim();
    [('<', '>'), ('[', ']'), ('{', '}')]
        .iter()
        .any(|(open, close)| api_key.starts_with(*open) && api_key.ends_with(*close))
}

/// The last dated version of Azure OpenAI's that is no preview: Azure's documentation.
const LAST_VERSION: &str = "2024-10-21";

/// Whether a version is of an earlier day, preview or not; dates are written so that they sort.
fn is_old(version: &str) -> bool {
    version.trim().get(..LAST_VERSION.len()).is_some_and(|date| date < LAST_VERSION)
}

/// Why a style is none.
fn refused(layer: Result<EndpointLayer, InvalidStyle>) -> Option<InvalidStyle> {
    layer.err()
}

fn style(check: &mut Check, resource: &ResourceConfig, base: BaseUrl, key: &impl Fn(&str) -> String) {
    let layer = EndpointLayer::new(base);
    let version = resource.api_version.as_deref();
    let error = match (resource.style, version) {
        (Some(Style::V1), Some(_)) => {
            return check
                .wrong(key("api_version"), "v1 paths have no api-version; leave it out, or write style = \"classic\"");
        }
        (None, None) => None,
        (Some(Style::V1), None) => refused(layer.v1()),
        (Some(Style::Inference), version) => refused(layer.inference(version.unwrap_or("2024-05-01-preview"))),
        (Some(Style::Classic) | None, version) => refused(layer.classic(version.unwrap_or("2024-10-21"))),
    };
    if let Some(version) =
        version.filter(|version| error.is_none() && resource.style != Some(Style::Inference) && is_old(version))
    {
        check.add_remark(
            Problem::new(
                key("api_version"),
                format!(
                    "{version:?} is older than {LAST_VERSION}, the last one that is no preview: answers may lack what is \
                     counted on here, and versions that do not know stream_options refuse streams that are to tell their \
                     usage; write {LAST_VERSION:?}, or leave it out and write style = \"v1\"; if it has to stay, write \
                     include_usage = false for its endpoints"
                ),
            )
            .blind(
                "what the variable holds is older than 2024-10-21, the last api-version that is no preview: give it that \
                 one, for old ones may refuse streams that are to tell their usage",
            ),
        );
    }
    if let Some(error) = error {
        let field = match error {
            InvalidStyle::NoApiVersion | InvalidStyle::ApiVersion { .. } => "api_version",
            _ => "style",
        };
        check.add(
            Problem::new(key(field), error.to_string())
                .blind("what the variable holds is no api-version; give it one such as 2024-10-21"),
        );
    }
}

fn credential(check: &mut Check, resource: &ResourceConfig, key: &impl Fn(&str) -> String) {
    if let Some(api_key) = &resource.api_key {
        let token = match &resource.key_header {
            Some(KeyHeader::Bearer) => Token::bearer(api_key.expose()),
            Some(KeyHeader::Named(name)) => match HeaderName::try_from(name.as_str()) {
                Ok(name) => Token::in_header(name, api_key.expose()),
                Err(_) => Token::api_key(api_key.expose()),
            },
            _ => Token::api_key(api_key.expose()),
        };
        if let Err(error) = token {
            check.wrong(key("api_key"), error.to_string());
        } else if is_placeholder(api_key.expose()) {
            check.wrong(
                key("api_key"),
                "is a placeholder in brackets, and no key; write the key of the resource in its place",
            );
        }
        if resource.credential.is_some() {
            check.wrong(key("credential"), "there is an api_key, too; leave one of the two out");
        }
    } else if resource.key_header.is_some() {
        check.wrong(key("key_header"), "there is no api_key that could stand in it; give one, or leave this out");
    }
    if let Some(KeyHeader::Named(name)) = &resource.key_header {
        check.header(key("key_header"), name);
    }
    if resource.credential.is_some() && cfg!(not(feature = "entra")) {
        check.wrong(key("credential"), "tokens of Microsoft Entra ID need the feature `entra`; build with it");
    }
    if resource.entra_scope.is_some() && resource.credential.is_none() {
        check.wrong(key("entra_scope"), "there is no credential that could ask for it; give one, or leave this out");
    }
    if let Some(CredentialConfig::ClientSecret(application)) = &resource.credential {
        let secret = application.client_secret.as_ref().map_or("", |secret| secret.expose());
        let fields = [
            ("tenant_id", application.tenant_id.as_str(), "the directory's id"),
            ("client_id", &application.client_id, "the application's id"),
            ("client_secret", secret, "\"${NAME_OF_A_VARIABLE}\""),
        ];
        for (field, value, right) in fields {
            if value.trim().is_empty() {
                check.missing(key(&format!("credential.{field}")), right);
            }
        }
    }
}
