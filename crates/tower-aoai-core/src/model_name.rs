//! The names under which a model may be known.

use std::borrow::Cow;

use memchr::memmem;

/// The names under which a model may stand in a table of models, the likeliest first; all in lower case:
///
/// 1. the name as it is;
/// 2. a fine-tuned model's (`ft:gpt-4o-2024-08-06:org::id`, `gpt-4o-2024-08-06.ft-0123`) as that of its base model;
/// 3. without one ending after the other that names a version: a date (`-2024-08-06`, `-0613`), `-preview`, `-latest`,
///    `-version` and what follows;
/// 4. `gpt-3.5` and `gpt35` as `gpt-35`, the spelling of Azure's deployments.
///
/// Nothing else is guessed: `gpt-4o-something` is no `gpt-4o`.
///
/// ```
/// use tower_aoai_core::model_names;
///
/// assert!(model_names("GPT-4o-2024-08-06").eq(["gpt-4o-2024-08-06", "gpt-4o"]));
/// assert!(model_names("gpt-35-turbo").eq(["gpt-35-turbo"]));
/// ```
pub fn model_names(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let is_lower = name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    let written = if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_lowercase()) };
    let shorter = std::iter::successors(part(&written, base), |name| part(name, unversioned));
    std::iter::once(written.clone()).chain(shorter.filter(move |name| *name != written)).flat_map(|name| {
        let azures = name.strip_prefix("gpt-3.5").or_else(|| name.strip_prefix("gpt35"));
        let azures = azures.map(|rest| Cow::Owned(format!("gpt-35{rest}")));
        std::iter::once(name).chain(azures)
    })
}

/// A part of a name; a copy only where the name is one.
fn part<'a>(name: &Cow<'a, str>, of: impl Fn(&str) -> Option<&str>) -> Option<Cow<'a, str>> {
    match name {
        Cow::Borrowed(name) => of(name).map(Cow::Borrowed),
        Cow::Owned(name) => of(name).map(|part| Cow::Owned(part.to_owned())),
    }
}

/// A fine-tuned model's base model.
#[expect(clippy::unnecessary_wraps, reason = "one of the parts that a name may have")]
fn base(name: &str) -> Option<&str> {
    if let Some(tuned) = name.strip_prefix("ft:") {
        return Some(tuned.split(':').next().unwrap_or(tuned));
    }
    // Of a text this short, the search costs less than `str::find` takes to prepare one.
    Some(memmem::find(name.as_bytes(), b".ft-").map_or(name, |end| &name[..end]))
}

/// Without what names a version at its end.
fn unversioned(name: &str) -> Option<&str> {
    if let Some(end) = memmem::rfind(name.as_bytes(), b"-version-") {
        return Some(&name[..end]);
    }
    let (rest, last) = name.rsplit_once('-')?;
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if matches!(last, "preview" | "latest") || digits(last, 4) {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-').filter(|_| digits(last, 2))?;
    let (rest, year) = rest.rsplit_once('-').filter(|_| digits(month, 2))?;
    digits(year, 4).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_their_order_copied_or_not() {
        let cases: [(&str, &[&str]); 9] = [
            ("gpt-4o", &["gpt-4o"]),
            ("gpt-4o-2024-08-06", &["gpt-4o-2024-08-06", "gpt-4o"]),
            ("o1-preview-2024-09-12", &["o1-preview-2024-09-12", "o1-preview", "o1"]),
            ("ft:gpt-4o-2024-08-06:org::id", &["ft:gpt-4o-2024-08-06:org::id", "gpt-4o-2024-08-06", "gpt-4o"]),
            ("gpt-4-0613.ft-0123", &["gpt-4-0613.ft-0123", "gpt-4-0613", "gpt-4"]),
            ("gpt-4-version-a-version-b", &["gpt-4-version-a-version-b", "gpt-4-version-a", "gpt-4"]),
            ("gpt-3.5-turbo-0125", &["gpt-3.5-turbo-0125", "gpt-35-turbo-0125", "gpt-3.5-turbo", "gpt-35-turbo"]),
            ("gpt-4o-something", &["gpt-4o-something"]),
            ("", &[""]),
        ];
        for (name, names) in cases {
            assert!(model_names(name).eq(names.iter().copied()), "{name}");
            assert!(model_names(&name.to_uppercase()).eq(names.iter().copied()), "{name} in capitals");
        }
        assert!(model_names("É-2024-08-06").eq(["é-2024-08-06", "é"]));
    }
}
