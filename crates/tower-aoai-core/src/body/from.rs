//! What a request body is made of.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::Body;
use http_body_util::{Empty, Full};

use super::RequestBody;

macro_rules! from {
    ($($source:ty),*) => {$(
        impl From<$source> for RequestBody {
            fn from(source: $source) -> Self {
                Self::from(Bytes::from(source))
            }
        }
    )*};
}

from!(Vec<u8>, String, &'static str, &'static [u8]);

/// What is left of it.
impl From<Full<Bytes>> for RequestBody {
    fn from(mut full: Full<Bytes>) -> Self {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut full).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().map(Self::from).unwrap_or_default(),
            _ => Self::empty(),
        }
    }
}

impl From<Empty<Bytes>> for RequestBody {
    fn from(_: Empty<Bytes>) -> Self {
        Self::empty()
    }
}
