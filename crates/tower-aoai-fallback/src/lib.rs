//! Ordered alternatives for a call: a provisioned deployment, then standard; another model, another provider.
//!
//! **As yet this crate goes to the next leg where the last one refused or was throttled**: its types, bounds and place
//! in a stack are what they will be; conditions, waiting or spilling by deadline and price, and the rewriting for
//! another model are not there.
//!
//! [`FallbackLayer`] stands above the retries: a failed region is another endpoint's business first. A leg that
//! differs in type from the others is erased with tower's `BoxCloneSyncServiceLayer`.

mod future;
mod layer;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{FallbackLayer, Leg, NoLegs},
    service::Fallback,
};
