//! Resources: where endpoints are, and who may call them.

use toml::de::DeValue;

use super::{
    Secret,
    read::{Node, Read, Words, words},
    setting::section,
};

section! {
    /// An Azure OpenAI resource, or another server of the same language: an address and a credential, which its
    /// endpoints share.
    pub struct ResourceConfig {
        /// Its name, by which endpoints refer to it. Required.
        pub name: String,
        /// Its address, as [`BaseUrl`](crate::endpoint::BaseUrl) reads it: `https://contoso.openai.azure.com`. Required.
        pub base_url: String,
        /// Its key. Default: none is sent, unless there is a [credential](Self::credential).
        pub api_key: Option<Secret>,
        /// In which header the key stands. Default: `api-key` at Azure, a `Bearer` at OpenAI and where the address is
        /// OpenAI's way of naming one (it ends in `/v1`, or is [compatible](Self::openai_compatible)).
        pub key_header: Option<KeyHeader>,
        /// Tokens of Microsoft Entra ID in the key's stead; needs the feature `entra`. Default: none.
        pub credential: Option<CredentialConfig>,
        /// The scope for which such tokens are asked. Default: that of the address's cloud.
        pub entra_scope: Option<String>,
        /// How its paths name model and version. Default: v1, or the inference route where the host has no other.
        pub style: Option<Style>,
        /// The api-version of the classic paths (`2024-10-21` if nothing else is said) or of the inference route
        /// (`2024-05-01-preview`). v1 paths have none. Said without a style, it means classic paths.
        pub api_version: Option<String>,
        /// Takes `http://` for an address other than this machine: the key goes over the network in the clear.
        /// Default false.
        pub allow_http: Option<bool>,
        /// `chat/completions` stands right below the address as it is written, as the OpenAI SDKs take it. Default false.
        pub openai_compatible: Option<bool>,
    }
}

/// How an endpoint's paths name model and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Style {
    /// `/openai/v1/…`, the deployment in the body's `model`.
    V1,
    /// `/openai/deployments/{deployment}/…?api-version=…`.
    Classic,
    /// `/models/…?api-version=…`.
    Inference,
}

/// In which header a key stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyHeader {
    /// `api-key`, as Azure OpenAI has it.
    ApiKey,
    /// `authorization: Bearer …`, as OpenAI has it.
    Bearer,
    /// Another, as gateways have it: `ocp-apim-subscription-key`.
    Named(String),
}

/// Which identity asks Microsoft Entra ID for tokens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CredentialConfig {
    /// The managed identity of the machine, function or app that this runs on.
    ManagedIdentity,
    /// The workload identity of a Kubernetes pod.
    WorkloadIdentity,
    /// Who is signed in to the Azure CLI or the Azure Developer CLI.
    DeveloperTools,
    /// An application with a secret.
    ClientSecret(ClientSecret),
}

section! {
    /// An application with a secret, registered with Microsoft Entra ID.
    pub struct ClientSecret {
        /// The directory's id. Required.
        pub tenant_id: String,
        /// The application's id. Required.
        pub client_id: String,
        /// Its secret. Required.
        pub client_secret: Option<Secret>,
    }
}

impl ResourceConfig {
    /// A resource at this address, called by v1 paths and, as yet, without a credential.
    pub fn new(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self { name: name.into(), base_url: base_url.into(), ..Self::default() }
    }

    /// Its key. It is in no `Debug`, log or error.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Tokens of Microsoft Entra ID in the key's stead; needs the feature `entra`.
    #[must_use]
    pub fn credential(mut self, credential: CredentialConfig) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Addresses it by classic paths with this api-version.
    #[must_use]
    pub fn classic(mut self, api_version: impl Into<String>) -> Self {
        self.style = Some(Style::Classic);
        self.api_version = Some(api_version.into());
        self
    }
}

words!(Style { "v1" => Self::V1, "classic" => Self::Classic, "inference" => Self::Inference });

/// `"api-key"`, `"bearer"`, or a header's name.
impl Read for KeyHeader {
    fn read(node: &Node<'_>) -> Option<Self> {
        let name = node.text(&Self::wanted())?;
        Some(match &*name.to_ascii_lowercase() {
            "api-key" => Self::ApiKey,
            "bearer" => Self::Bearer,
            _ => Self::Named(name.into_owned()),
        })
    }

    fn wanted() -> String {
        "\"api-key\", \"bearer\", or the name of a header".to_owned()
    }
}

/// An identity that needs nothing else than its kind.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Identity {
    Managed,
    Workload,
    Developer,
}

words!(Identity {
    "managed-identity" => Self::Managed,
    "workload-identity" => Self::Workload,
    "developer-tools" => Self::Developer,
});

impl Read for CredentialConfig {
    fn read(node: &Node<'_>) -> Option<Self> {
        match node.value() {
            DeValue::Table(_) => ClientSecret::read(node).map(Self::ClientSecret),
            DeValue::String(_) => Identity::read(node).map(|identity| match identity {
                Identity::Managed => Self::ManagedIdentity,
                Identity::Workload => Self::WorkloadIdentity,
                Identity::Developer => Self::DeveloperTools,
            }),
            _ => {
                node.not(&Self::wanted());
                None
            }
        }
    }

    fn wanted() -> String {
        format!("{}, or {{ tenant_id, client_id, client_secret }}", Identity::listed())
    }
}
