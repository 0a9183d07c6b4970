//! Whom to believe.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::InvalidTransport;

/// Which certificates are trusted.
#[derive(Debug, Clone, Default)]
pub(super) struct Trust {
    #[cfg(feature = "native-roots")]
    pub(super) is_native: bool,
    /// PEM, of authorities of one's own.
    pub(super) more: Vec<Vec<u8>>,
}

impl Trust {
    pub(super) fn tls(&self) -> Result<ClientConfig, InvalidTransport> {
        let mut roots = self.roots()?;
        for pem in &self.more {
            let mut is_empty = true;
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|error| InvalidTransport::Certificate(error.to_string().into()))?;
                roots.add(certificate).map_err(|error| InvalidTransport::Certificate(error.into()))?;
                is_empty = false;
            }
            if is_empty {
                return Err(InvalidTransport::Certificate("there is no BEGIN CERTIFICATE".into()));
            }
        }
        // By name: a process may have another default, or two of them and therefore none.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidTransport::Tls(error.into()))?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    #[cfg(feature = "native-roots")]
    fn roots(&self) -> Result<RootCertStore, InvalidTransport> {
        if !self.is_native {
            return Ok(built_in());
        }
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable > 0 {
            return Ok(roots);
        }
        let why = found.errors.into_iter().next();
        Err(InvalidTransport::NoCertificates(why.map_or_else(|| "none was found".into(), Into::into)))
    }

    #[cfg(not(feature = "native-roots"))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "as with the system's certificates")]
    fn roots(&self) -> Result<RootCertStore, InvalidTransport> {
        Ok(built_in())
    }
}

fn built_in() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}
