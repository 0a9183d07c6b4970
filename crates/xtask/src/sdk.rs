//! The official SDKs, installed in throw-away environments, against the simulator's server.

use std::{
    fmt, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::step::{cargo, root, run, target};

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sdk {
    Python,
    Node,
}

impl Sdk {
    /// Installs the SDK below `target`, starts a server, and runs the checks of `tests/sdk` against it.
    pub(crate) fn check(self) -> Result<(), String> {
        let (root, target) = (root(), target());
        let sources = root.join("tests/sdk").join(self.folder());
        let place = target.join("sdk").join(self.folder());
        fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let mut check = match self {
            Self::Python => install_python(&sources, &place)?,
            Self::Node => install_node(&sources, &place)?,
        };
        let server = Server::start(&target, &root.join("tests/sdk/world.toml"))?;
        run(check.arg(&server.address))
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
        }
    }
}

fn install_python(sources: &Path, place: &Path) -> Result<Command, String> {
    run(Command::new("python3").args(["-m", "venv"]).arg(place))?;
    let python = place.join("bin/python");
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(sources.join("requirements.txt")))?;
    let mut check = Command::new(python);
    check.arg(sources.join("check.py"));
    Ok(check)
}

/// Node looks for packages beside the script, so that is copied there.
fn install_node(sources: &Path, place: &Path) -> Result<Command, String> {
    for file in ["package.json", "package-lock.json", "check.mjs"] {
        fs::copy(sources.join(file), place.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    run(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(place))?;
    let mut check = Command::new("node");
    check.arg(place.join("check.mjs"));
    Ok(check)
}

/// The simulator's server on a free port of this machine, ended when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(target: &Path, world: &Path) -> Result<Self, String> {
        run(cargo().args(["build", "--package", "tower-aoai-examples", "--example", "simulator"]))?;
        let program = target.join("debug/examples/simulator");
        let mut command = Command::new(&program);
        command.args(["--port", "0", "--file"]).arg(world).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let mut server = Self { process, address: String::new() };
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let start = line.find("http://")?;
            line[start..].split_whitespace().next().map(str::to_owned)
        });
        server.address = address.ok_or("the server ended without naming its address")?;
        // Its output is read on, or a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl fmt::Display for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "Python",
            Self::Node => "Node",
        })
    }
}
