//! Watches each attempt and writes down how it went.

mod ahead;
mod body;
mod future;
mod layer;
mod observer;
mod service;
mod watch;
mod witness;

#[cfg(test)]
mod tests;

pub use self::{
    body::ObservedBody, future::ResponseFuture, layer::ObserveLayer, observer::Observer,
    service::Observe,
};
