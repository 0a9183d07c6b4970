//! Where a configuration comes from.

use std::{fs, path::Path};

use super::{
    Config, Problem, Problems, Vars, env,
    read::{Document, Reading},
    validate::Findings,
};

/// Where a configuration comes from: a file, the environment, or both.
///
/// What code says goes before what the environment says, that before what the file says, that before the
/// [profile](Config::profile), and that before the defaults. Which endpoints there are, with their resources and models,
/// is said by one source alone: by the file if it names any, else by the environment.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is read before `read`"]
pub struct Sources {
    vars: Vars,
    reads_vars: bool,
    file: Option<(String, String)>,
    unreadable: Vec<Problem>,
}

impl Sources {
    /// No source, with the variables of this process for what a file refers to as `${NAME}`.
    pub fn new() -> Self {
        Self { vars: Vars::of_process(), ..Self::default() }
    }

    /// With other variables than those of this process.
    pub fn vars(mut self, vars: Vars) -> Self {
        self.vars = vars;
        self
    }

    /// With the variables of a `.env` file, as far as they are not set already. One that does not exist is a problem.
    pub fn env_file(mut self, path: impl AsRef<Path>) -> Self {
        match Vars::of_env_file(path) {
            Ok(vars) => self.vars = self.vars.or(vars),
            Err(problems) => self.unreadable.extend(problems),
        }
        self
    }

    /// Reads the variables that have a meaning here, those of [`ENV_EXAMPLE`](crate::config::ENV_EXAMPLE). Where a file says
    /// the same, the variable wins.
    pub fn environment(mut self) -> Self {
        self.reads_vars = true;
        self
    }

    /// Reads a file of TOML, now; one that cannot be read is a problem that [`read`](Self::read) tells.
    pub fn toml_file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let name = path.display();
        match fs::read_to_string(path) {
            Ok(text) => self.file = Some((name.to_string(), text)),
            Err(error) => self.unreadable.push(Problem::new("", format!("{name} cannot be read: {error}"))),
        }
        self
    }

    /// Reads a text of TOML, in place of any file.
    pub fn toml_text(mut self, text: impl Into<String>) -> Self {
        self.file = Some(("configuration".to_owned(), text.into()));
        self
    }

    /// Reads all of them, and judges the whole.
    ///
    /// # Errors
    ///
    /// All that is wrong, at once.
    pub fn read(self) -> Result<Config, Problems> {
        let Self { vars, reads_vars, file, unreadable } = self;
        let mut problems = unreadable;
        let is_half = !problems.is_empty();
        let mut config = Config::default();
        let file = file.as_ref().map(|(name, text)| {
            let (read, mut reading) = Document::new(name, text, &vars).read(Config::of_table);
            problems.extend(reading.problems());
            config = read;
            reading
        });
        let is_half = is_half || file.as_ref().is_some_and(|reading| reading.is_broken);
        let variables = reads_vars.then(|| {
            let (said, read) = env::read(&vars, &config, is_half || config.names_endpoints());
            problems.extend(read.problems.iter().cloned());
            config = said.over(&config);
            read
        });
        let mut read = Read { file, variables };
        let remarks = if is_half { Vec::new() } else { read.judge(&config, &mut problems) };
        if let Some(problems) = Problems::of(problems.into_iter().map(|problem| read.keep_out(problem)).collect()) {
            return Err(problems);
        }
        for remark in remarks {
            tracing::warn!("configuration: {remark}");
        }
        Ok(config)
    }
}

/// What has been read.
struct Read<'t> {
    file: Option<Reading<'t>>,
    variables: Option<env::Read>,
}

impl Read<'_> {
    /// Judges the whole; what is judged of half a file is not worth much.
    fn judge(&mut self, config: &Config, problems: &mut Vec<Problem>) -> Vec<Problem> {
        let Findings { problems: found, remarks } = config.findings();
        let is_told = |key: &str| self.variables.as_ref().is_some_and(|read| read.has_told(key));
        let follows = |problem: &Problem| problems.iter().any(|known| problem.follows_from(known));
        let new: Vec<Problem> =
            found.into_iter().filter(|problem| !follows(problem) && !is_told(problem.key())).collect();
        for problem in new.iter().filter(|problem| problem.is_of_secret()) {
            if let Some(file) = &mut self.file {
                file.hide(problem.key());
            }
        }
        problems.extend(new.into_iter().map(|problem| self.locate(problem)));
        let more = self.variables.as_ref().map(|read| read.remarks.clone()).unwrap_or_default();
        more.into_iter().chain(remarks.into_iter().map(|remark| self.locate(remark))).collect()
    }

    fn locate(&self, mut problem: Problem) -> Problem {
        if let Some(variables) = &self.variables {
            problem = variables.locate(problem);
        }
        match &self.file {
            Some(file) if problem.variable().is_none() => file.locate(problem),
            _ => problem,
        }
    }

    /// Once more, for what was known to be a secret only in the end.
    fn keep_out(&self, problem: Problem) -> Problem {
        match &self.file {
            Some(file) => file.keep_out(problem),
            None => problem,
        }
    }
}

impl Config {
    /// Reads a text of TOML, with the variables of this process for `${NAME}` in its strings.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, at once, each with its line.
    pub fn from_toml_str(text: &str) -> Result<Self, Problems> {
        Sources::new().toml_text(text).read()
    }

    /// Reads a file of TOML, with the variables of this process for `${NAME}` in its strings.
    ///
    /// # Errors
    ///
    /// That it cannot be read, or all that is wrong with it, at once, each with its line.
    pub fn from_toml_file(path: impl AsRef<Path>) -> Result<Self, Problems> {
        Sources::new().toml_file(path).read()
    }

    /// Reads the variables of this process; which, the [module](crate::config) says.
    ///
    /// # Errors
    ///
    /// All that is wrong with them, at once, each with its name.
    pub fn from_env() -> Result<Self, Problems> {
        Sources::new().environment().read()
    }

    /// Reads a file of TOML, and lays over it what the variables of this process say.
    ///
    /// # Errors
    ///
    /// All that is wrong with either, at once.
    pub fn from_env_and_file(path: impl AsRef<Path>) -> Result<Self, Problems> {
        Sources::new().environment().toml_file(path).read()
    }
}
