//! Values of every type that a setting may have.

use std::{ops::RangeInclusive, time::Duration};

use toml::de::{DeInteger, DeValue};
use tower_aoai_core::parse_duration;

use super::{
    node::Node,
    words::{Words, nearest},
};
use crate::{
    config::{Limit, Secret},
    cost::{Money, Tag},
};

/// A type that can be read from a value; what is wrong is noted where it is found.
pub(crate) trait Read: Sized {
    fn read(node: &Node<'_>) -> Option<Self>;

    /// How one is written.
    fn wanted() -> String;
}

/// A type that can be a table's key.
pub(crate) trait Key: Ord + Clone {
    fn of_key(key: &str) -> Result<Self, String>;
}

impl Key for String {
    fn of_key(key: &str) -> Result<Self, String> {
        match key {
            "" => Err("a name is empty; give it one".to_owned()),
            _ if key.contains("${") => Err("variables stand in values alone; write the name itself".to_owned()),
            _ => Ok(key.to_owned()),
        }
    }
}

impl Key for Tag {
    fn of_key(key: &str) -> Result<Self, String> {
        Self::of_word(key).ok_or_else(|| {
            let near = nearest(key, Self::WORDS.iter().map(|(word, _)| *word));
            let right = near.map_or_else(Self::listed, |near| format!("{near:?}"));
            format!("there is no tag {key:?}; write {right}")
        })
    }
}

impl<T: Words> Read for T {
    fn read(node: &Node<'_>) -> Option<Self> {
        let word = node.text(&Self::wanted())?;
        let value = Self::of_word(&word);
        if value.is_none() {
            let known = Self::WORDS.iter().map(|(word, _)| *word);
            match nearest(&word, known) {
                Some(near) => node.wrong(format!("{} is none of {}; write {near:?}", node.written(), Self::listed())),
                None => node.unfit(&Self::listed()),
            }
        }
        value
    }

    fn wanted() -> String {
        Self::listed()
    }
}

impl Read for bool {
    fn read(node: &Node<'_>) -> Option<Self> {
        match (node.value(), node.variable_text().as_deref()) {
            (DeValue::Boolean(value), _) => Some(*value),
            (_, Some("true")) => Some(true),
            (_, Some("false")) => Some(false),
            _ => {
                node.not(&Self::wanted());
                None
            }
        }
    }

    fn wanted() -> String {
        "true or false".to_owned()
    }
}

/// A whole number, if it is one that lies in the range.
fn whole(node: &Node<'_>, range: RangeInclusive<u64>) -> Option<u64> {
    let number = match (node.value(), node.variable_text()) {
        (DeValue::Integer(number), _) => of_integer(number),
        (_, Some(text)) => text.trim().parse().ok(),
        _ => {
            node.not(&u64::wanted());
            return None;
        }
    };
    let fits = number.and_then(|number| u64::try_from(number).ok()).filter(|number| range.contains(number));
    if fits.is_none() {
        node.unfit(&match *range.end() {
            u64::MAX => "a whole number of 0 or more".to_owned(),
            most => format!("a whole number from 0 to {most}"),
        });
    }
    fits
}

fn of_integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

impl Read for u64 {
    fn read(node: &Node<'_>) -> Option<Self> {
        whole(node, 0..=Self::MAX)
    }

    fn wanted() -> String {
        "a whole number, such as 30".to_owned()
    }
}

impl Read for u32 {
    fn read(node: &Node<'_>) -> Option<Self> {
        whole(node, 0..=Self::MAX.into()).and_then(|number| number.try_into().ok())
    }

    fn wanted() -> String {
        u64::wanted()
    }
}

impl Read for u8 {
    fn read(node: &Node<'_>) -> Option<Self> {
        whole(node, 0..=Self::MAX.into()).and_then(|number| number.try_into().ok())
    }

    fn wanted() -> String {
        u64::wanted()
    }
}

impl Read for usize {
    fn read(node: &Node<'_>) -> Option<Self> {
        whole(node, 0..=Self::MAX as u64).and_then(|number| number.try_into().ok())
    }

    fn wanted() -> String {
        u64::wanted()
    }
}

impl Read for f64 {
    fn read(node: &Node<'_>) -> Option<Self> {
        let number = match (node.value(), node.variable_text()) {
            (DeValue::Integer(number), _) => of_integer(number).map(|number| number as Self),
            (DeValue::Float(number), _) => number.as_str().parse().ok(),
            (_, Some(text)) => text.trim().parse().ok(),
            _ => {
                node.not(&Self::wanted());
                return None;
            }
        };
        let number = number.filter(|number: &Self| number.is_finite());
        if number.is_none() {
            node.unfit(&Self::wanted());
        }
        number
    }

    fn wanted() -> String {
        "a number, such as 0.5".to_owned()
    }
}

impl Read for String {
    fn read(node: &Node<'_>) -> Option<Self> {
        node.text(&Self::wanted()).map(std::borrow::Cow::into_owned)
    }

    fn wanted() -> String {
        "a string, in quotes".to_owned()
    }
}

impl Read for Secret {
    fn read(node: &Node<'_>) -> Option<Self> {
        node.secret().map(Self::from)
    }

    fn wanted() -> String {
        "a string, best \"${NAME_OF_A_VARIABLE}\"".to_owned()
    }
}

impl Read for Duration {
    fn read(node: &Node<'_>) -> Option<Self> {
        if let DeValue::Integer(number) = node.value() {
            let number = number.as_str();
            node.wrong(format!("{number} has no unit; write \"{number}s\" for seconds, or \"{number}ms\""));
            return None;
        }
        let text = node.text(&Self::wanted())?;
        // What has no unit is a mistake: some count in seconds, some in milliseconds.
        let has_unit = text.trim().ends_with(|letter: char| letter.is_ascii_alphabetic());
        let duration = parse_duration(&text).filter(|_| has_unit);
        if duration.is_none() {
            node.unfit(&Self::wanted());
        }
        duration
    }

    fn wanted() -> String {
        "a time with its unit, such as \"800ms\", \"2s\" or \"1m30s\"".to_owned()
    }
}

impl Read for Money {
    fn read(node: &Node<'_>) -> Option<Self> {
        const NANO: f64 = 1e9;
        let dollars = f64::read(node)?;
        // To the last nano-dollar up to nine million dollars.
        let nano_dollars = dollars * NANO;
        if (0.0..=1e18).contains(&nano_dollars) {
            return Some(Self::nano_dollars(nano_dollars.round() as u64));
        }
        node.unfit("dollars, from 0 to a thousand million");
        None
    }

    fn wanted() -> String {
        "dollars, such as 2.50".to_owned()
    }
}

impl<T: Read> Read for Limit<T> {
    fn read(node: &Node<'_>) -> Option<Self> {
        match node.value().as_str() {
            Some(word) if is_unlimited(word) => node.text(word).map(|_| Self::Unlimited),
            _ => T::read(node).map(Self::Of),
        }
    }

    fn wanted() -> String {
        format!("{}, or \"unlimited\"", T::wanted())
    }
}

/// Whether a word lifts a bound.
fn is_unlimited(word: &str) -> bool {
    ["unlimited", "none", "off"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node<'_>) -> Option<Self> {
        let nodes = node.list(&T::wanted())?;
        Some(nodes.iter().filter_map(T::read).collect())
    }

    fn wanted() -> String {
        format!("a list of {}", T::wanted())
    }
}
