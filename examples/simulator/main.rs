//! Azure OpenAI on a port of this machine, for any SDK in any language.
//!
//! ```sh
//! cargo run --example simulator -- --port 8080
//! cargo run --example simulator -- --sample > world.toml
//! cargo run --example simulator -- --file world.toml
//! ```

mod greeting;

use std::{
    error::Error,
    fs,
    io::{self, ErrorKind, Write},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use tower_aoai_simulator::server::{Server, file};

/// Azure OpenAI on a port of this machine: quotas, 429s, streams, faults, without a key or a bill
///
/// It answers chat completions, completions, embeddings, responses and models, by the classic, the
/// v1 and the Azure AI inference paths, with the headers, bodies and events of the real service.
/// What it says is filler; when it says 429 is exact.
#[derive(Debug, Parser)]
#[command(after_long_help = "\
Faults on demand, while it runs (all routes: GET /_simulator):

  # the next two requests are refused for 1.5 s, the third breaks after three tokens
  curl -d '{\"deployment\":\"gpt-4o\",\"answers\":[
      {\"kind\":\"rate_limited\",\"after_ms\":1500,\"times\":2},
      {\"kind\":\"cut\",\"events\":3}]}' http://127.0.0.1:8080/_simulator/script
  # a region is down for a minute
  curl -d '{\"region\":\"Sweden Central\",\"for_ms\":60000,
      \"answers\":[{\"kind\":\"status\",\"status\":503}]}' http://127.0.0.1:8080/_simulator/script
  # what was served
  curl http://127.0.0.1:8080/_simulator/journal")]
struct Arguments {
    /// The resources, deployments and limits, in TOML; --sample shows what can be said
    #[arg(long, value_name = "TOML")]
    file: Option<PathBuf>,
    /// The port; 0 is a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The address; anything but loopback lets others on the network in, to the admin API too
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Print a sample file with every key there is, and end
    #[arg(long)]
    sample: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where not even that can be written, the code says it.
            let _ = writeln!(io::stderr(), "simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads this may go away at any time, as `head` does: that is no error, and a server goes on.
fn unless_unread(written: io::Result<()>) -> io::Result<()> {
    written.or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut out = io::stdout();
    if arguments.sample {
        return Ok(unless_unread(write!(out, "{}", file::SAMPLE))?);
    }
    let text = match &arguments.file {
        None => file::SAMPLE.to_owned(),
        Some(path) => fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let world = match file::world(&text) {
        Ok(world) => world,
        Err(mistakes) => {
            let name = arguments.file.unwrap_or_default();
            return Err(format!("{} is not right:\n{mistakes}", name.display()).into());
        }
    };
    let address = SocketAddr::new(arguments.host, arguments.port);
    let server = Server::bind(address).await.map_err(|error| format!("{address}: {error}; try another --port"))?;
    let running = server.serve(world);
    unless_unread(greeting::greet(&mut out, &running, arguments.file.is_none()))?;
    tokio::signal::ctrl_c().await?;
    unless_unread(writeln!(out, "\nending: answers under way have five seconds"))?;
    running.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
