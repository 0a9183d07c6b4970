//! From every style to every other one, for everything that can be asked.

mod support;

use http::{Request, header};
use http_body_util::BodyExt;
use proptest::prelude::*;
use support::{request, sent};
use tower::{Layer, ServiceExt};
use tower_aoai_core::{ApiStyle, Call, CallContext, Error, PrepareLayer, Reason, Rejected, RequestBody};
use tower_aoai_endpoint::{BaseUrl, EndpointLayer};
use tower_aoai_simulator::{Deployment, Simulator};

const OF_A_DEPLOYMENT: [&str; 8] = [
    "chat/completions",
    "completions",
    "embeddings",
    "audio/transcriptions",
    "audio/translations",
    "audio/speech",
    "images/generations",
    "images/edits",
];
const OF_A_RESOURCE: [&str; 9] = [
    "responses/resp_1",
    "responses/resp_1/cancel",
    "responses/resp_1/input_items",
    "models",
    "models/gpt",
    "files",
    "files/file-1/content",
    "batches/batch_1",
    "vector_stores/a%2Fb",
];
/// How calls come in, with `{}` for what is asked: style, whether the path names the model, address.
const SOURCES: [(ApiStyle, &str); 5] = [
    (ApiStyle::Classic, "https://old.openai.azure.com/openai/deployments/gpt/{}?api-version=2023-05-15"),
    (ApiStyle::V1, "/openai/v1/{}"),
    (ApiStyle::V1, "https://api.openai.com/v1/{}"),
    (ApiStyle::Inference, "/team/models/{}?api-version=2024-05-01-preview"),
    (ApiStyle::Other, "http://localhost:8080/llm/{}"),
];

fn base(text: &str) -> BaseUrl {
    text.parse().expect("a base URL")
}

/// Every way in which an endpoint may be addressed, with `{}` for what is asked of a deployment, then of the resource.
fn targets() -> [(EndpointLayer, ApiStyle, &'static str, &'static str); 5] {
    let layer = |base_url| EndpointLayer::new(base(base_url)).model("gpt", "east/1");
    [
        (
            layer("https://east.openai.azure.com").classic("2024-10-21").expect("classic"),
            ApiStyle::Classic,
            "https://east.openai.azure.com/openai/deployments/east%2F1/{}?api-version=2024-10-21",
            "https://east.openai.azure.com/openai/{}?api-version=2024-10-21",
        ),
        (
            layer("https://east.openai.azure.com/openai/v1/"),
            ApiStyle::V1,
            "https://east.openai.azure.com/openai/v1/{}",
            "https://east.openai.azure.com/openai/v1/{}",
        ),
        (layer("https://api.openai.com"), ApiStyle::V1, "https://api.openai.com/v1/{}", "https://api.openai.com/v1/{}"),
        (
            layer("http://127.0.0.1:9000/vllm/v1"),
            ApiStyle::V1,
            "http://127.0.0.1:9000/vllm/v1/{}",
            "http://127.0.0.1:9000/vllm/v1/{}",
        ),
        (
            layer("https://east.services.ai.azure.com").inference("2024-05-01-preview").expect("inference"),
            ApiStyle::Inference,
            "https://east.services.ai.azure.com/models/{}?api-version=2024-05-01-preview",
            "-",
        ),
    ]
}

fn refusal(result: Result<Request<RequestBody>, Error>) -> String {
    let error = result.expect_err("refused");
    assert_eq!(
        error.rejected().map(|rejected| (rejected.reason(), rejected.by())),
        Some((Reason::Unsupported, "endpoint"))
    );
    assert_eq!(error.status(), 400);
    error.to_string()
}

/// Not what any layer would write: that nothing else changes can be seen by the byte.
fn body(model: Option<&str>) -> String {
    let model = model.map(|model| format!(r#" "model"	: "{model}" ,"#)).unwrap_or_default();
    format!(r#" {{ "a" : [1.0, "é"] ,{model} "messages":[ ], "stream_options" : {{ }} }} "#)
}

#[tokio::test]
async fn everything_of_a_deployment_goes_from_every_style_to_every_other() {
    let mut pairs = 0;
    for (source, from) in SOURCES {
        for asked in OF_A_DEPLOYMENT {
            let is_short = matches!(asked, "chat/completions" | "embeddings");
            let exists = match source {
                ApiStyle::Inference => is_short,
                ApiStyle::Other => is_short || asked == "completions",
                _ => true,
            };
            if !exists {
                continue;
            }
            for (layer, target, to, _) in targets() {
                pairs += 1;
                let what = format!("{asked} from {from} to {to}");
                let model = Some("gpt").filter(|_| source != ApiStyle::Classic);
                let call = request("POST", &from.replace("{}", asked), body(model));
                let result = sent(&layer, call).await;
                if target == ApiStyle::Inference && !is_short {
                    assert!(refusal(result).contains(&format!("{asked:?} has no counterpart in the inference route")));
                    continue;
                }
                let arrived = result.expect(&what);
                assert_eq!(arrived.uri().to_string(), to.replace("{}", asked), "{what}");
                let expected = match (target, model) {
                    (ApiStyle::Classic, model) => body(model),
                    (_, Some(_)) => body(Some("east/1")),
                    (_, None) => body(None).replacen('{', r#"{"model":"east/1","#, 1),
                };
                assert_eq!(arrived.body().to_bytes(), expected, "{what}");
                let host = arrived.uri().authority().map(http::uri::Authority::as_str);
                assert_eq!(arrived.headers()[header::HOST].to_str().ok(), host, "{what}");
            }
        }
    }
    assert_eq!(pairs, 5 * (8 + 8 + 8 + 2 + 3));
}

#[tokio::test]
async fn everything_of_a_resource_goes_from_classic_and_v1_to_either() {
    for from in ["/openai/{}?limit=2&api-version=2023-05-15&after=x%26y", "/openai/v1/{}?limit=2&after=x%26y"] {
        for asked in OF_A_RESOURCE {
            for method in ["GET", "DELETE", "POST"] {
                for (layer, target, _, to) in targets() {
                    let result = sent(&layer, request(method, &from.replace("{}", asked), "")).await;
                    if target == ApiStyle::Inference {
                        assert!(refusal(result).contains("no counterpart"));
                        continue;
                    }
                    let arrived = result.expect(asked);
                    assert_eq!(arrived.method(), method);
                    assert!(arrived.body().is_empty());
                    let expected = to.replace("{}", asked);
                    let expected = match expected.split_once('?') {
                        Some((path, version)) => format!("{path}?limit=2&after=x%26y&{version}"),
                        None => format!("{expected}?limit=2&after=x%26y"),
                    };
                    assert_eq!(arrived.uri().to_string(), expected);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_response_keeps_its_model_in_the_body_in_every_style() {
    for from in
        ["/openai/responses?api-version=2025-03-01-preview", "/openai/v1/responses", "/v1/responses", "/gw/responses"]
    {
        for (layer, target, _, to) in targets() {
            let result = sent(&layer, request("POST", from, body(Some("gpt")))).await;
            if target == ApiStyle::Inference {
                refusal(result);
                continue;
            }
            let arrived = result.expect(from);
            assert_eq!(arrived.uri().to_string(), to.replace("{}", "responses"));
            assert_eq!(arrived.body().to_bytes(), body(Some("east/1")));
        }
    }
}

#[tokio::test]
async fn what_only_one_style_has_stays_there() {
    let [classic, v1, .., inference] = targets().map(|(layer, ..)| layer);
    let extensions = "/openai/deployments/gpt/extensions/chat/completions?api-version=x";
    // The longest known end counts: an unknown middle is not read as another operation.
    for uri in [extensions, "/openai/deployments/gpt/realtime/sessions?api-version=x"] {
        let arrived = sent(&classic, request("POST", uri, "{}")).await.expect("classic");
        let rest = uri.strip_prefix("/openai/deployments/gpt/").and_then(|rest| rest.split('?').next()).unwrap();
        let expected =
            format!("https://east.openai.azure.com/openai/deployments/east%2F1/{rest}?api-version=2024-10-21");
        assert_eq!(arrived.uri().to_string(), expected);
        assert!(refusal(sent(&v1, request("POST", uri, "{}")).await).contains("no counterpart in v1 paths"));
    }
    let info = "https://m.eastus.inference.ai.azure.com/info";
    let arrived = sent(&inference, request("GET", info, "")).await.expect("the inference route");
    assert_eq!(arrived.uri().path(), "/models/info");
    refusal(sent(&classic, request("GET", info, "")).await);
    let list = sent(&classic, request("GET", "/openai/deployments?api-version=x", "")).await.expect("classic");
    assert_eq!(list.uri().path(), "/openai/deployments");
    refusal(sent(&v1, request("GET", "/openai/deployments?api-version=x", "")).await);
}

#[tokio::test]
async fn what_is_no_path_of_azures_is_refused_and_so_is_what_climbs() {
    for (layer, ..) in targets() {
        for uri in ["/healthz", "/", "/gw/images/generations"] {
            assert!(
                refusal(sent(&layer, request("POST", uri, "{}")).await).contains("none of Azure OpenAI's"),
                "{uri}"
            );
        }
        for uri in [
            "/openai/v1/../../contentsafety/text",
            "/openai/v1/files/%2e%2E/x",
            "/openai/deployments/gpt/../../x",
            "/openai/v1/files/..%2fx",
            "/openai/v1/files/..%5cx",
            "/openai/v1/./files",
        ] {
            refusal(sent(&layer, request("POST", uri, r#"{"model":"gpt"}"#)).await);
        }
    }
}

#[tokio::test]
async fn a_name_never_climbs_out_of_the_path_that_it_stands_in() {
    let azure = || EndpointLayer::new(base("https://east.openai.azure.com"));
    let classic = || azure().classic("2024-10-21").expect("classic");
    for name in ["..", ".", "../../contentsafety", "a/../b", "..\\\\x", "./x"] {
        let chat = || request("POST", "/v1/chat/completions", format!(r#"{{"model":"{name}"}}"#));
        assert!(refusal(sent(&classic(), chat()).await).contains("climbs"), "{name}");
        let arrived = sent(&azure(), chat()).await.expect("a body holds any name");
        assert_eq!(arrived.uri().path(), "/openai/v1/chat/completions");
    }
    refusal(sent(&classic(), request("POST", "/openai/deployments/%2e%2E/chat/completions", "{}")).await);
    refusal(sent(&classic(), request("POST", "/openai/deployments/..%2f../chat/completions", "{}")).await);
    let arrived = sent(&classic().deployment("..a/b..c"), request("POST", "/v1/embeddings", "{}")).await;
    assert_eq!(arrived.expect("dots are no climb").uri().path(), "/openai/deployments/..a%2Fb..c/embeddings");
}

/// A form, which is not read.
const FORM: &str = "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ngpt\r\n--b--\r\n";

#[tokio::test]
async fn a_form_goes_where_its_model_need_not_be_read_or_written() {
    let v1 = "/openai/v1/audio/transcriptions";
    let classic = "/openai/deployments/gpt/audio/transcriptions?api-version=x";
    let azure = || EndpointLayer::new(base("https://east.openai.azure.com"));
    let by_path = || azure().classic("2024-10-21").expect("classic");

    let path = |uri: &http::Uri| uri.path().to_owned();
    for (layer, from, to) in [
        (azure(), v1, "/openai/v1/audio/transcriptions"),
        (by_path(), classic, "/openai/deployments/gpt/audio/transcriptions"),
        (by_path().model("gpt", "east"), classic, "/openai/deployments/east/audio/transcriptions"),
        (by_path().deployment("whisper"), v1, "/openai/deployments/whisper/audio/transcriptions"),
    ] {
        let arrived = sent(&layer, request("POST", from, FORM)).await.expect(to);
        assert_eq!((path(arrived.uri()), arrived.body().to_bytes()), (to.to_owned(), FORM.into()));
    }
    let why = refusal(sent(&by_path(), request("POST", v1, FORM)).await);
    assert!(why.contains("one deployment for every model, or put the deployment into the request's path"), "{why}");
    for layer in [azure(), azure().deployment("whisper")] {
        let why = refusal(sent(&layer, request("POST", classic, FORM)).await);
        assert!(why.contains("use an endpoint with classic paths"), "{why}");
    }
    refusal(sent(&azure().deployment("whisper"), request("POST", v1, FORM)).await);
    let why = refusal(sent(&azure().model("whisper", "w"), request("POST", v1, FORM)).await);
    assert!(why.contains("names no model that can be read; it has deployments of: whisper"), "{why}");
}

#[tokio::test]
async fn a_model_finds_its_deployment_or_the_call_is_refused() {
    let chat = |model: &str| request("POST", "/openai/v1/chat/completions", format!(r#"{{"model":{model}}}"#));
    let azure = || EndpointLayer::new(base("https://east.openai.azure.com"));
    let written =
        async |layer: &EndpointLayer, model| sent(layer, chat(model)).await.map(|sent| sent.body().to_bytes());
    for (layer, model, expected) in [
        (azure(), r#""gpt""#, r#"{"model":"gpt"}"#),
        (azure().deployment("d"), r#""gpt""#, r#"{"model":"d"}"#),
        (azure().deployment("d").model("gpt", "e"), r#""gpt""#, r#"{"model":"e"}"#),
        (azure().deployment("d").model("gpt", "e"), r#""other""#, r#"{"model":"d"}"#),
        (azure().deployment("d"), "7", r#"{"model":"d"}"#),
        (azure().deployment("d"), "null", r#"{"model":"d"}"#),
        (azure(), "7", r#"{"model":7}"#),
        (azure().deployment("quote\" \\ é"), r#""gpt""#, r#"{"model":"quote\" \\ é"}"#),
        (azure().model("g\"pt", "e"), r#""g\u0022pt""#, r#"{"model":"e"}"#),
    ] {
        assert_eq!(written(&layer, model).await.expect(expected), expected);
    }
    let mapped = azure().model("gpt", "e").model("mini", "f");
    let why = refusal(sent(&mapped, chat(r#""other""#)).await);
    assert!(why.contains(r#"no deployment of model "other", but of: gpt, mini"#), "{why}");
    let long = refusal(sent(&mapped, chat(&format!("\"{}\"", "é".repeat(5_000)))).await);
    assert!(long.len() < 300, "an error does not repeat whatever it is given");
    let why = refusal(sent(&azure().classic("2024-10-21").expect("classic"), chat("7")).await);
    assert!(why.contains("put a `model` into its body"), "{why}");
    refusal(sent(&azure().classic("2024-10-21").expect("classic"), chat("\"\"")).await);
}

#[tokio::test]
async fn the_endpoint_says_its_own_api_version_and_v1_keeps_only_its_own_words() {
    let v1 = EndpointLayer::new(base("https://east.openai.azure.com"));
    let openai = EndpointLayer::new(base("https://api.openai.com"));
    let query = async |layer: &EndpointLayer, uri: &str| {
        let arrived = sent(layer, request("GET", uri, "")).await.expect(uri);
        arrived.uri().query().map(str::to_owned)
    };
    for (uri, at_azure) in [
        ("/openai/v1/files?api-version=preview", Some("api-version=preview")),
        ("/openai/v1/files?API-VERSION=v1&a=b", Some("API-VERSION=v1&a=b")),
        ("/openai/v1/files?api-version=2024-10-21", None),
        ("/openai/files?api-version=preview", None),
        ("/openai/v1/files?&&", None),
    ] {
        assert_eq!(query(&v1, uri).await.as_deref(), at_azure, "{uri}");
        let rest = at_azure.and_then(|query| query.split_once('&')).map(|(_, rest)| rest);
        assert_eq!(query(&openai, uri).await.as_deref(), rest, "{uri}");
    }
    let classic = v1.classic("2024-10-21").expect("classic");
    let twice = query(&classic, "/openai/v1/files?api-version=v1&x=1&api%2Dversion=2").await;
    assert_eq!(twice.as_deref(), Some("x=1&api-version=2024-10-21"));
}

#[tokio::test]
async fn what_lies_below_knows_the_call_as_it_is_now() {
    for (layer, style, ..) in targets() {
        let arrived = sent(&layer, request("POST", "/v1/chat/completions", r#"{"model":"gpt"}"#)).await.expect("sent");
        let call = arrived.extensions().get::<CallContext>().expect("a context").call();
        assert_eq!((call.style, call.target()), (style, Some("east/1")));
        let read = Call::read(arrived.uri(), arrived.headers(), &arrived.body().to_bytes());
        assert_eq!((read.style, read.operation, read.target()), (style, call.operation, Some("east/1")));
    }
    // The same style and name, and still another call.
    let classic = EndpointLayer::new(base("https://east.openai.azure.com")).classic("2024-10-21").expect("classic");
    let old = "/openai/deployments/gpt/chat/completions?api-version=2023-05-15";
    let arrived = sent(&classic, request("POST", old, "{}")).await.expect("sent");
    let call = arrived.extensions().get::<CallContext>().expect("a context").call();
    assert_eq!((call.api_version.as_deref(), call.target()), (Some("2024-10-21"), Some("gpt")));
}

#[tokio::test]
async fn the_simulator_which_reads_on_its_own_serves_every_translation() {
    let deployment = || Deployment::standard("east-1").model("gpt-4o");
    let simulator = || Simulator::builder().deployment(deployment()).build();
    let chat = r#"{"model":"gpt","messages":[{"role":"user","content":"Hello"}],"max_tokens":5}"#;
    let layer = |base_url| EndpointLayer::new(base(base_url)).model("gpt", "east-1");
    for layer in [
        layer("https://east.openai.azure.com").classic("2024-10-21").expect("classic"),
        layer("https://east.openai.azure.com"),
        layer("https://east.services.ai.azure.com").inference("2024-05-01-preview").expect("inference"),
    ] {
        for (_, from) in SOURCES {
            let simulator = simulator();
            let service = PrepareLayer::new().layer(layer.layer(simulator.clone()));
            let uri = from.replace("{}", "chat/completions");
            let request = Request::post(uri).body(support::Plain::from(chat)).expect("a request");
            let response = service.oneshot(request).await.expect("an answer");
            assert_eq!(response.status(), 200, "{from}");
            response.into_body().collect().await.expect("a whole answer");
            let journal = simulator.journal();
            assert_eq!(journal.len(), 1);
        }
    }
}

proptest! {
    /// Whatever name a deployment has that does not climb, the server reads it out of the path as it was meant.
    #[test]
    fn any_deployment_is_written_so_that_it_is_read(name in "\\PC{1,20}") {
        prop_assume!(!name.split(['/', '\\']).any(|part| matches!(part, "." | "..")));
        let layer = EndpointLayer::new(base("https://east.openai.azure.com"));
        for layer in [layer.clone(), layer.classic("2024-10-21").expect("classic")] {
            let layer = layer.deployment(&*name);
            let call = request("POST", "/v1/chat/completions", r#"{"messages":[],"model":"x"}"#);
            let arrived = futures_util::FutureExt::now_or_never(sent(&layer, call)).expect("at once").expect("sent");
            let read = Call::read(arrived.uri(), arrived.headers(), &arrived.body().to_bytes());
            prop_assert_eq!(read.target(), Some(&*name));
        }
    }

    #[test]
    fn no_path_and_no_body_makes_it_panic(
        path in "(/(openai|v1|deployments|models|chat|completions|responses|[a-z.%]{0,6}|\\.\\.)){0,7}",
        query in "(\\?[a-z=&%-]{0,20})?",
        body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        if let Ok(uri) = format!("/{path}{query}").parse::<http::Uri>() {
            for (layer, ..) in targets() {
                let call = Request::post(uri.clone()).body(RequestBody::from(body.clone())).expect("a request");
                match futures_util::FutureExt::now_or_never(sent(&layer, call)).expect("at once") {
                    Ok(arrived) => {
                        let path = arrived.uri().path();
                        prop_assert!(!path.split('/').any(|segment| segment == ".."), "{}", path);
                    }
                    Err(error) => prop_assert_eq!(error.rejected().map(Rejected::reason), Some(Reason::Unsupported)),
                }
            }
        }
    }
}
