//! Microsoft Entra ID, as far as it can be told without it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    time::OffsetDateTime,
};
use tokio::time::Instant;
use tower_aoai_endpoint::{BaseUrl, Credential, EntraCredential, Token};

/// Says its scope and how many of its kind there were, in a token of an hour; keeps it, as all of them do.
#[derive(Debug)]
struct Fake(usize);

#[async_trait::async_trait]
impl TokenCredential for Fake {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let expires_on = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
        Ok(AccessToken::new(format!("{}-{}", self.0, scopes.join(" ")), expires_on))
    }
}

fn counted() -> EntraCredential {
    let made = AtomicUsize::new(0);
    EntraCredential::new(move || Ok(Arc::new(Fake(made.fetch_add(1, SeqCst)))))
}

#[tokio::test]
async fn each_token_is_of_a_new_credential_for_the_endpoints_scope_and_expires_when_it_says() {
    let base: BaseUrl = "https://contoso.services.ai.azure.com".parse().unwrap();
    for (credential, scope) in [
        (counted(), "https://cognitiveservices.azure.com/.default"),
        (counted().scope("api://mine/.default"), "api://mine/.default"),
        (counted().scope_of(&base), "https://ai.azure.com/.default"),
    ] {
        for n in 0..2 {
            let now = Instant::now();
            let token = credential.token().await.unwrap();
            let left = token.expiry().unwrap().saturating_duration_since(now);
            assert!((Duration::from_secs(3_500)..Duration::from_secs(3_700)).contains(&left), "{left:?}");
            let expected = Token::bearer(&format!("{n}-{scope}")).unwrap().expires_at(token.expiry().unwrap());
            assert!(token == expected, "token {n} of {scope}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_made_says_why_and_no_debug_shows_a_secret() {
    let credential = EntraCredential::client_secret("tenant", "client", "");
    let error = credential.token().await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("no secret specified"), "{error:?}");
    let credential = EntraCredential::client_secret("tenant", "client", "s3cret");
    assert!(!format!("{credential:?}").contains("s3cret"));
    assert!(Credential::can_change(&credential));
}
