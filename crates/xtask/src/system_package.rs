//! What the suite needs beside Rust.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::step::run;

/// A program, how to see that it works, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemPackage {
    pub(crate) program: &'static str,
    /// Arguments with which it ends well if all that is needed of it is there.
    pub(crate) probe: &'static [&'static str],
    pub(crate) debian: &'static str,
}

/// Python with what makes throw-away environments.
pub(crate) const PYTHON: SystemPackage =
    SystemPackage { program: "python3", probe: &["-c", "import venv, ensurepip"], debian: "python3-venv" };

/// Node with its package manager.
pub(crate) const NODE: SystemPackage = SystemPackage { program: "npm", probe: &["--version"], debian: "npm" };

impl SystemPackage {
    /// Sees to it that the program is there: installs it as root on Debian, else says what to install.
    pub(crate) fn ensure(&self) -> Result<(), String> {
        if self.is_installed() {
            return Ok(());
        }
        if !can_install() {
            return Err(self.advice());
        }
        let apt =
            |arguments: &[&str]| run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments));
        apt(&["update", "--quiet"])?;
        apt(&["install", "--yes", "--quiet", "--no-install-recommends", self.debian])?;
        if self.is_installed() { Ok(()) } else { Err(self.advice()) }
    }

    fn advice(&self) -> String {
        format!(
            "`{} {}` does not work here and is needed: install it (on Debian and Ubuntu: apt-get install {})",
            self.program,
            self.probe.join(" "),
            self.debian
        )
    }

    fn is_installed(&self) -> bool {
        let mut probe = Command::new(self.program);
        probe.args(self.probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Root on Debian or what derives from it. `/proc/self` belongs to who runs this.
fn can_install() -> bool {
    let is_root = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        ids.split_whitespace().nth(1).map(|effective| effective == "0")
    };
    Path::new("/etc/debian_version").exists() && on_path("apt-get").is_some() && is_root().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_needs_nothing() {
        assert_eq!(SystemPackage { program: "cargo", probe: &["--version"], debian: "cargo" }.ensure(), Ok(()));
    }

    #[test]
    fn one_that_is_not_is_named_with_its_package() {
        let missing = SystemPackage { program: "no-such-program", probe: &[], debian: "no-such-package" };
        assert!(!missing.is_installed());
        assert!(
            missing.advice().contains("no-such-program")
                && missing.advice().contains("apt-get install no-such-package")
        );
    }
}
