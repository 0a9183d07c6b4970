use std::{cell::RefCell, error::Error, fmt};

/// Everything that is wrong with a file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMistakes {
    mistakes: Vec<FileMistake>,
}

impl FileMistakes {
    /// The single mistakes.
    #[must_use]
    pub fn mistakes(&self) -> &[FileMistake] {
        &self.mistakes
    }
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileMistake {
    /// The line, from 1.
    pub line: usize,
    /// The key, from the file's top: `resource[0].deployment[1].model`. Empty where the file is
    /// no TOML.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for FileMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, message } = self;
        if key.is_empty() {
            return write!(f, "line {line}: {message}");
        }
        write!(f, "line {line}: {key}: {message}")
    }
}

/// One mistake a line.
impl fmt::Display for FileMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for FileMistakes {}

/// The mistakes found so far.
pub(super) struct Notes<'t> {
    text: &'t str,
    found: RefCell<Vec<(usize, FileMistake)>>,
}

impl<'t> Notes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: RefCell::default() }
    }

    /// Something is wrong at this byte of the file.
    pub(super) fn note(&self, at: usize, key: &str, message: impl Into<String>) {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        let mistake = FileMistake { line, key: key.to_owned(), message: message.into() };
        self.found.borrow_mut().push((at, mistake));
    }

    /// Whether all is well up to here.
    pub(super) fn ended(&self) -> Result<(), FileMistakes> {
        let mut found = self.found.take();
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by_key(|(at, _)| *at);
        Err(FileMistakes { mistakes: found.into_iter().map(|(_, mistake)| mistake).collect() })
    }
}
