//! Another model in the one's stead that was asked for: the top of a leg that changes it.

mod layer;
mod rewrite;
mod service;

pub use self::{
    layer::ModelLayer,
    service::{Model, ResponseFuture},
};
