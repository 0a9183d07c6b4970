//! Judging a configuration as a whole.

mod check;
mod endpoints;
mod failures;
mod models;
mod money;
mod prompts;
mod quotas;
mod resources;

use self::check::Check;
use super::{Config, Problem, Problems};

/// What a configuration was found to be.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What is wrong with it.
    pub(crate) problems: Vec<Problem>,
    /// What is allowed, and probably not meant.
    pub(crate) remarks: Vec<Problem>,
}

impl Config {
    /// Judges the whole of it. What was read from a file or the environment has been judged already.
    ///
    /// Tables of models and of prices that it names are read, blocking; nothing else is, and nothing is asked of a server.
    ///
    /// # Errors
    ///
    /// All that is wrong, at once.
    pub fn validate(&self) -> Result<(), Problems> {
        Problems::of(self.findings().problems).map_or(Ok(()), Err)
    }

    /// What is allowed, and probably not meant: an endpoint that no model uses, a provisioned deployment of unknown size, an
    /// old api-version.
    /// Reading a file or the environment logs them as warnings.
    #[must_use]
    pub fn remarks(&self) -> Vec<Problem> {
        self.findings().remarks
    }

    pub(crate) fn findings(&self) -> Findings {
        let mut check = Check::default();
        let whole = self.effective();
        resources::judge(&mut check, self);
        endpoints::judge(&mut check, self, &whole);
        models::judge(&mut check, self, &whole);
        failures::judge(&mut check, self);
        prompts::judge(&mut check, self);
        money::judge(&mut check, self, &whole);
        check.findings
    }
}
