//! A key or a token, ready to be put into a request.

use std::{env, fmt};

use http::{HeaderName, HeaderValue, header};
use tokio::time::Instant;

use crate::{InvalidSecret, strip::is_connection};

/// A key or token as it stands in a request's header: marked sensitive, never shown.
///
/// By itself it is a [`Credential`](crate::Credential) that never changes.
///
/// ```
/// use tower_aoai_endpoint::Token;
///
/// let key = Token::api_key("0123456789abcdef")?;
/// assert_eq!(format!("{key:?}"), "Token(api-key)");
/// assert!(Token::bearer("Bearer eyJ0").is_err(), "the word is added");
/// # Ok::<(), tower_aoai_endpoint::InvalidSecret>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Token {
    name: HeaderName,
    value: HeaderValue,
    expires_at: Option<Instant>,
}

/// Where the key of Azure OpenAI's own SDKs stands.
const AZURE_KEY: &str = "AZURE_OPENAI_API_KEY";
/// Where their Entra token stands.
const AZURE_TOKEN: &str = "AZURE_OPENAI_AD_TOKEN";
/// Where the key of OpenAI's own SDKs stands.
const OPENAI_KEY: &str = "OPENAI_API_KEY";

impl Token {
    /// A key of an Azure resource, sent as `api-key`. White space around it is taken off.
    ///
    /// # Errors
    ///
    /// If it is empty, or no header may hold it.
    pub fn api_key(key: &str) -> Result<Self, InvalidSecret> {
        Self::in_header(HeaderName::from_static("api-key"), key)
    }

    /// An Entra token, or a key of OpenAI's, sent as `authorization: Bearer …`. White space around it is taken off.
    ///
    /// # Errors
    ///
    /// If it is empty, begins with `Bearer` itself, or no header may hold it.
    pub fn bearer(token: &str) -> Result<Self, InvalidSecret> {
        let token = token.trim();
        let first = token.split_ascii_whitespace().next().unwrap_or_default();
        if first.eq_ignore_ascii_case("bearer") {
            return Err(InvalidSecret::Scheme);
        }
        let value = secret(token).and_then(|_| secret(&format!("Bearer {token}")))?;
        Ok(Self { name: header::AUTHORIZATION, value, expires_at: None })
    }

    /// A key in a header of its own, such as `ocp-apim-subscription-key` for a gateway before Azure OpenAI.
    ///
    /// # Errors
    ///
    /// If it is empty, no header may hold it, or the header belongs to the connection.
    pub fn in_header(name: HeaderName, key: &str) -> Result<Self, InvalidSecret> {
        if is_connection(&name) || name == header::CONTENT_TYPE {
            return Err(InvalidSecret::Header { name: name.to_string() });
        }
        Ok(Self { name, value: secret(key.trim())?, expires_at: None })
    }

    /// The credential of an Azure resource from the environment: the key in `AZURE_OPENAI_API_KEY`, else the Entra token
    /// in `AZURE_OPENAI_AD_TOKEN`, as the official SDKs read them. Read once, now.
    ///
    /// # Errors
    ///
    /// If neither is set to something, or what is set cannot stand in a header.
    pub fn from_env() -> Result<Self, InvalidSecret> {
        Self::from_variables(&[AZURE_KEY, AZURE_TOKEN], |name| env::var(name).ok())
    }

    /// The key of OpenAI itself from the environment, `OPENAI_API_KEY`. Read once, now.
    ///
    /// # Errors
    ///
    /// As for [`from_env`](Self::from_env).
    pub fn openai_from_env() -> Result<Self, InvalidSecret> {
        Self::from_variables(&[OPENAI_KEY], |name| env::var(name).ok())
    }

    fn from_variables(
        variables: &'static [&'static str],
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidSecret> {
        let set = variables.iter().find_map(|name| {
            let value = read(name).filter(|value| !value.trim().is_empty())?;
            Some((*name, value))
        });
        let (name, value) = set.ok_or(InvalidSecret::Unset { variables })?;
        let token = if name == AZURE_KEY { Self::api_key(&value) } else { Self::bearer(&value) };
        token.map_err(|problem| InvalidSecret::Variable { name, problem: Box::new(problem) })
    }

    /// Says until when it is good; without, it never expires.
    #[must_use]
    pub const fn expires_at(mut self, at: Instant) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Until when it is good, if it expires.
    #[must_use]
    pub const fn expiry(&self) -> Option<Instant> {
        self.expires_at
    }

    pub(crate) fn is_good(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }

    pub(crate) const fn name(&self) -> &HeaderName {
        &self.name
    }

    pub(crate) const fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Whether a server could not tell the two apart.
    pub(crate) fn is_same_secret(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

fn secret(text: &str) -> Result<HeaderValue, InvalidSecret> {
    if text.is_empty() {
        return Err(InvalidSecret::Empty);
    }
    if let Some(at) = text.bytes().position(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err(InvalidSecret::Character { at });
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| InvalidSecret::Character { at: 0 })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header's name alone.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_the_official_sdks_read_it() {
        const BOTH: &[&str] = &[AZURE_KEY, AZURE_TOKEN];
        let read = |set: &'static [(&'static str, &'static str)]| {
            Token::from_variables(BOTH, |name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let key = read(&[(AZURE_KEY, " k\n"), (AZURE_TOKEN, "t")]).unwrap();
        assert_eq!((key.name().as_str(), key.value().as_bytes()), ("api-key", &b"k"[..]));
        let token = read(&[(AZURE_KEY, " "), (AZURE_TOKEN, "t")]).unwrap();
        assert_eq!((token.name().as_str(), token.value().as_bytes()), ("authorization", &b"Bearer t"[..]));
        let unset = read(&[]).unwrap_err().to_string();
        assert_eq!(unset, "no credential in the environment: set AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN");
        let broken = read(&[(AZURE_KEY, "se\u{e9}cret")]).unwrap_err().to_string();
        assert!(broken.starts_with("AZURE_OPENAI_API_KEY: ") && broken.contains("byte 2") && !broken.contains("cret"));
    }

    #[test]
    fn what_no_header_may_hold_is_refused_and_never_shown() {
        assert_eq!(Token::api_key(" \n"), Err(InvalidSecret::Empty));
        assert_eq!(Token::bearer(""), Err(InvalidSecret::Empty));
        assert_eq!(Token::bearer("bearer x"), Err(InvalidSecret::Scheme));
        assert_eq!(Token::api_key("ab\ncd"), Err(InvalidSecret::Character { at: 2 }));
        assert!(matches!(Token::in_header(header::HOST, "x"), Err(InvalidSecret::Header { .. })));
        let token = Token::in_header(HeaderName::from_static("ocp-apim-subscription-key"), "s3cret").unwrap();
        assert!(token.value().is_sensitive());
        assert_eq!(format!("{token:?}"), "Token(ocp-apim-subscription-key)");
    }
}
