//! Spillover: a standard deployment of the same resource serves what a provisioned one cannot.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::decide::{Asked, Decision};
use crate::answer::headers;

/// What an answer says about spillover.
#[derive(Debug, Default)]
pub(super) struct Spill {
    /// The provisioned deployment in whose place another one answered.
    pub(super) from: Option<Arc<str>>,
    /// The status by which the other one failed too.
    pub(super) error: Option<StatusCode>,
}

impl Spill {
    pub(super) fn tell(&self, to: &mut HeaderMap) {
        if let Some(from) = &self.from {
            headers::set(to, "x-ms-spillover-from-deployment", from);
        }
        if let Some(error) = self.error {
            headers::set(to, "x-ms-spillover-error", error.as_str());
        }
    }
}

/// The deployment, by its number, that is to serve what this one did not; by Azure's
/// documentation after 429, 500, 503, and a 400 about a prompt that is too long. The deployment's
/// own setting wins over the request's header.
pub(super) fn target(asked: &Asked<'_>, decision: &Decision, headers: &HeaderMap) -> Option<usize> {
    let provisioned = asked.deployed.filter(|deployed| deployed.is_provisioned())?;
    let Decision::Failure(failure, _) = decision else {
        return None;
    };
    let spills = match failure.status.as_u16() {
        429 | 500 | 503 => true,
        400 => failure.is_context_length(),
        _ => false,
    };
    if !spills || asked.access.is_err() {
        return None;
    }
    let wanted = || headers.get("x-ms-spillover-deployment")?.to_str().ok();
    let name = provisioned.spillover.as_deref().or_else(wanted)?;
    let index = asked.shared.find(name)?;
    let target = asked.shared.config.deployments.get(index)?;
    (!target.is_provisioned()).then_some(index)
}

/// The status by which a decision fails, if it does. A connection that fails inside the service
/// is an error of its gateway's.
pub(super) fn failed(decision: &Decision) -> Option<StatusCode> {
    match decision {
        Decision::Failure(failure, _) => Some(failure.status),
        Decision::Reset | Decision::Hang => Some(StatusCode::BAD_GATEWAY),
        Decision::Success(_) | Decision::Whole(_) | Decision::Raw(..) => None,
    }
}
