//! Which chain of legs serves a call: by the model that it asks for.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tower::util::Oneshot;
use tower_service::Service;

use crate::core::{BoxError, Call, CallContext, Error, Reason, Rejected, RequestBody, Sending};

const NAME: &str = "model router";

/// How many names a refusal lists.
const NAMES_SHOWN: usize = 20;

/// Which chain serves which name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Routes {
    by_name: HashMap<Arc<str>, usize>,
    /// What serves names that are not known.
    pub(super) default: Option<usize>,
    /// What serves calls that name no model.
    pub(super) unnamed: Option<usize>,
}

impl Routes {
    pub(super) fn insert(&mut self, name: Arc<str>, chain: usize) {
        self.by_name.insert(name, chain);
    }

    fn of(&self, call: &Call) -> Result<usize, Rejected> {
        let asked = call.model.as_deref().into_iter().chain(call.deployment.as_deref());
        let known = asked.clone().find_map(|name| self.by_name.get(name).copied());
        let named = asked.clone().next();
        let fallback = if named.is_some() { self.default } else { self.unnamed };
        known.or(fallback).ok_or_else(|| self.refusal(named))
    }

    fn refusal(&self, asked: Option<&str>) -> Rejected {
        let mut names: Vec<&str> = self.by_name.keys().map(|name| &**name).collect();
        names.sort_unstable();
        let more = if names.len() > NAMES_SHOWN { ", …" } else { "" };
        names.truncate(NAMES_SHOWN);
        let names = names.join(", ");
        let detail = match asked {
            Some(asked) => format!("there is no model {asked:?} here; there are: {names}{more}"),
            None => format!("the call names no model; one of these is wanted: {names}{more}"),
        };
        Rejected::new(Reason::Unsupported, NAME).detail(detail)
    }
}

/// Sends each call into the chain of its model.
pub(super) struct Router<S> {
    chains: Arc<[S]>,
    routes: Arc<Routes>,
}

impl<S> Router<S> {
    pub(super) const fn new(chains: Arc<[S]>, routes: Arc<Routes>) -> Self {
        Self { chains, routes }
    }
}

impl<S> Service<Request<RequestBody>> for Router<S>
where
    S: Service<Request<RequestBody>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = RouterFuture<S>;

    /// Always ready: only the chosen chain's readiness is needed, and taken inside the future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        match self.routes.of(CallContext::of(&mut request).call()) {
            Ok(chain) => Sending::calling(Box::pin(Oneshot::new(self.chains[chain].clone(), request))),
            Err(refused) => Sending::refused(refused),
        }
    }
}

/// Boxed as an [attempt](super::boxed) is: what is above moves it.
pub(super) type RouterFuture<S> = Sending<Pin<Box<Oneshot<S, Request<RequestBody>>>>>;

impl<S> Clone for Router<S> {
    fn clone(&self) -> Self {
        Self { chains: Arc::clone(&self.chains), routes: Arc::clone(&self.routes) }
    }
}

impl<S> fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("routes", &self.routes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(model: Option<&str>, deployment: Option<&str>) -> Call {
        let mut call = Call::default();
        call.model = model.map(Into::into);
        call.deployment = deployment.map(Into::into);
        call
    }

    #[test]
    fn a_call_goes_where_its_model_or_its_deployment_says() {
        let mut routes = Routes::default();
        routes.insert("chat".into(), 0);
        routes.insert("advanced".into(), 1);
        assert_eq!(routes.of(&call(Some("advanced"), None)), Ok(1));
        assert_eq!(routes.of(&call(None, Some("chat"))), Ok(0));
        assert_eq!(routes.of(&call(Some("unknown"), Some("chat"))), Ok(0), "who names two is known by one");
        let refused = routes.of(&call(Some("gpt-9"), None)).expect_err("unknown").to_string();
        assert!(refused.ends_with(r#"there is no model "gpt-9" here; there are: advanced, chat"#), "{refused}");
        assert!(routes.of(&call(None, None)).is_err());
        routes.default = Some(1);
        routes.unnamed = Some(0);
        assert_eq!((routes.of(&call(Some("gpt-9"), None)), routes.of(&call(None, None))), (Ok(1), Ok(0)));
    }
}
