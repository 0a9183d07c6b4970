//! A JSON value that should be a string, and may be anything.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string, or a number as its digits; everything else is taken without complaint and has no text.
#[derive(Default)]
pub(super) struct Scalar<'a> {
    pub(super) text: Option<Cow<'a, str>>,
    /// Whether the value was `true`.
    pub(super) truth: bool,
}

impl<'a> From<Cow<'a, str>> for Scalar<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self { text: Some(text), truth: false }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text).into())
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::<str>::Owned(text.to_owned()).into())
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Cow::<str>::Owned(number.to_string()).into())
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Cow::<str>::Owned(number.to_string()).into())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Scalar::default())
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
                Ok(Scalar { text: None, truth })
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::default())
            }
        }
        deserializer.deserialize_any(Any)
    }
}
