//! The names under which a model may be known.

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
pub fn model_names(name: &str) -> impl Iterator<Item = String> {
    let written = name.to_lowercase();
    let base = base(&written).to_owned();
    let shorter = std::iter::successors(Some(base), |name| unversioned(name).map(str::to_owned));
    std::iter::once(written.clone()).chain(shorter.filter(move |name| *name != written)).flat_map(|name| {
        let azures = name.strip_prefix("gpt-3.5").or_else(|| name.strip_prefix("gpt35"));
        let azures = azures.map(|rest| format!("gpt-35{rest}"));
        std::iter::once(name).chain(azures)
    })
}

/// A fine-tuned model's base model.
fn base(name: &str) -> &str {
    if let Some(tuned) = name.strip_prefix("ft:") {
        return tuned.split(':').next().unwrap_or(tuned);
    }
    name.split(".ft-").next().unwrap_or(name)
}

/// Without what names a version at its end.
fn unversioned(name: &str) -> Option<&str> {
    if let Some((name, _)) = name.rsplit_once("-version-") {
        return Some(name);
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
