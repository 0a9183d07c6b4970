use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header, response};
use http_body::Body;
use pin_project::pin_project;
use tower_aoai_core::{BoxError, Error};

use super::{ResponseBody, reshape::reshaped};
use crate::KeptBody;

/// The future of an [`ErrorShape`](super::ErrorShape).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, B> {
    #[pin]
    inner: F,
    is_off: bool,
    /// The error answer that is read.
    reading: Option<(response::Parts, KeptBody<B>)>,
}

impl<F, B> ResponseFuture<F, B> {
    pub(super) const fn new(inner: F, is_off: bool) -> Self {
        Self { inner, is_off, reading: None }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut head, mut body) = match this.reading.take() {
            Some(reading) => reading,
            None => {
                let response = ready!(this.inner.poll(cx)).map_err(Error::flatten)?.map(KeptBody::new);
                let status = response.status();
                let is_error = status.is_client_error() || status.is_server_error();
                if *this.is_off || !is_error || is_compressed(response.headers()) {
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                response.into_parts()
            }
        };
        body.read_ahead(cx);
        if !body.is_read() {
            *this.reading = Some((head, body));
            return Poll::Pending;
        }
        Poll::Ready(Ok(match body.whole().and_then(|error| reshaped(head.status, &error)) {
            None => Response::from_parts(head, ResponseBody::inner(body)),
            Some(shaped) => {
                head.headers.remove(header::TRANSFER_ENCODING);
                head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(shaped.len()));
                head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Response::from_parts(head, ResponseBody::shaped(shaped))
            }
        }))
    }
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity")
}
