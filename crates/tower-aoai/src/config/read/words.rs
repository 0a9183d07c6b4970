//! Settings that are one of several words.

/// A setting that is one of several words.
pub(crate) trait Words: Copy + PartialEq + 'static {
    /// The words, each with what it says; of several for the same the first is the usual one.
    const WORDS: &'static [(&'static str, Self)];

    /// What a word says; case, and how its parts are joined, do not matter.
    fn of_word(word: &str) -> Option<Self> {
        let word = normal(word);
        Self::WORDS.iter().find(|(known, _)| normal(known) == word).map(|(_, value)| *value)
    }

    /// The words, each usual one of them, for people.
    fn listed() -> String {
        let is_usual = |at: usize, value: &Self| !Self::WORDS[..at].iter().any(|(_, other)| other == value);
        let words = Self::WORDS.iter().enumerate().filter(|(at, (_, value))| is_usual(*at, value));
        let words: Vec<String> = words.map(|(_, (word, _))| format!("{word:?}")).collect();
        match words.as_slice() {
            [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
            other => other.join(", "),
        }
    }
}

/// Gives a type its words.
macro_rules! words {
    ($type:ty { $($word:literal => $value:expr),* $(,)? }) => {
        impl $crate::config::read::Words for $type {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $value)),*];
        }
    };
}

pub(crate) use words;

/// A word without what joins its parts, in lower case.
pub(crate) fn normal(word: &str) -> String {
    word.chars().filter(|letter| !matches!(letter, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// The known name that differs least from what was found, if that is little.
pub(crate) fn nearest<'n>(found: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // What is longer than any name of ours is no misspelling.
    if found.len() > 64 {
        return None;
    }
    let distances = known.into_iter().map(|name| (strsim::damerau_levenshtein(found, name), name));
    let (distance, name) = distances.min()?;
    let letters = found.chars().count().max(name.chars().count());
    (distance <= 2 && distance * 2 < letters || distance * 3 <= letters).then_some(name)
}
