use std::{error::Error, fmt};

use tower_aoai_core::BoxError;

/// Settings that make no transport.
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidTransport {
    /// This is no address of a proxy.
    Proxy(String),
    /// This is no certificate: it is not PEM, or not X.509.
    Certificate(BoxError),
    /// The system's certificates cannot be read, or there are none.
    NoCertificates(BoxError),
    /// rustls does not work with these settings.
    Tls(BoxError),
}

impl fmt::Display for InvalidTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy(address) => write!(
                f,
                "{address:?} is no address of a proxy: something like http://proxy.example.com:3128 is wanted; the \
                 address of a proxy begins with http:// also where what is asked for through it is https://"
            ),
            Self::Certificate(_) => {
                f.write_str("the certificate to trust cannot be read: PEM with one or more X.509 certificates is wanted")
            }
            Self::NoCertificates(_) => f.write_str(
                "the system has no certificates to trust that can be read: on Debian the package ca-certificates brings \
                 them; or use those that are built in",
            ),
            Self::Tls(_) => f.write_str("TLS cannot be set up"),
        }
    }
}

impl Error for InvalidTransport {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Proxy(_) => None,
            Self::Certificate(source) | Self::NoCertificates(source) | Self::Tls(source) => Some(&**source),
        }
    }
}
