//! Tokens that expire and are taken back, and callers who do not notice: an hour and a half of calls, in no time.
//!
//! ```sh
//! cargo run -p tower-aoai-endpoint --example entra
//! ```

use std::{
    io::{self, ErrorKind, Write},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt};
use tower_aoai_core::{BoxError, ObserveLayer, PrepareLayer};
use tower_aoai_endpoint::{BaseUrl, Credential, CredentialError, EndpointLayer, Token, TokenFuture};
use tower_aoai_simulator::{Deployment, Simulator, TokenIssuer};

/// Microsoft Entra ID as the simulator has it; with the feature `entra`, `EntraCredential` is the real one.
#[derive(Debug)]
struct Issued(TokenIssuer);

impl Credential for Issued {
    fn token(&self) -> TokenFuture {
        let issuer = self.0.clone();
        Box::pin(async move {
            sleep(Duration::from_millis(300)).await;
            let lifetime = issuer.token_lifetime();
            let token = Token::bearer(&issuer.issue(lifetime)).map_err(CredentialError::new)?;
            Ok(token.expires_at(Instant::now() + lifetime))
        })
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    match tell(&mut io::stdout()).await {
        // Whoever reads this may go away at any time, as `head` does: that is no error.
        Err(error) if error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        ended => ended,
    }
}

async fn tell(out: &mut impl Write) -> Result<(), BoxError> {
    let issuer = TokenIssuer::new();
    let azure = Simulator::builder().token_issuer(issuer.clone()).deployment(Deployment::standard("east-4o")).build();

    let base: BaseUrl = "https://contoso-east.openai.azure.com".parse()?;
    let endpoint = EndpointLayer::new(base).model("gpt-4o", "east-4o").credential(Issued(issuer.clone()));
    let handle = endpoint.handle();
    let client = ServiceBuilder::new()
        .layer(PrepareLayer::new())
        .layer(endpoint)
        .layer(ObserveLayer::new())
        .service(azure.clone());

    let mut answers = 0;
    let start = Instant::now();
    for minute in 0..90 {
        if minute == 30 {
            writeln!(out, "{minute} min: somebody takes all tokens back")?;
            issuer.revoke_all();
        }
        // The caller speaks OpenAI's language, with a key that must go nowhere.
        let request = Request::post("https://api.openai.com/v1/chat/completions")
            .header("authorization", "Bearer sk-of-the-caller")
            .body(Full::<Bytes>::from(
                r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}],"max_tokens":5}"#,
            ))?;
        let response = client.clone().oneshot(request).await?;
        answers += usize::from(response.status() == 200);
        response.into_body().collect().await?;
        sleep(Duration::from_secs(60)).await;
    }
    let snapshot = handle.snapshot();
    let token = snapshot.token.unwrap_or_default();
    let minutes = (Instant::now() - start).as_secs() / 60;
    writeln!(out, "{minutes} min: {answers} of 90 calls answered, {} requests reached Azure", azure.journal().len())?;
    writeln!(
        out,
        "{} tokens obtained, {} taken back by the server, {} calls sent twice",
        token.obtained, token.given_up, snapshot.sent_again
    )?;
    Ok(())
}
