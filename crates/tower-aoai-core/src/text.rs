//! Searching short English texts and codes, whatever their case.

/// The most of a message that is searched, in bytes: error messages are far shorter, error pages are not.
pub(crate) const SEARCHED: usize = 8 * 1024;

/// The beginning of a text that is searched.
pub(crate) fn searched(text: &str) -> &[u8] {
    let bytes = text.as_bytes();
    bytes.get(..SEARCHED).unwrap_or(bytes)
}

/// Where `word` first stands in `text`, whatever the case of ASCII letters; nowhere if it is empty.
pub(crate) fn find(text: &[u8], word: &str) -> Option<usize> {
    let word = word.as_bytes();
    let first = *word.first()?;
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), text)
        .find(|at| text[*at..].get(..word.len()).is_some_and(|here| here.eq_ignore_ascii_case(word)))
}

/// Whether one of `words` stands in the searched part of `text`.
pub(crate) fn has_any(text: &str, words: &[&str]) -> bool {
    let text = searched(text);
    words.iter().any(|word| find(text, word).is_some())
}

/// Whether two codes are the same but for case and separators: `NoCapacity` is `no_capacity`.
pub(crate) fn same_code(one: &str, other: &str) -> bool {
    fn letters(code: &str) -> impl Iterator<Item = u8> {
        code.bytes().filter(|byte| !matches!(byte, b'_' | b'-' | b' ')).map(|byte| byte.to_ascii_lowercase())
    }
    letters(one).eq(letters(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_compared_without_case_and_separators() {
        assert!(same_code("NoCapacity", "no_capacity"));
        assert!(same_code("Too Many Requests", "too_many_requests"));
        assert!(!same_code("no_capacity", "no_capacities"));
    }

    #[test]
    fn a_search_ends_where_it_says() {
        let far = format!("{}rate limit", "x".repeat(SEARCHED));
        assert!(!has_any(&far, &["rate limit"]));
        assert!(has_any(&far[20..], &["RATE limit"]));
        assert_eq!(find(b"ab", "abc"), None);
        assert_eq!(find(b"ab", ""), None);
        assert_eq!(find(b"xxABc", "abC"), Some(2));
    }
}
