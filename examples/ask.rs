//! One call through whatever service there is, to the end of its answer.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{BoxError, Service, ServiceExt};
use tower_aoai::core::Served;

use crate::chat::chat;

/// What the answer's head said, and who served it.
pub(crate) async fn ask<S, B>(service: &S) -> Result<(StatusCode, Served), BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    let response = service.clone().oneshot(chat("Hello")).await.map_err(Into::into)?;
    let served = response.extensions().get::<Served>().cloned().unwrap_or_default();
    let status = response.status();
    response.into_body().collect().await.map_err(Into::into)?;
    Ok((status, served))
}
