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

/// The text with its variables' values, and whether there are any.
pub(crate) fn substitute(
    text: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Result<(String, bool), Vec<Unsubstituted>> {
    let mut whole = String::with_capacity(text.len());
    let (mut wrong, mut is_changed) = (Vec::new(), false);
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        whole.push_str(&text[at..dollar]);
        let rest = &text[dollar + 1..];
        if rest.starts_with('$') {
            whole.push('$');
            at = dollar + 2;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let Some(length) = inner.find('}') else {
                wrong.push(Unsubstituted { at: dollar..text.len(), why: Why::Open });
                break;
            };
            let end = dollar + 2 + length + 1;
            is_changed = true;
            let (name, default) = match inner[..length].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&inner[..length], None),
            };
            match value(name).filter(|value| default.is_none() || !value.is_empty()).or(default.map(str::to_owned)) {
                _ if !is_name(name) => wrong.push(Unsubstituted { at: dollar..end, why: Why::NoName }),
                Some(value) => whole.push_str(&value),
                None => wrong.push(Unsubstituted { at: dollar..end, why: Why::Unset(name.to_owned()) }),
            }
            at = end;
        } else {
            whole.push('$');
            at = dollar + 1;
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    whole.push_str(&text[at..]);
    Ok((whole, is_changed))
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
