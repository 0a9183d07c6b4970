//! The table as it is written.

use std::{collections::HashMap, error::Error, fmt, io, path::Path};

use serde::Deserialize;
use toml::Spanned;

use super::{Images, Model, Models};
use crate::Tokenizer;

/// What is wrong with a table of models: where it is, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsError {
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    as_of: Option<String>,
    #[serde(default)]
    model: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    like: Option<Spanned<String>>,
    window: Option<Spanned<u64>>,
    prompt: Option<Spanned<u64>>,
    output: Option<Spanned<u64>>,
    tokenizer: Option<Tokenizer>,
    assumed: Option<bool>,
    reasons: Option<bool>,
    images: Option<Written>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "`images` is { base = tokens, tile = tokens } or { patch = thousandths }"
)]
enum Written {
    Tiles { base: u64, tile: u64 },
    Patches { patch: u64 },
}

pub(super) fn read(text: &str, models: &mut Models) -> Result<(), ModelsError> {
    let table: Table = toml::from_str(text).map_err(|error| ModelsError::at(text, error.span(), error.message()))?;
    let mut read = HashMap::new();
    for entry in table.model {
        let model = entry.model(text, &read, models)?;
        let (name, place) = (entry.name.get_ref().to_lowercase(), entry.name.span());
        if read.insert(name, model).is_some() {
            let what = format!("`name`: {:?} stands there twice: one entry for each name", entry.name.get_ref());
            return Err(ModelsError::at(text, Some(place), &what));
        }
    }
    models.by_name.extend(read);
    if let Some(as_of) = table.as_of {
        models.as_of = as_of;
    }
    Ok(())
}

impl Entry {
    fn model(&self, text: &str, read: &HashMap<String, Model>, models: &Models) -> Result<Model, ModelsError> {
        let model = match (&self.like, &self.window) {
            (Some(like), _) => {
                let known = read.get(&like.get_ref().to_lowercase()).or_else(|| models.get(like.get_ref()));
                known.cloned().ok_or_else(|| {
                    let what = format!(
                        "`like`: {:?} is not known: name an entry above, or one that is built in",
                        like.get_ref()
                    );
                    ModelsError::at(text, Some(like.span()), &what)
                })?
            }
            (None, Some(window)) => Model::new(*window.get_ref()),
            (None, None) => {
                let what =
                    format!("{:?} has no `window`: say its tokens, or `like` which model it is", self.name.get_ref());
                return Err(ModelsError::at(text, Some(self.name.span()), &what));
            }
        };
        for (key, written) in [("window", &self.window), ("prompt", &self.prompt)] {
            if let Some(tokens) = written.as_ref().filter(|tokens| *tokens.get_ref() == 0) {
                let what = format!("`{key}` is 0 tokens, and every call would be refused: at least 1");
                return Err(ModelsError::at(text, Some(tokens.span()), &what));
            }
        }
        let window = self.window.as_ref().map_or(model.window, |window| *window.get_ref());
        // What is inherited is made to fit a smaller window; what is written must.
        let within = |key: &str, written: &Option<Spanned<u64>>, inherited: u64| match written {
            Some(tokens) if *tokens.get_ref() > window => {
                let what = format!("`{key}` is larger than the window of {window} tokens: at most that");
                Err(ModelsError::at(text, Some(tokens.span()), &what))
            }
            Some(tokens) => Ok(*tokens.get_ref()),
            None => Ok(inherited.min(window)),
        };
        Ok(Model {
            window,
            prompt: within("prompt", &self.prompt, if model.prompt == model.window { window } else { model.prompt })?,
            output: within("output", &self.output, model.output)?,
            tokenizer: self.tokenizer.unwrap_or(model.tokenizer),
            assumed: self.assumed.unwrap_or(model.assumed && self.tokenizer.is_none()),
            reasons: self.reasons.unwrap_or(model.reasons),
            images: match self.images {
                Some(Written::Tiles { base, tile }) => Images::Tiles { base, tile },
                Some(Written::Patches { patch: thousandths }) => Images::Patches { thousandths },
                None => model.images,
            },
        })
    }
}

impl ModelsError {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self { message: format!("the table of models {} cannot be read: {error}", path.display()) }
    }

    fn at(text: &str, span: Option<std::ops::Range<usize>>, what: &str) -> Self {
        let line = span.and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
        let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Self { message: format!("the table of models{place}: {what}") }
    }
}

impl fmt::Display for ModelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ModelsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_it_is_and_what_would_be_right() {
        for (text, said) in [
            ("[[model]]\nname = 'x'", "line 2: \"x\" has no `window`"),
            ("[[model]]\nname = 'x'\nlike = 'y'", "line 3: `like`: \"y\" is not known: name an entry above"),
            (
                "[[model]]\nname = 'x'\nwindow = 10\noutput = 11",
                "line 4: `output` is larger than the window of 10 tokens",
            ),
            ("[[model]]\nname = 'x'\nwindow = 0", "line 3: `window` is 0 tokens"),
            ("[[model]]\nname = 'x'\nwindow = 9\nprompt = 0", "line 4: `prompt` is 0 tokens"),
            ("[[model]]\nname = 'x'\nwindow = '10'", "line 3: invalid type: string \"10\", expected u64"),
            (
                "[[model]]\nname = 'x'\nwindo = 10",
                "line 3: unknown field `windo`, expected one of `name`, `like`, `window`",
            ),
            (
                "[[model]]\nname = 'x'\nwindow = 1\ntokenizer = 'p50k'",
                "line 4: unknown variant `p50k`, expected one of `o200k_base`",
            ),
            (
                "[[model]]\nname = 'x'\nwindow = 1\nimages = { base = 1 }",
                "line 4: `images` is { base = tokens, tile = tokens } or",
            ),
            (
                "[[model]]\nname = 'x'\nwindow = 1\n[[model]]\nname = 'X'\nwindow = 2",
                "line 5: `name`: \"X\" stands there twice",
            ),
            ("[[model]]\nwindow = 1", "line 1: missing field `name`"),
            ("[[model", "line 1: "),
        ] {
            let error = Models::empty().with_toml(text).unwrap_err().to_string();
            assert!(error.starts_with("the table of models, ") && error.contains(said), "{error}\n{said}");
        }
        let error = Models::empty().with_file("/nowhere/models.toml").unwrap_err().to_string();
        assert!(error.starts_with("the table of models /nowhere/models.toml cannot be read: "), "{error}");
    }

    #[test]
    fn a_table_of_ones_own_stands_before_the_built_in_one() {
        let models = Models::built_in();
        let own = "as_of = '2027-01-01'\n[[model]]\nname = 'gpt-4o'\nlike = 'gpt-4o'\nwindow = 64_000\n[[model]]\nname = 'Mine'\nlike = 'gpt-6-sol'\ntokenizer = 'o200k_base'";
        let models = models.with_toml(own).unwrap();
        let changed = models.get("gpt-4o-2024-11-20").unwrap();
        assert_eq!((changed.window, changed.prompt, changed.output), (64_000, 64_000, 16_384));
        assert!(!models.get("mine").unwrap().assumed, "who names a tokenizer knows it");
        assert!(models.get("gpt-6-sol").unwrap().assumed);
        assert_eq!(models.as_of(), "2027-01-01");
    }
}
