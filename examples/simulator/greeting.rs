//! How to point an SDK at the server.

use std::io::{self, Write};

use tower_aoai_simulator::server::Running;

/// Tells where it listens and what to say to an SDK. The keys of a file are its owner's: only the
/// sample's are shown.
pub(crate) fn greet(out: &mut impl Write, running: &Running, sample: bool) -> io::Result<()> {
    let url = running.url();
    writeln!(out, "listening on {url}\n")?;
    let world = running.world();
    for (name, simulator) in world.resources() {
        let default = if world.default_name() == Some(name) { ", the default" } else { "" };
        writeln!(out, "resource {name}{default}: {url}/{name}")?;
        for deployment in simulator.deployments() {
            let (model, region) = (deployment.model_name(), deployment.region_name());
            writeln!(out, "    {:<16} {model}, {region}", deployment.name())?;
        }
    }
    let key = if sample { "sweden-key" } else { "<one of its api_keys>" };
    let first = world.default_resource().deployments().next();
    let deployment = first.map_or("<deployment>", |deployment| deployment.name());
    writeln!(
        out,
        r#"
This project's stack, by `Stack::from_env()`:
    export AZURE_OPENAI_ENDPOINT={url} AZURE_OPENAI_API_KEY='{key}' AZURE_OPENAI_DEPLOYMENT='{deployment}'
Python, as Azure:
    AzureOpenAI(azure_endpoint="{url}", api_key="{key}", api_version="2024-10-21")
        .chat.completions.create(model="{deployment}", messages=[...])
Python, by the v1 API (the same in every SDK: base URL, key, deployment as model):
    OpenAI(base_url="{url}/openai/v1", api_key="{key}")
        .responses.create(model="{deployment}", input="...")
curl:
    curl {url}/openai/v1/chat/completions -H 'api-key: {key}' \
        -d '{{"model":"{deployment}","messages":[{{"role":"user","content":"Hello"}}]}}'
Faults, limits and what was served: {url}/_simulator  (--help shows how)

ctrl-c ends it."#
    )?;
    out.flush()
}
