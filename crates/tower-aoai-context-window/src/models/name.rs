//! The names under which a model may stand in the table.

/// Each in its turn; see [`Models`](super::Models).
pub(super) fn spellings(name: &str) -> impl Iterator<Item = String> {
    let written = name.to_lowercase();
    let base = base(&written).to_owned();
    let shorter = std::iter::successors(Some(base), |name| unversioned(name).map(str::to_owned));
    std::iter::once(written).chain(shorter).flat_map(|name| {
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
