//! Variables in texts: `${NAME}`, `${NAME:-default}`, and `$$` for a dollar.

use std::ops::Range;

/// What is wrong in a text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsubstituted {
    pub(crate) at: Range<usize>,
    pub(crate) why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// No variable of this name is set.
    Unset(String),
    /// What stands between the braces is no name.
    NoName,
    /// There is no closing brace.
    Open,
}

/// The text with its variables' values, and whether there are any. What stands behind `:-` is such a text itself.
pub(crate) fn substitute(
    text: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<(String, bool), Vec<Unsubstituted>> {
    let mut reading = Reading { text, at: 0, value, wrong: Vec::new(), is_changed: false };
    let (whole, _) = reading.until(None, 0);
    if reading.wrong.is_empty() { Ok((whole, reading.is_changed)) } else { Err(reading.wrong) }
}

/// The deepest that defaults may stand in defaults: what is deeper is no configuration.
const DEEPEST: usize = 16;

struct Reading<'t, V> {
    text: &'t str,
    at: usize,
    value: V,
    wrong: Vec<Unsubstituted>,
    is_changed: bool,
}

impl<V: Fn(&str) -> Option<String>> Reading<'_, V> {
    /// Up to a closing brace, or the end of the text; whether the brace was there.
    fn until(&mut self, end: Option<char>, depth: usize) -> (String, bool) {
        let mut whole = String::new();
        while let Some(letter) = self.rest().chars().next() {
            if Some(letter) == end {
                return (whole, true);
            } else if self.rest().starts_with("$$") {
                whole.push('$');
                self.at += 2;
            } else if self.rest().starts_with("${") {
                whole.push_str(&self.variable(depth));
            } else {
                whole.push(letter);
                self.at += letter.len_utf8();
            }
        }
        (whole, false)
    }

    /// What stands for `${…}`; what is wrong with it is noted.
    fn variable(&mut self, depth: usize) -> String {
        let (dollar, noted) = (self.at, self.wrong.len());
        self.is_changed = true;
        self.at += "${".len();
        let length = self.rest().find('}').unwrap_or(self.rest().len());
        let inner = &self.rest()[..length];
        let (name, has_default) = inner.split_once(":-").map_or((inner, false), |(name, _)| (name, true));
        let name = name.to_owned();
        self.at += name.len();
        let (default, is_closed) = match has_default {
            true if depth < DEEPEST => {
                self.at += ":-".len();
                self.until(Some('}'), depth + 1)
            }
            true => (String::new(), false),
            false => (String::new(), !self.rest().is_empty()),
        };
        if !is_closed {
            // What is wrong inside of it follows from that.
            self.wrong.truncate(noted);
            self.at = self.text.len();
            self.wrong.push(Unsubstituted { at: dollar..self.at, why: Why::Open });
            return String::new();
        }
        self.at += 1;
        let at = dollar..self.at;
        if !is_name(&name) {
            self.wrong.push(Unsubstituted { at, why: Why::NoName });
            return String::new();
        }
        match (self.value)(&name).filter(|value| !has_default || !value.is_empty()) {
            Some(value) => {
                // A default that is not used may lack what it names.
                self.wrong.truncate(noted);
                value
            }
            None if has_default => default,
            None => {
                self.wrong.push(Unsubstituted { at, why: Why::Unset(name) });
                String::new()
            }
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_letter) && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("abc".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_dollars() {
        for (text, expected) in [
            ("plain", ("plain", false)),
            ("${KEY}", ("abc", true)),
            ("a${KEY}b${KEY}", ("aabcbabc", true)),
            ("${OTHER:-x}", ("x", true)),
            ("${EMPTY:-x}", ("x", true)),
            ("${OTHER:-}", ("", true)),
            ("${EMPTY}", ("", true)),
            ("$${KEY}", ("${KEY}", false)),
            ("5$ and $KEY", ("5$ and $KEY", false)),
            ("${OTHER:-a:-b}", ("a:-b", true)),
            ("${OTHER:-${KEY}}", ("abc", true)),
            ("${KEY:-${OTHER:-x}}!", ("abc!", true)),
            ("${KEY:-${OTHER}}", ("abc", true)),
            ("${OTHER:-<${NONE:-${KEY}}>}", ("<abc>", true)),
            ("${OTHER:-a$$b}$$", ("a$b$", true)),
            ("${OTHER:-${EMPTY:-${NONE:-z}}}", ("z", true)),
        ] {
            assert_eq!(substitute(text, value), Ok((expected.0.to_owned(), expected.1)), "{text}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let wrong = |text| substitute(text, value).unwrap_err();
        assert_eq!(
            wrong("x${A}y${B}"),
            [
                Unsubstituted { at: 1..5, why: Why::Unset("A".to_owned()) },
                Unsubstituted { at: 6..10, why: Why::Unset("B".to_owned()) }
            ]
        );
        assert_eq!(wrong("${KEY"), [Unsubstituted { at: 0..5, why: Why::Open }]);
        assert_eq!(wrong("${a b}")[0].why, Why::NoName);
        assert_eq!(wrong("${}")[0].why, Why::NoName);
        assert_eq!(wrong("${A:-${B}}"), [Unsubstituted { at: 5..9, why: Why::Unset("B".to_owned()) }]);
        assert_eq!(wrong("x${A:-${B}"), [Unsubstituted { at: 1..10, why: Why::Open }]);
        assert_eq!(wrong(&"${A:-".repeat(10_000))[0].why, Why::Open);
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "[$\\{\\}:\\-A-Z\u{e9}]{0,40}") {
            if let Err(wrong) = substitute(&text, value) {
                prop_assert!(wrong.iter().all(|wrong| text.get(wrong.at.clone()).is_some()));
            }
        }
    }
}
