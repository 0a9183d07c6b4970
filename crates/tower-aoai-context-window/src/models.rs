//! What is known of the models, as data that a user can override.

mod file;

use std::{collections::HashMap, io, path::Path, sync::LazyLock};

use tower_aoai_core::model_names;

pub use self::file::ModelsError;
use crate::Tokenizer;

/// The table that the crate brings, with the date of its data.
pub const BUILT_IN: &str = include_str!("models.toml");

/// What a model takes, and how its tokens are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// Prompt and output together, in tokens.
    pub window: u64,
    /// The most prompt, in tokens; at most the window.
    pub prompt: u64,
    /// The most output that may be asked for, in tokens; 0 for models that make none.
    pub output: u64,
    /// Its vocabulary.
    pub tokenizer: Tokenizer,
    /// Whether the vocabulary is only assumed, as nobody has published it: counts are estimates then.
    pub assumed: bool,
    /// Whether a part of the output is reasoning.
    pub reasons: bool,
    /// How its images are estimated.
    pub images: Images,
}

/// How many tokens an image is estimated to have.
///
/// OpenAI documents the rules, differently for each family; they change, and are not to be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Images {
    /// So many for the image, and so many for each tile of 512 by 512 pixels.
    Tiles {
        /// In tokens, also for an image of low detail.
        base: u64,
        /// In tokens.
        tile: u64,
    },
    /// So many thousandths of a token for each patch of 32 by 32 pixels, of which there are at most 1,536.
    Patches {
        /// In thousandths of a token.
        thousandths: u64,
    },
}

impl Default for Images {
    /// As for gpt-4o.
    fn default() -> Self {
        Self::Tiles { base: 85, tile: 170 }
    }
}

/// The models that are known, by name.
///
/// A name is looked for by the rules of [`model_names`]: as it is, then as its base model's, then without date and
/// version; case does not matter.
///
/// Nothing else is guessed: `gpt-4o-something` is not known, and a deployment called `fast` has to be
/// [named](Self::alias).
///
/// ```
/// use tower_aoai_context_window::Models;
///
/// let models = Models::built_in().alias("fast", "gpt-4o-mini");
/// assert_eq!(models.get("fast").map(|model| model.window), Some(128_000));
/// assert_eq!(models.get("gpt-4.1-2025-04-14").map(|model| model.window), Some(1_047_576));
/// assert!(models.get("our-model").is_none());
///
/// let models = models.with_toml(r#"
///     [[model]]
///     name = "our-model"
///     like = "gpt-4.1"
///     prompt = 128_000      # provisioned: longer ones are refused
/// "#)?;
/// assert_eq!(models.get("our-model").map(|model| model.prompt), Some(128_000));
/// # Ok::<(), tower_aoai_context_window::ModelsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    by_name: HashMap<String, Model>,
    as_of: String,
}

impl Models {
    /// The table that the crate brings ([`BUILT_IN`]).
    #[must_use]
    pub fn built_in() -> Self {
        static TABLE: LazyLock<Models> =
            LazyLock::new(|| Models::empty().with_toml(BUILT_IN).unwrap_or_else(|_| Models::empty()));
        TABLE.clone()
    }

    /// No model at all: everything is let through.
    #[must_use]
    pub fn empty() -> Self {
        Self { by_name: HashMap::new(), as_of: String::new() }
    }

    /// The models of a table in TOML, of the format of [`BUILT_IN`], beside those that are there and in their place
    /// where the names are the same.
    ///
    /// # Errors
    ///
    /// The line, the key and what would be right.
    pub fn with_toml(mut self, text: &str) -> Result<Self, ModelsError> {
        file::read(text, &mut self)?;
        Ok(self)
    }

    /// [`with_toml`](Self::with_toml) of a file. It reads the file at once, blocking: at startup.
    ///
    /// # Errors
    ///
    /// That the file cannot be read, or what is wrong in it.
    pub fn with_file(self, path: impl AsRef<Path>) -> Result<Self, ModelsError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error: io::Error| ModelsError::unreadable(path, &error))?;
        self.with_toml(&text)
    }

    /// Says which model a deployment, or any other name, stands for. One that stands for nothing known is not known.
    #[must_use]
    pub fn alias(mut self, name: &str, model: &str) -> Self {
        match self.get(model).cloned() {
            Some(model) => self.by_name.insert(name.to_lowercase(), model),
            None => self.by_name.remove(&name.to_lowercase()),
        };
        self
    }

    /// Puts a model into the table.
    #[must_use]
    pub fn insert(mut self, name: &str, model: Model) -> Self {
        self.by_name.insert(name.to_lowercase(), model);
        self
    }

    /// What is known of a model, by the rules above.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Model> {
        model_names(name).find_map(|name| self.by_name.get(&*name))
    }

    /// The date of the newest table that was read, as it is written there.
    #[must_use]
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// How many names are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no name is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl Default for Models {
    fn default() -> Self {
        Self::built_in()
    }
}

impl Model {
    /// A model of so many tokens, all of which may be prompt, or output, by `o200k_base`.
    #[must_use]
    pub fn new(window: u64) -> Self {
        Self {
            window,
            prompt: window,
            output: window,
            tokenizer: Tokenizer::O200kBase,
            assumed: false,
            reasons: false,
            images: Images::default(),
        }
    }
}

impl Images {
    /// For an image whose size is not known, as that would mean to fetch or to decode it: as for 1,024 by 1,024 pixels.
    pub(crate) const fn estimate(self, is_low_detail: bool) -> u64 {
        match (self, is_low_detail) {
            (Self::Tiles { base, .. }, true) => base,
            (Self::Tiles { base, tile }, false) => base.saturating_add(tile.saturating_mul(4)),
            (Self::Patches { thousandths }, _) => thousandths.saturating_mul(1_024) / 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_read_whole() {
        let read = Models::empty().with_toml(BUILT_IN).unwrap();
        assert_eq!(read.len(), BUILT_IN.matches("[[model]]").count());
        assert_eq!((Models::built_in().len(), read.as_of()), (read.len(), "2026-11-19"));
        for (name, model) in &read.by_name {
            assert!(model.prompt <= model.window && model.output <= model.window, "{name}");
            let is_old = ["gpt-4", "gpt-35", "text-"].iter().any(|old| name.starts_with(old))
                && !["gpt-4o", "gpt-4.1", "gpt-4.5"].iter().any(|new| name.starts_with(new));
            assert_eq!(model.tokenizer == Tokenizer::Cl100kBase, is_old, "{name}");
            assert_eq!(model.assumed, name.starts_with("gpt-6") || name == "model-router", "{name}");
        }
    }

    #[test]
    fn figures_of_the_table() {
        let models = Models::built_in();
        for (name, window, prompt, output) in [
            ("gpt-4o", 128_000, 128_000, 16_384),
            ("gpt-4.1-nano", 1_047_576, 1_047_576, 32_768),
            ("gpt-5", 400_000, 272_000, 128_000),
            ("gpt-5.4", 1_050_000, 922_000, 128_000),
            ("gpt-5.4-mini", 400_000, 272_000, 128_000),
            ("gpt-6.1-terra", 1_050_000, 922_000, 128_000),
            ("o4-mini", 200_000, 200_000, 100_000),
            ("gpt-4", 8_192, 8_192, 8_192),
            ("text-embedding-3-small", 8_192, 8_192, 0),
        ] {
            let model = models.get(name).unwrap();
            assert_eq!((model.window, model.prompt, model.output), (window, prompt, output), "{name}");
        }
    }

    #[test]
    fn names_are_resolved_by_the_stated_rules_and_no_others() {
        let models = Models::built_in().alias("Fast", "gpt-4o-mini-2024-07-18").alias("lost", "nothing");
        for (name, window) in [
            ("GPT-4o", Some(128_000)),
            ("gpt-4o-2024-08-06", Some(128_000)),
            ("gpt-4o-latest", Some(128_000)),
            ("gpt-4-0613", Some(8_192)),
            ("gpt-4-1106-preview", Some(128_000)),
            ("gpt-4-turbo-2024-04-09", Some(128_000)),
            ("gpt-4.5-preview-2025-02-27", Some(128_000)),
            ("gpt-4-32k-0314", Some(32_768)),
            ("gpt-3.5-turbo", Some(16_385)),
            ("gpt-35-turbo-0613", Some(4_097)),
            ("gpt-3.5-turbo-0613", Some(4_097)),
            ("gpt-35-turbo-0125", Some(16_385)),
            ("ft:gpt-4.1-mini-2025-04-14:acme::x1", Some(1_047_576)),
            ("gpt-4o-2024-08-06.ft-0a1b2c-support", Some(128_000)),
            ("text-embedding-ada-002-version-2", Some(8_192)),
            ("text-embedding-ada-002", Some(8_192)),
            ("fast", Some(128_000)),
            ("lost", None),
            ("gpt-4o-something", None),
            ("gpt-7", None),
            ("gpt-5-99999", None),
            ("", None),
            ("-", None),
            ("ft:", None),
        ] {
            assert_eq!(models.get(name).map(|model| model.window), window, "{name}");
        }
    }
}
