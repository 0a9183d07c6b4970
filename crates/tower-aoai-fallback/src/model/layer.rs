use std::sync::Arc;

use tower_layer::Layer;

use super::Model;

/// Asks for this model, whatever the caller asked for.
///
/// The name is written where the request has its own: into the body's `model`, into the deployment of a classic path, or
/// both; nothing else of the request changes by a byte. It is a *logical* name: an endpoint layer below maps it to a
/// deployment. What is estimated, counted or routed below goes by the new name
/// ([`CallContext::call`](tower_aoai_core::CallContext::call)).
///
/// The change is never silent: it is in [`Served::model`](tower_aoai_core::Served::model), unless the answer itself
/// names the model that served it, and in an event. What a model does not know, such as a parameter of its predecessor,
/// stays in the request: the server's refusal is more honest than a silently different call.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_aoai_core::{Error, PrepareLayer, RequestBody, Served};
/// use tower_aoai_fallback::ModelLayer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let client = service_fn(|request: Request<RequestBody>| async move {
///     assert_eq!(request.body().to_bytes(), r#"{"model":"gpt-4o-mini","input":"Hello"}"#);
///     Ok::<_, Error>(Response::new(Full::<Bytes>::from("{}")))
/// });
/// let service =
///     ServiceBuilder::new().layer(PrepareLayer::new()).layer(ModelLayer::new("gpt-4o-mini")).service(client);
/// let request = Request::post("https://r.openai.azure.com/openai/v1/responses")
///     .body(Full::<Bytes>::from(r#"{"model":"gpt-4o","input":"Hello"}"#))
///     .unwrap();
/// let response = service.oneshot(request).await?;
/// let served = response.extensions().get::<Served>().unwrap();
/// assert_eq!(served.model.as_deref(), Some("gpt-4o-mini"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct ModelLayer {
    model: Option<Arc<str>>,
}

impl ModelLayer {
    /// Asks for this model.
    pub fn new(model: impl Into<Arc<str>>) -> Self {
        Self { model: Some(model.into()) }
    }

    /// Leaves every request as it is, without changing the stack's type.
    pub const fn off() -> Self {
        Self { model: None }
    }
}

impl<S> Layer<S> for ModelLayer {
    type Service = Model<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Model::new(inner, self.model.clone())
    }
}
