//! What a request's address says.

use http::{HeaderMap, HeaderValue, Uri, header};
use tower_aoai_core::{Address, ApiStyle, Call, Operation};

/// Style, operation, deployment, address.
const ADDRESSES: &str = "
Classic   Chat        d         https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=x
Classic   Completions d         /openai/deployments/d/completions
Classic   Embeddings  d         /openai/deployments/d/embeddings/
Classic   Chat        D         /OpenAI/Deployments/D/Chat/Completions
Classic   Other       d         /openai/deployments/d/audio/speech
Classic   Other       d         /openai/deployments/d
Classic   Other       -         /openai/deployments
Classic   Chat        -         /openai/deployments//chat/completions
Classic   Completions chat      /openai/deployments/chat/completions
Classic   Chat        v1        /openai/deployments/v1/chat/completions
Classic   Chat        openai    /openai/deployments/openai/chat/completions
Classic   Chat        gpt-4o_é  /openai/deployments/gpt%2D4o%20%C3%A9/chat/completions
Classic   Chat        a/b       /openai/deployments/a%2Fb/chat/completions
Classic   Chat        50%       /openai/deployments/50%/chat/completions
Classic   Chat        %ff       /openai/deployments/%ff/chat/completions
Classic   Chat        d         //openai/deployments/d/chat/completions
Classic   Chat        d         /team/v1/openai/deployments/d/chat/completions
Classic   Other       d         /v1/openai/deployments/d/images/edits
Classic   Chat        d         /deployments/openai/deployments/d/chat/completions
Classic   Chat        d         /gw/deployments/d/chat/completions
Classic   Responses   -         /openai/responses?api-version=2025-03-01-preview
Classic   Other       -         /openai/responses/resp_1/cancel
Classic   Other       -         /openai/files
V1        Chat        -         /openai/v1/chat/completions
V1        Responses   -         /openai/v1/responses
V1        Embeddings  -         /openai/v1/embeddings
V1        Other       -         /openai/v1/responses/resp_1
V1        Other       -         /openai/v1/evals/1/responses
V1        Responses   -         https://r.services.ai.azure.com/api/projects/p/openai/v1/responses
V1        Chat        -         https://api.openai.com/v1/chat/completions
V1        Embeddings  -         /gw/eu/v1/embeddings
V1        Other       -         /v1/models
Inference Chat        -         https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview
Inference Chat        -         https://m.eastus.inference.ai.azure.com/chat/completions
Inference Other       -         https://m.eastus.inference.ai.azure.com/info
Inference Embeddings  -         /gw/models/embeddings
Other     Completions -         /models/completions
Other     Chat        -         https://gateway/llm/chat/completions
Other     Other       -         https://gateway/healthz
Other     Other       -         /
";

fn read(uri: &str) -> Call {
    Call::from_head(&uri.parse::<Uri>().expect("an address"), &HeaderMap::new())
}

#[test]
fn every_known_address_is_read() {
    for line in ADDRESSES.lines().filter(|line| !line.is_empty()) {
        let call = read(line.split_whitespace().last().unwrap());
        let deployment = call.deployment.as_deref().unwrap_or("-").replace(' ', "_");
        let said = format!("{:?} {:?} {deployment}", call.style, call.operation);
        let expected: Vec<_> = line.split_whitespace().take(3).collect();
        assert_eq!(said, expected.join(" "), "{line}");
    }
}

#[test]
fn the_rest_is_what_stands_below_the_marker_as_it_is_written() {
    for (uri, rest) in [
        ("https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=x", "chat/completions"),
        ("/gw/deployments/d/audio/speech", "audio/speech"),
        ("/openai/deployments/d", ""),
        ("/openai/responses/resp_1/cancel", "responses/resp_1/cancel"),
        ("/openai/v1/files/a%2Fb", "files/a%2Fb"),
        ("/v1/models", "models"),
        ("/models/chat/completions", "chat/completions"),
        ("https://r.services.ai.azure.com/models/info", "info"),
        ("https://m.eastus.inference.ai.azure.com/info", "info"),
        ("/llm/chat/completions", "chat/completions"),
        ("/healthz/live", "healthz/live"),
        ("/", ""),
    ] {
        let uri: Uri = uri.parse().expect("an address");
        assert_eq!(Address::read(&uri, &HeaderMap::new()).rest, rest, "{uri}");
    }
}

#[test]
fn the_api_version_is_the_first_of_its_name() {
    for (query, version) in [
        ("", None),
        ("?api-version", None),
        ("?api-version=", None),
        ("?a=b&api-version=2024-10-21&api-version=v1", Some("2024-10-21")),
        ("?API-Version=2024%2D10%2D21", Some("2024-10-21")),
    ] {
        let call = read(&format!("/openai/files{query}"));
        assert_eq!(call.api_version.as_deref(), version, "{query}");
    }
}

#[test]
fn the_host_header_stands_in_for_the_authority() {
    let uri = Uri::from_static("/chat/completions");
    let host = HeaderValue::from_static("M.eastus.Models.AI.azure.com:443");
    let headers = HeaderMap::from_iter([(header::HOST, host)]);
    let call = Call::from_head(&uri, &headers);
    assert_eq!((call.style, call.operation), (ApiStyle::Inference, Operation::Chat));
}
