//! Base URLs, styles, and what an error says would be right.

use tower_aoai_endpoint::{BaseUrl, EndpointLayer, Host};

fn base(text: &str) -> BaseUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_azure_and_openai_define_is_taken_off_and_added_again() {
    for (text, shown, host) in [
        ("https://contoso.openai.azure.com", "https://contoso.openai.azure.com", Host::AzureOpenAi),
        (" https://contoso.openai.azure.com/ \n", "https://contoso.openai.azure.com", Host::AzureOpenAi),
        ("https://contoso.openai.azure.com///", "https://contoso.openai.azure.com", Host::AzureOpenAi),
        ("https://contoso.openai.azure.com/openai", "https://contoso.openai.azure.com", Host::AzureOpenAi),
        ("https://contoso.openai.azure.com/OpenAI/V1/", "https://contoso.openai.azure.com", Host::AzureOpenAi),
        ("https://Contoso.OpenAI.Azure.US", "https://Contoso.OpenAI.Azure.US", Host::AzureOpenAi),
        ("https://contoso.openai.azure.cn", "https://contoso.openai.azure.cn", Host::AzureOpenAi),
        ("https://c.cognitiveservices.azure.com", "https://c.cognitiveservices.azure.com", Host::CognitiveServices),
        ("https://c.services.ai.azure.com/models", "https://c.services.ai.azure.com", Host::AiServices),
        (
            "https://c.services.ai.azure.com/api/projects/p",
            "https://c.services.ai.azure.com/api/projects/p",
            Host::AiServices,
        ),
        ("https://m.eastus.inference.ai.azure.com", "https://m.eastus.inference.ai.azure.com", Host::Inference),
        ("https://m.eastus.models.ai.azure.com/", "https://m.eastus.models.ai.azure.com", Host::Inference),
        ("https://api.openai.com", "https://api.openai.com/v1", Host::OpenAi),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1", Host::OpenAi),
        ("https://llm.example/api/v1", "https://llm.example/api/v1", Host::Other),
        ("https://contoso.azure-api.net/team", "https://contoso.azure-api.net/team", Host::Other),
        ("https://openai.azure.com.example", "https://openai.azure.com.example", Host::Other),
        ("http://localhost:8080", "http://localhost:8080", Host::Other),
        ("http://east.localhost:8080/", "http://east.localhost:8080", Host::Other),
        ("http://127.8.0.1", "http://127.8.0.1", Host::Other),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1", Host::Other),
    ] {
        let base = base(text);
        assert_eq!((base.to_string(), base.host()), (shown.to_owned(), host), "{text}");
    }
    let plain = BaseUrl::allow_http("http://simulator:8080").expect("allowed");
    assert_eq!(plain.to_string(), "http://simulator:8080");
    let compatible = base("https://llm.example/v1beta/openai/").openai_compatible();
    assert_eq!(compatible.to_string(), "https://llm.example/v1beta/openai");
}

#[test]
fn what_is_wrong_is_told_with_what_would_be_right() {
    for (text, says) in [
        ("", "is empty: write, for example, https://contoso.openai.azure.com"),
        ("contoso.openai.azure.com/", "does not say how to connect: write https://contoso.openai.azure.com/"),
        ("contoso", "write https://contoso.openai.azure.com"),
        ("//contoso.openai.azure.com", "write https://contoso.openai.azure.com"),
        ("ftp://contoso.openai.azure.com", "begins with https://: write https://contoso.openai.azure.com"),
        ("http://contoso.openai.azure.com", "in the clear: write https://contoso.openai.azure.com, or allow http"),
        ("http://localhost.example", "in the clear"),
        ("https://openai.azure.com", "the resource's name is missing: write https://contoso.openai.azure.com"),
        ("https://services.ai.azure.com/", "write https://contoso.services.ai.azure.com"),
        ("https://me:s3cret@contoso.openai.azure.com", "a user or password before its host"),
        ("me:s3cret@contoso.openai.azure.com", "a user or password before its host"),
        ("contoso.openai.azure.com?api-key=s3cret", "write https://contoso.openai.azure.com"),
        ("https://contoso.openai.azure.com?api-key=s3cret", "a base URL has no query"),
        (
            "https://c.openai.azure.com/?api-version=2024-10-21",
            "write https://c.openai.azure.com/, and give the api-version",
        ),
        ("https://c.openai.azure.com#x", "has no query: write https://c.openai.azure.com"),
        ("https://c openai", "is no address"),
        ("https:///openai", "is no address"),
        ("https://c.openai.azure.com//openai/v1", "has an empty segment"),
        ("https://c.openai.azure.com/a/../b", "has an empty segment, `.` or `..`"),
        (
            "https://c.openai.azure.com/openai/deployments/gpt-4o/chat/completions",
            "names a deployment: write https://c.openai.azure.com, and deployment \"gpt-4o\" beside it",
        ),
        (
            "https://c.openai.azure.com/openai/v1/chat/completions",
            "each request says itself: write https://c.openai.azure.com",
        ),
        ("https://api.openai.com/v1/responses/", "each request says itself: write https://api.openai.com"),
        ("https://c.openai.azure.com/v1", "stand below /openai/v1: write https://c.openai.azure.com, the rest"),
        ("https://c.openai.azure.com/openai/v1/openai/v1", "has /openai twice"),
        ("https://gateway.example/openai/openai", "has /openai twice"),
    ] {
        let error = text.parse::<BaseUrl>().expect_err(text).to_string();
        assert!(error.contains(says), "{text}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let error = BaseUrl::allow_http("http://simulator:8080?x").expect_err("a query").to_string();
    assert!(error.contains("write http://simulator:8080,"), "{error}");
}

#[test]
fn styles_that_an_endpoint_does_not_have_are_refused() {
    let classic = |text, version| EndpointLayer::new(base(text)).classic(version).map(drop).map_err(|e| e.to_string());
    let inference =
        |text| EndpointLayer::new(base(text)).inference("2024-05-01-preview").map(drop).map_err(|e| e.to_string());
    const AZURE: &str = "https://c.openai.azure.com";
    for version in ["2024-10-21", " 2025-04-01-preview", "2023-05-15"] {
        assert_eq!(classic(AZURE, version), Ok(()));
    }
    for (text, version, says) in [
        (AZURE, "", "the api-version is missing: write 2024-10-21"),
        (AZURE, "preview", "is one of the v1 paths, which need none: choose v1"),
        (AZURE, "2024-1-1", "write it like 2024-10-21"),
        (AZURE, "2024-10-21&x=1", "is no date"),
        (AZURE, "2024-10-21-", "is no date"),
        (AZURE, "2024é10-21", "is no date"),
        ("https://api.openai.com", "2024-10-21", "has no classic paths: choose v1"),
        (
            "https://c.openai.azure.com/openai/v1",
            "2024-10-21",
            "ends in /openai/v1, which is not where classic paths stand",
        ),
        ("https://llm.example/v1", "2024-10-21", "ends in /v1"),
    ] {
        let error = classic(text, version).expect_err(version);
        assert!(error.contains(says), "{text} {version}: {error}");
    }
    assert_eq!(inference("https://c.services.ai.azure.com"), Ok(()));
    assert_eq!(inference("http://localhost:8080"), Ok(()));
    assert!(inference(AZURE).is_err_and(|error| error.contains("has no inference route")));
    assert!(inference("https://llm.example/v1").is_err_and(|error| error.contains("ends in /v1")));
    assert!(EndpointLayer::new(base("https://c.services.ai.azure.com/models")).v1().is_err());
    assert!(EndpointLayer::new(base("https://m.eastus.models.ai.azure.com")).v1().is_ok());
    assert!(EndpointLayer::off().classic("2024-10-21").is_ok(), "what is off has nothing to be wrong");
}

#[test]
fn each_cloud_has_its_scope() {
    for (text, scope) in [
        ("https://c.openai.azure.com", Some("https://cognitiveservices.azure.com/.default")),
        ("https://c.openai.azure.us", Some("https://cognitiveservices.azure.us/.default")),
        ("https://c.cognitiveservices.azure.cn", Some("https://cognitiveservices.azure.cn/.default")),
        ("https://c.services.ai.azure.com", Some("https://ai.azure.com/.default")),
        ("https://c.openai.azure.com.", Some("https://cognitiveservices.azure.com/.default")),
        ("https://api.openai.com", None),
        ("http://localhost", None),
    ] {
        assert_eq!(base(text).scope(), scope, "{text}");
    }
}
