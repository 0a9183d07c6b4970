//! Headers that are kept to be sent again, and most often are not.

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers in their order, with all values of each name.
pub(super) enum KeptHeaders {
    /// In one piece, which is one allocation: a map takes two, and a shared handle for each value and name.
    Copied(Vec<u8>),
    /// Those of a request that was not sent.
    Whole(Box<HeaderMap>),
}

/// Before each name and value: how long they are, and whether the value is sensitive.
const PREFIX: usize = 17;

/// As long as most headers are, with their prefix: a copy of longer ones grows.
const ROOM: usize = 64;

impl KeptHeaders {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut copy = Vec::with_capacity(headers.len() * ROOM);
        for (name, value) in headers {
            let name = name.as_str();
            let mut prefix = [0; PREFIX];
            prefix[..8].copy_from_slice(&(name.len() as u64).to_be_bytes());
            prefix[8..16].copy_from_slice(&(value.len() as u64).to_be_bytes());
            prefix[16] = u8::from(value.is_sensitive());
            copy.extend_from_slice(&prefix);
            copy.extend_from_slice(name.as_bytes());
            copy.extend_from_slice(value.as_bytes());
        }
        Self::Copied(copy)
    }

    pub(super) fn into_map(self) -> HeaderMap {
        let mut copy = match self {
            Self::Copied(copy) => Bytes::from(copy),
            Self::Whole(headers) => return *headers,
        };
        let mut headers = HeaderMap::new();
        // What a map held is valid, and not too much for another.
        while let Some((name, value)) = next(&mut copy) {
            let _ = headers.try_append(name, value);
        }
        headers
    }
}

/// Takes the first header off the copy; its value shares the copy's memory.
fn next(copy: &mut Bytes) -> Option<(HeaderName, HeaderValue)> {
    let name = copy.try_get_u64().ok()?;
    let value = copy.try_get_u64().ok()?;
    let is_sensitive = copy.try_get_u8().ok()? != 0;
    let name = HeaderName::from_bytes(&take(copy, name)?).ok()?;
    let mut value = HeaderValue::from_maybe_shared(take(copy, value)?).ok()?;
    value.set_sensitive(is_sensitive);
    Some((name, value))
}

fn take(copy: &mut Bytes, length: u64) -> Option<Bytes> {
    let length = usize::try_from(length).ok().filter(|length| *length <= copy.len())?;
    Some(copy.split_to(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 6] = ["a", "b", "accept", "content-type", "x-ms-client-request-id", LONG];
    const LONG: &str = "x-that-is-longer-than-what-the-parser-of-names-has-room-for-on-its-stack-and-not-known";

    fn value() -> impl Strategy<Value = HeaderValue> {
        (prop::collection::vec(any::<u8>(), 0..100), any::<bool>()).prop_map(|(mut bytes, is_sensitive)| {
            bytes.retain(|byte| *byte >= b' ' && *byte != 127);
            let mut value = HeaderValue::from_bytes(&bytes).expect("valid");
            value.set_sensitive(is_sensitive);
            value
        })
    }

    fn told(headers: &HeaderMap) -> Vec<(&HeaderName, &[u8], bool)> {
        headers.iter().map(|(name, value)| (name, value.as_bytes(), value.is_sensitive())).collect()
    }

    proptest! {
        #[test]
        fn headers_come_back_in_their_order_with_all_their_values_and_what_is_sensitive_stays_so(
            headers in prop::collection::vec((prop::sample::select(&NAMES[..]), value()), 0..15),
            removed in prop::sample::select(&NAMES[..]),
        ) {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, value);
            }
            // Which puts the last in its place.
            map.remove(removed);
            let kept = [KeptHeaders::of(&map), KeptHeaders::Whole(Box::new(map.clone()))];
            for again in kept.map(KeptHeaders::into_map) {
                prop_assert_eq!(told(&again), told(&map));
            }
        }
    }
}
