use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Issues Bearer tokens for tests, as Microsoft Entra ID would.
///
/// Clones share everything. A simulator accepts the tokens of the issuer it was
/// [built with](crate::SimulatorBuilder::token_issuer) until they expire or are revoked; the
/// server's token endpoint issues them. Tokens look like Entra's (three parts, beginning with
/// `eyJ`) and say nothing.
///
/// ```
/// use std::time::Duration;
/// use tower_aoai_simulator::TokenIssuer;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let issuer = TokenIssuer::new().client("app", "secret");
/// assert_eq!(issuer.grant("app", "wrong"), None);
/// let token = issuer.grant("app", "secret").unwrap_or_default();
/// assert!(issuer.accepts(&token, tokio::time::Instant::now()));
/// issuer.revoke(&token);
/// assert!(!issuer.accepts(&token, tokio::time::Instant::now()));
/// # }
/// ```
#[derive(Clone)]
pub struct TokenIssuer {
    issued: Arc<Mutex<Issued>>,
}

struct Issued {
    clients: HashMap<String, String>,
    lifetime: Duration,
    /// When each token expires.
    tokens: HashMap<String, Instant>,
    next: u64,
}

impl Default for TokenIssuer {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenIssuer {
    /// One that grants a token to every client, good for an hour, as Entra's are at least.
    #[must_use]
    pub fn new() -> Self {
        Self {
            issued: Arc::new(Mutex::new(Issued {
                clients: HashMap::new(),
                lifetime: Duration::from_secs(3_600),
                tokens: HashMap::new(),
                next: 0,
            })),
        }
    }

    /// A client that is granted tokens; once there is one, others are not.
    #[must_use]
    pub fn client(self, id: &str, secret: &str) -> Self {
        let mut issued = self.issued.lock();
        issued.clients.insert(id.to_owned(), secret.to_owned());
        drop(issued);
        self
    }

    /// How long tokens are good for from now on. Default an hour.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.issued.lock().lifetime = lifetime;
        self
    }

    /// How long a token that is issued now is good for.
    #[must_use]
    pub fn token_lifetime(&self) -> Duration {
        self.issued.lock().lifetime
    }

    /// A token for a client, if it is one.
    #[must_use]
    pub fn grant(&self, id: &str, secret: &str) -> Option<String> {
        let issued = self.issued.lock();
        let known = issued.clients.is_empty() || issued.clients.get(id).is_some_and(|known| known == secret);
        let lifetime = issued.lifetime;
        drop(issued);
        known.then(|| self.issue(lifetime))
    }

    /// A token that is good for this long.
    #[must_use]
    pub fn issue(&self, lifetime: Duration) -> String {
        let now = Instant::now();
        let mut issued = self.issued.lock();
        // The expired are forgotten, so that a long run holds no more than are good.
        issued.tokens.retain(|_, expires| *expires > now);
        issued.next += 1;
        let token = format!("eyJhbGciOiJub25lIn0.eyJzaW11bGF0ZWQiOnRydWV9.{:016x}", issued.next);
        let expires = crate::latency::later(now, lifetime);
        issued.tokens.insert(token.clone(), expires);
        token
    }

    /// Whether this is a token of this issuer that is still good.
    #[must_use]
    pub fn accepts(&self, token: &str, now: Instant) -> bool {
        let issued = self.issued.lock();
        issued.tokens.get(token).is_some_and(|expires| *expires > now)
    }

    /// Takes a token back. Whether it was good.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn revoke(&self, token: &str) -> bool {
        self.issued.lock().tokens.remove(token).is_some()
    }

    /// Takes all tokens back.
    pub fn revoke_all(&self) {
        self.issued.lock().tokens.clear();
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the secrets nor the tokens.
        let issued = self.issued.lock();
        f.debug_struct("TokenIssuer")
            .field("clients", &issued.clients.len())
            .field("lifetime", &issued.lifetime)
            .field("tokens", &issued.tokens.len())
            .finish()
    }
}
