//! What the suite needs beside Rust.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::step::run;

/// A program, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemPackage {
    pub(crate) program: &'static str,
    pub(crate) debian: &'static str,
}

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
            "`{}` is needed and not on the PATH: install it (on Debian and Ubuntu: apt-get install {})",
            self.program, self.debian
        )
    }

    fn is_installed(&self) -> bool {
        on_path(self.program).is_some()
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
        assert_eq!(SystemPackage { program: "cargo", debian: "cargo" }.ensure(), Ok(()));
    }

    #[test]
    fn one_that_is_not_is_named_with_its_package() {
        let missing = SystemPackage { program: "no-such-program", debian: "no-such-package" };
        assert!(!missing.is_installed());
        assert!(
            missing.advice().contains("no-such-program")
                && missing.advice().contains("apt-get install no-such-package")
        );
    }
}
