//! Round-robin from the environment, on and off by a variable.
//!
//! ```sh
//! cargo run --example from_environment
//! ```

#[macro_use]
#[path = "../println.rs"]
mod println;
#[path = "../ask.rs"]
mod ask;
#[path = "../chat.rs"]
mod chat;

use tower_aoai::{
    Stack,
    config::{Sources, Vars},
    core::BoxError,
};
use tower_aoai_simulator::{Deployment, Simulator, World};

use crate::ask::ask;

/// As they may stand in a `.env` file; here they are no variables of the process, so that the example runs anywhere.
const ENV: &str = r#"
AZURE_OPENAI_ENDPOINT=https://contoso-east.openai.azure.com
AZURE_OPENAI_API_KEY=the-key-of-east
AZURE_OPENAI_DEPLOYMENT=chat
AZURE_OPENAI_API_VERSION=2024-10-21
AZURE_OPENAI_ROUND_ROBIN_CONNECTION='[
  {"AZURE_OPENAI_ENDPOINT": "https://contoso-east.openai.azure.com", "AZURE_OPENAI_API_KEY": "the-key-of-east"},
  {"AZURE_OPENAI_ENDPOINT": "https://contoso-west.openai.azure.com", "AZURE_OPENAI_API_KEY": "the-key-of-west"}
]'
MAX_RETRIES=2
"#;

/// The stack as these variables have it, and what each region got of ten calls.
async fn ten_calls(switch: &str) -> Result<Vec<usize>, BoxError> {
    let region =
        |key| Simulator::builder().api_key(key).deployment(Deployment::standard("chat").model("gpt-4o")).build();
    let azure = World::builder()
        .resource("contoso-east", region("the-key-of-east"))
        .resource("contoso-west", region("the-key-of-west"))
        .build();
    let vars: Vars = [("USE_AZURE_OPENAI_ROUND_ROBIN", switch)].into_iter().collect();
    let vars = vars.or(Vars::of_env_text(ENV)?);
    let transport = azure.clone();
    // [from-environment]
    // `Stack::from_env()?` does this with the variables of the process, and a transport of its own.
    let config = Sources::new().vars(vars).environment().read()?;
    let stack = Stack::builder(config).transport(transport).build()?;
    // [end]
    for _ in 0..10 {
        assert!(ask(&stack).await?.0.is_success());
    }
    Ok(azure.resources().map(|(_, azure)| azure.journal().len()).collect())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let (on, off) = (ten_calls("true").await?, ten_calls("false").await?);
    println!("USE_AZURE_OPENAI_ROUND_ROBIN=true:  {on:?}");
    println!("USE_AZURE_OPENAI_ROUND_ROBIN=false: {off:?}");
    assert_eq!((on.as_slice(), off.as_slice()), ([5, 5].as_slice(), [10, 0].as_slice()));

    let mistake = ten_calls("sometimes").await.err().ok_or("that is neither on nor off")?;
    println!("and =sometimes: {mistake}");
    assert!(mistake.to_string().contains("USE_AZURE_OPENAI_ROUND_ROBIN"));
    Ok(())
}
