//! Tokens of Microsoft Entra ID, by `azure_identity`.

use std::{fmt, sync::Arc};

use azure_core::{credentials::TokenCredential, time::OffsetDateTime};
use azure_identity::{
    ClientSecretCredential, DeveloperToolsCredential, ManagedIdentityCredential, WorkloadIdentityCredential,
};
use tokio::time::Instant;

use crate::{BaseUrl, Credential, CredentialError, Token, TokenFuture};

type Make = dyn Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync;

/// A credential of Microsoft Entra ID: any of `azure_identity`'s, asked for one scope.
///
/// `azure_identity` keeps tokens itself and gives the same again until 5 minutes before they expire, also after a server
/// refused them. So its credential is made anew for each token, and the [`TokenCache`](crate::TokenCache) alone keeps.
///
/// The identity needs the role "Cognitive Services OpenAI User" on the resource.
#[derive(Clone)]
pub struct EntraCredential {
    kind: &'static str,
    scope: Arc<str>,
    make: Arc<Make>,
}

/// The scope of a host that does not say its own.
const USUAL_SCOPE: &str = "https://cognitiveservices.azure.com/.default";

impl EntraCredential {
    /// Whatever credential of azure_identity, or of your own, `make` makes: when the first token is wanted, and again if it
    /// failed.
    pub fn new<F, C>(make: F) -> Self
    where
        F: Fn() -> azure_core::Result<Arc<C>> + Send + Sync + 'static,
        C: TokenCredential + 'static,
    {
        Self::of("custom", move || make().map(|credential| credential as Arc<dyn TokenCredential>))
    }

    /// An application with a secret: its tenant and client id, as the portal names them. The secret is in no `Debug`.
    #[must_use]
    pub fn client_secret(tenant_id: &str, client_id: &str, secret: &str) -> Self {
        let (tenant_id, client_id, secret) = (tenant_id.to_owned(), client_id.to_owned(), secret.to_owned());
        Self::of("client secret", move || {
            let secret = azure_core::credentials::Secret::new(secret.clone());
            Ok(ClientSecretCredential::new(&tenant_id, client_id.clone(), secret, None)?)
        })
    }

    /// The managed identity of the machine, function or app that this runs on.
    #[must_use]
    pub fn managed_identity() -> Self {
        Self::of("managed identity", || Ok(ManagedIdentityCredential::new(None)?))
    }

    /// The workload identity of a Kubernetes pod, from `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    #[must_use]
    pub fn workload_identity() -> Self {
        Self::of("workload identity", || Ok(WorkloadIdentityCredential::new(None)?))
    }

    /// Who is signed in to the Azure CLI or the Azure Developer CLI: for a developer's own machine.
    #[must_use]
    pub fn developer_tools() -> Self {
        Self::of("developer tools", || Ok(DeveloperToolsCredential::new(None)?))
    }

    /// Asks for tokens of another scope. Default `https://cognitiveservices.azure.com/.default`.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<Arc<str>>) -> Self {
        self.scope = scope.into();
        self
    }

    /// Asks for tokens of the scope that this endpoint's host takes ([`BaseUrl::scope`]), if it has one.
    #[must_use]
    pub fn scope_of(self, base: &BaseUrl) -> Self {
        match base.scope() {
            Some(scope) => self.scope(scope),
            None => self,
        }
    }

    fn of(
        kind: &'static str,
        make: impl Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync + 'static,
    ) -> Self {
        Self { kind, scope: USUAL_SCOPE.into(), make: Arc::new(make) }
    }
}

impl Credential for EntraCredential {
    fn token(&self) -> TokenFuture {
        let Self { make, scope, .. } = self.clone();
        Box::pin(async move {
            let credential = make().map_err(CredentialError::new)?;
            let token = credential.get_token(&[&scope], None).await.map_err(CredentialError::new)?;
            let left = token.expires_on - OffsetDateTime::now_utc();
            // Of a token that has expired, or of a clock that is wrong, nothing is left.
            let left = left.try_into().unwrap_or_default();
            let now = Instant::now();
            let expires_at = now.checked_add(left).unwrap_or(now);
            let token = Token::bearer(token.token.secret()).map_err(CredentialError::new)?;
            Ok(token.expires_at(expires_at))
        })
    }
}

/// The kind and the scope.
impl fmt::Debug for EntraCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntraCredential").field("kind", &self.kind).field("scope", &self.scope).finish_non_exhaustive()
    }
}
