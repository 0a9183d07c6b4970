//! Environment variables, wherever they come from.

use std::{collections::BTreeMap, env, fmt, fs, path::Path};

use super::{Problem, Problems};

/// Environment variables: those of this process, those of a `.env` file, or any others.
///
/// A snapshot: what is set later is not seen.
///
/// ```
/// use tower_aoai::config::Vars;
///
/// let vars: Vars = [("MAX_RETRIES", "3")].into_iter().collect();
/// let vars = vars.or(Vars::of_env_text("MAX_RETRIES=5\nREQUESTS_PER_MINUTE=60 # a minute\n")?);
/// assert_eq!((vars.get("MAX_RETRIES"), vars.get("REQUESTS_PER_MINUTE")), (Some("3"), Some("60")));
/// # Ok::<(), tower_aoai::config::Problems>(())
/// ```
#[derive(Clone, Default)]
pub struct Vars {
    values: BTreeMap<String, String>,
    /// Names of those that are no text.
    unreadable: Vec<String>,
}

impl Vars {
    /// Those of this process, as they are now.
    #[must_use]
    pub fn of_process() -> Self {
        let mut vars = Self::default();
        for (name, value) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => {
                    vars.values.insert(name, value);
                }
                Err(_) => vars.unreadable.push(name),
            }
        }
        vars
    }

    /// Those of a `.env` file.
    ///
    /// # Errors
    ///
    /// That it cannot be read, or its first line that is no assignment.
    pub fn of_env_file(path: impl AsRef<Path>) -> Result<Self, Problems> {
        let path = path.as_ref();
        let name = path.display();
        match fs::read_to_string(path) {
            Ok(text) => Self::read(&text, &name.to_string()),
            Err(error) => Err(Problem::new("", format!("{name} cannot be read: {error}")).into()),
        }
    }

    /// Those of a text of the form of a `.env` file: a line for each, comments behind `#`, values in quotes where they
    /// have spaces. In single quotes everything stands for itself; in double quotes, or none, `$NAME` and `${NAME}` are
    /// variables of this process or of the lines above.
    ///
    /// # Errors
    ///
    /// The first line that is no assignment.
    pub fn of_env_text(text: &str) -> Result<Self, Problems> {
        Self::read(text, ".env")
    }

    fn read(text: &str, name: &str) -> Result<Self, Problems> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut values = BTreeMap::new();
        for line in dotenvy::from_read_iter(text.as_bytes()) {
            match line {
                Ok((name, value)) => {
                    values.insert(name, value);
                }
                // What could not be read is a line, or the value in one.
                Err(dotenvy::Error::LineParse(part, _)) => {
                    let part = part.lines().next().unwrap_or_default();
                    return Err(unread(name, text, part).into());
                }
                Err(error) => return Err(Problem::new("", format!("{name} cannot be read: {error}")).into()),
            }
        }
        Ok(Self { values, unreadable: Vec::new() })
    }

    /// These, and those of `others` that are not set here.
    #[must_use]
    pub fn or(mut self, others: Self) -> Self {
        for (name, value) in others.values {
            if !self.unreadable.contains(&name) {
                self.values.entry(name).or_insert(value);
            }
        }
        self
    }

    /// The value of a variable; `None` if it is not set, or no text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All names, those included that are set to no text.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().chain(&self.unreadable).map(String::as_str)
    }

    /// Whether it is set to what is no text.
    pub(crate) fn is_unreadable(&self, name: &str) -> bool {
        self.unreadable.iter().any(|other| other == name)
    }
}

/// The line of a `.env` file in which this part stands; what is given there may be a secret.
fn unread(file: &str, text: &str, part: &str) -> Problem {
    let found = text.lines().enumerate().find(|(_, line)| line.contains(part.trim()));
    let (number, line) = found.map_or((1, part), |(at, line)| (at + 1, line));
    let variable = line.split_once('=').map(|(name, _)| name.trim().trim_start_matches("export ").trim());
    let what = match variable.filter(|name| is_name(name)) {
        Some(variable) => format!("what is given to {variable} cannot be read; put it in single quotes"),
        None => "this is no assignment; write NAME=value, or # before a comment".to_owned(),
    };
    Problem::new("", format!("{file}, line {number}: {what}"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(vars: I) -> Self {
        let values = vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values, unreadable: Vec::new() }
    }
}

/// The number of them, for values may be secrets and names are many.
impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vars({})", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_to_no_text_is_set_and_nothing_goes_in_its_place() {
        let process = Vars { values: BTreeMap::new(), unreadable: vec!["MAX_RETRIES".to_owned()] };
        let vars = process.or([("MAX_RETRIES", "3"), ("REQUESTS_PER_MINUTE", "60")].into_iter().collect());
        assert_eq!((vars.get("MAX_RETRIES"), vars.get("REQUESTS_PER_MINUTE")), (None, Some("60")));
        assert!(vars.is_unreadable("MAX_RETRIES") && vars.names().any(|name| name == "MAX_RETRIES"));
    }
}
