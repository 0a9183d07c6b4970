//! Where an endpoint's tokens come from.

use std::{
    error::Error as StdError,
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
};

use tower_aoai_core::BoxError;

use crate::Token;

/// What a [`Credential`] answers with: the token, later.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<Token, CredentialError>> + Send>>;

/// Obtains tokens: a static key, an identity provider, a vault.
///
/// It need not cache, join callers or retry: a [`TokenCache`](crate::TokenCache) asks it once for many calls, ahead of
/// the token's expiry, and again with a backoff where it failed. A [`Token`] is a credential of its own.
///
/// ```
/// use tower_aoai_endpoint::{Credential, CredentialError, Token, TokenFuture};
///
/// /// A key that somebody else writes anew into a file now and then.
/// #[derive(Debug)]
/// struct KeyFile(std::path::PathBuf);
///
/// impl Credential for KeyFile {
///     fn token(&self) -> TokenFuture {
///         let path = self.0.clone();
///         Box::pin(async move {
///             let key = std::fs::read_to_string(path).map_err(CredentialError::new)?;
///             Token::api_key(&key).map_err(CredentialError::new)
///         })
///     }
/// }
/// ```
pub trait Credential: fmt::Debug + Send + Sync {
    /// Obtains a token, now, and not one that was kept from before: it is asked when that is about to expire, or was
    /// refused.
    ///
    /// The future may be polled by several tasks in turn, and be dropped at any time.
    fn token(&self) -> TokenFuture;

    /// Whether a token that is asked for later may be another one. Default `true`.
    ///
    /// Of a credential that never changes a call is not kept to be sent again after a 401.
    fn can_change(&self) -> bool {
        true
    }
}

/// Why no token could be obtained.
///
/// What stands in it reaches logs, and never a caller: it should tell what failed, and hold no secret.
#[derive(Debug)]
pub struct CredentialError {
    message: &'static str,
    source: Option<BoxError>,
}

impl CredentialError {
    /// The failure of another library, or a text.
    #[must_use]
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self { message: "no token could be obtained", source: Some(source.into()) }
    }

    pub(crate) const fn because(message: &'static str) -> Self {
        Self { message, source: None }
    }

    /// The message with those of its causes.
    pub(crate) fn chain(&self) -> String {
        /// A chain may be a ring.
        const CAUSES: usize = 8;
        let mut text = self.to_string();
        let mut cause = StdError::source(self);
        for _ in 0..CAUSES {
            let Some(error) = cause else {
                break;
            };
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl StdError for CredentialError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl Credential for Token {
    fn token(&self) -> TokenFuture {
        Box::pin(ready(Ok(self.clone())))
    }

    fn can_change(&self) -> bool {
        false
    }
}

impl<C: Credential + ?Sized> Credential for Arc<C> {
    fn token(&self) -> TokenFuture {
        (**self).token()
    }

    fn can_change(&self) -> bool {
        (**self).can_change()
    }
}
