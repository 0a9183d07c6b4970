//! Values that must not be shown.

use super::Problem;

/// Values that must not be shown, wherever they appear in what is said.
///
/// Messages are written so that they hold none; this is what keeps that true for texts that come from elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// Each with what stands in its place.
    values: Vec<(String, String)>,
}

const STARS: &str = "***";

/// Shorter values are looked for as a whole alone: their letters may well be a word's.
const TELLING: usize = 8;

impl Hidden {
    pub(crate) fn add(&mut self, value: &str) {
        self.in_place_of(value, STARS);
    }

    /// A value that came out of a variable is shown as it was written.
    pub(crate) fn in_place_of(&mut self, value: &str, written: &str) {
        if !value.is_empty() {
            self.values.push((value.to_owned(), written.to_owned()));
        }
    }

    /// The problem, without any of them.
    pub(crate) fn keep_out(&self, mut problem: Problem) -> Problem {
        problem.rewrite(|text| {
            self.values.iter().fold(text.to_owned(), |text, (value, written)| {
                let text = text.replace(&format!("{value:?}"), &format!("{written:?}"));
                if value.len() < TELLING {
                    return text;
                }
                text.replace(value, written).replace(&value.escape_debug().to_string(), written)
            })
        });
        problem
    }
}
