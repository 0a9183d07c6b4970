//! What is wrong with a configuration: where, and what would be right.

use std::{error::Error, fmt, sync::Arc};

/// One thing that is wrong: where it stands, what was found there, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    key: String,
    message: String,
    place: Option<Place>,
    /// Said in the message's stead where the value came out of a variable, which must not be shown.
    blind: Option<&'static str>,
    /// What stands there is a secret, though nobody could know that from its key.
    is_of_secret: bool,
    /// The key for which this one was probably meant.
    meant: Option<String>,
    /// The section without which this could not be judged.
    depends_on: Option<&'static str>,
}

/// Where a setting was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file, or a text.
    File(Excerpt),
    /// In an environment variable.
    Variable(Arc<str>),
}

/// A place in a file, with what of its line may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) file: Arc<str>,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// The line, and which characters of it are meant; `None` where it must not be shown.
    pub(crate) shown: Option<Marked>,
}

/// A line as it is shown, with what is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) text: String,
    /// In characters.
    pub(crate) from: usize,
    /// In characters, at least 1.
    pub(crate) width: usize,
}

/// All that is wrong with a configuration, at once.
///
/// Its `Display` reads like a compiler's: for each problem the key or the variable, what was found and what would be right,
/// and, where it stands in a file, the line. No value of a secret, and none that came out of a variable, is ever in it.
///
/// ```
/// use tower_aoai::config::Config;
///
/// let problems = Config::from_toml_str("[retry]\nmax_retries = 'three'").unwrap_err();
/// assert_eq!(problems.iter().next().and_then(|problem| problem.line()), Some(2));
/// assert!(problems.to_string().starts_with("error: retry.max_retries: \"three\" is a string; write a whole number"));
/// ```
///
/// Its `Debug` says the same, for that is what a `main` which returns it prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems {
    problems: Vec<Problem>,
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        let (key, message) = (key.into(), message.into());
        Self { key, message, place: None, blind: None, is_of_secret: false, meant: None, depends_on: None }
    }

    pub(crate) fn blind(mut self, message: &'static str) -> Self {
        self.blind = Some(message);
        self
    }

    pub(crate) const fn of_secret(mut self) -> Self {
        self.is_of_secret = true;
        self
    }

    pub(crate) const fn is_of_secret(&self) -> bool {
        self.is_of_secret
    }

    pub(crate) fn meant(mut self, key: String) -> Self {
        self.meant = Some(key);
        self
    }

    pub(crate) const fn depends_on(mut self, section: &'static str) -> Self {
        self.depends_on = Some(section);
        self
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The value is not to be shown.
    pub(crate) fn hide(&mut self) {
        if let Some(message) = self.blind {
            message.clone_into(&mut self.message);
        }
    }

    pub(crate) fn rewrite(&mut self, change: impl Fn(&str) -> String) {
        self.message = change(&self.message);
        if let Some(Place::File(Excerpt { shown: Some(shown), .. })) = &mut self.place {
            shown.text = change(&shown.text);
        }
    }

    /// Whether this would say again what `other` has said, or only follows from it.
    pub(crate) fn follows_from(&self, other: &Self) -> bool {
        let covers = |key: &str| {
            let rest = self.key.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || (!key.is_empty() && rest.starts_with(['.', '['])))
        };
        let other_key = other.meant.as_deref().unwrap_or(&other.key);
        covers(other_key) || self.depends_on.is_some_and(|section| section == other_key)
    }

    /// The setting's key, as `endpoints[0].quota.tokens_per_minute`: of the first endpoint.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What was found, and what would be right.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The environment variable in which it stands.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match &self.place {
            Some(Place::Variable(name)) => Some(name),
            _ => None,
        }
    }

    /// The line in which it stands, from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.excerpt().map(|excerpt| excerpt.line)
    }

    /// Where in its line it stands, from 1, in characters.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.excerpt().map(|excerpt| excerpt.column)
    }

    const fn excerpt(&self) -> Option<&Excerpt> {
        match &self.place {
            Some(Place::File(excerpt)) => Some(excerpt),
            _ => None,
        }
    }
}

impl Problems {
    /// `None` if there is none; in the order of their lines, and then those that stand in none.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by_key(|problem| (problem.line().is_none(), problem.line(), problem.column()));
        (!problems.is_empty()).then_some(Self { problems })
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// How many there are: at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.problems.len()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.problems.into_iter()
    }
}

/// In one line, or in several with what of the file may be shown.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variable().unwrap_or(&self.key) {
            "" => f.write_str(&self.message)?,
            name => write!(f, "{name}: {}", self.message)?,
        }
        let Some(Excerpt { file, line, column, shown }) = self.excerpt() else {
            return Ok(());
        };
        let number = line.to_string();
        let gap = " ".repeat(number.len());
        write!(f, "\n{gap}--> {file}:{line}:{column}")?;
        if let Some(Marked { text, from, width }) = shown {
            let (indent, carets) = (" ".repeat(*from), "^".repeat(*width));
            write!(f, "\n{gap} |\n{number} | {text}\n{gap} | {indent}{carets}")?;
        }
        Ok(())
    }
}

/// Each problem, and how many there are where it is more than one.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}error: {problem}")?;
        }
        match self.problems.len() {
            1 => Ok(()),
            count => write!(f, "\n\nthe configuration has {count} problems"),
        }
    }
}

/// As `Display`, from a line of its own on: after what `main` or `unwrap` put before it.
impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl Error for Problem {}

impl Error for Problems {}
