//! Where a configuration comes from, and what goes before what.
#![cfg(feature = "config")]

use std::{io::Write, time::Duration};

use tower_aoai::{
    balance::Strategy,
    config::{
        Config, DeploymentKind, EndpointConfig, LegConfig, Limit, ModelConfig, PatienceConfig, Problems, Profile,
        QuotaConfig, ResourceConfig, Secret, Sources, Style, Vars,
    },
    retry_after::Jitter,
};

const AZURE: [(&str, &str); 2] =
    [("AZURE_OPENAI_ENDPOINT", "https://contoso.openai.azure.com/"), ("AZURE_OPENAI_API_KEY", "0123456789abcdef")];

const FILE: &str = r#"
profile = "cautious"
[[resources]]
name = "east"
base_url = "https://contoso-east.openai.azure.com"
api_key = "${EAST_KEY:-none}"
[[endpoints]]
name = "chat"
resource = "east"
[quota]
requests_per_minute = 600
[retry]
max_retries = 7
"#;

fn environment(vars: &[(&str, &str)]) -> Result<Config, Problems> {
    Sources::new().vars(vars.iter().copied().collect()).environment().read()
}

fn azure_and(vars: &[(&str, &str)]) -> Config {
    environment(&[&AZURE[..], vars].concat()).unwrap_or_else(|problems| panic!("{problems}"))
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn one_deployment_from_the_environment() {
    let config = azure_and(&[("AZURE_OPENAI_DEPLOYMENT", "gpt-4o"), ("AZURE_OPENAI_API_VERSION", " 2024-10-21 ")]);
    let [resource] = &config.resources[..] else { panic!("{config:?}") };
    assert_eq!(resource.base_url, "https://contoso.openai.azure.com/");
    assert_eq!(resource.api_key.as_ref().map(Secret::expose), Some("0123456789abcdef"));
    assert_eq!((resource.style, resource.api_version.as_deref()), (Some(Style::Classic), Some("2024-10-21")));
    assert_eq!(config.endpoints[0].deployment.as_deref(), Some("gpt-4o"));
    assert_eq!(config.quota, QuotaConfig::default(), "nothing is throttled that nobody asked for");
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    for version in ["v1", "preview"] {
        let config = azure_and(&[("AZURE_OPENAI_API_VERSION", version)]);
        assert_eq!((config.resources[0].style, &config.resources[0].api_version), (Some(Style::V1), &None));
    }
}

#[test]
fn any_server_of_openais_language_from_the_environment() {
    let of = |address| {
        let config = environment(&[("OPENAI_API_BASE", address), ("OPENAI_API_KEY", "sk-0123456789abcdef")]);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let base = config.resources[0].address().unwrap();
        (base.to_string(), config.resources[0].openai_compatible, config.endpoints[0].deployment.clone())
    };
    assert_eq!(of("https://api.openai.com/v1"), ("https://api.openai.com/v1".to_owned(), None, None));
    assert_eq!(of("https://contoso.openai.azure.com"), ("https://contoso.openai.azure.com".to_owned(), None, None));
    let llm = "https://llm.example/v1beta/openai";
    assert_eq!(of(llm), (llm.to_owned(), Some(true), None));
    assert_eq!(of("http://localhost:8000/v1"), ("http://localhost:8000/v1".to_owned(), Some(true), None));
}

#[test]
fn a_provisioned_deployment_and_a_standard_one_make_two_legs() {
    let vars = [
        ("OPENAI_API_BASE", "https://contoso.openai.azure.com"),
        ("OPENAI_API_KEY", "0123456789abcdef"),
        ("PTU_DEPLOYMENT", "chat-ptu"),
        ("STANDARD_DEPLOYMENT", "chat"),
        ("PTU_MAX_WAIT", "1500"),
        ("MAX_RETRIES", "0"),
        ("TOKENS_PER_MINUTE", "150000"),
        ("MAX_CONCURRENT_REQUESTS", "3"),
    ];
    let config = environment(&vars).unwrap_or_else(|problems| panic!("{problems}")).effective();
    let legs = &config.models["default"].legs;
    let endpoints: Vec<_> = legs.iter().map(|leg| leg.endpoints.join(",")).collect();
    assert_eq!(endpoints, ["ptu", "standard"]);
    assert_eq!(legs[0].patience, Some(PatienceConfig::AtMost(Duration::from_millis(1_500))));
    assert_eq!(legs[0].retry.max_retries, Some(0));
    assert_eq!(config.default_model.as_deref(), Some("default"));
    let [ptu, standard] = &config.endpoints[..] else { panic!("{config:?}") };
    assert_eq!((ptu.kind(), ptu.deployment.as_deref()), (DeploymentKind::Provisioned, Some("chat-ptu")));
    assert_eq!((ptu.quota.tokens_per_minute, ptu.quota.max_in_flight), (None, Some(3)));
    assert_eq!((standard.quota.tokens_per_minute, standard.quota.max_in_flight), (Some(150_000), Some(3)));
    assert!(config.is_provisioned(&legs[0]) && !config.is_provisioned(&legs[1]));
}

#[test]
fn connections_take_turns_where_they_are_switched_on() {
    let list = r#"[
        {"AZURE_OPENAI_ENDPOINT": "https://one.openai.azure.com", "AZURE_OPENAI_API_KEY": "one-0123456789"},
        {"AZURE_OPENAI_ENDPOINT": "https://two.openai.azure.com", "AZURE_OPENAI_API_KEY": "two-0123456789",
         "deployment": "other", "api-version": "2024-10-21"}
    ]"#;
    let vars = |used| {
        azure_and(&[
            ("AZURE_OPENAI_ROUND_ROBIN_CONNECTION", list),
            ("USE_AZURE_OPENAI_ROUND_ROBIN", used),
            ("AZURE_OPENAI_DEPLOYMENT", "usual"),
        ])
    };
    for on in ["true", "1", "Yes", "ON"] {
        let config = vars(on).effective();
        let addresses: Vec<_> = config.resources.iter().map(|resource| resource.base_url.as_str()).collect();
        assert_eq!(addresses, ["https://one.openai.azure.com", "https://two.openai.azure.com"]);
        let deployments: Vec<_> = config.endpoints.iter().map(|endpoint| endpoint.deployment.as_deref()).collect();
        assert_eq!(deployments, [Some("usual"), Some("other")]);
        assert_eq!(config.resources[1].api_version.as_deref(), Some("2024-10-21"));
        let leg = &config.models["default"].legs[0];
        assert_eq!((leg.endpoints.len(), leg.strategy), (2, Some(Strategy::RoundRobin)));
    }
    for off in ["false", "0", "", "off"] {
        let config = vars(off);
        assert_eq!(config.resources[0].base_url, "https://contoso.openai.azure.com/", "{off:?}");
        assert_eq!(config.endpoints.len(), 1);
    }
}

#[test]
fn numbers_have_the_units_of_their_names() {
    let config = azure_and(&[
        ("MIN_REQUEST_INTERVAL_MS", "250"),
        ("INITIAL_BACKOFF_SECONDS", "1.5"),
        ("MAX_BACKOFF_SECONDS", "20"),
        ("BACKOFF_MULTIPLIER", "3"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "4"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "90"),
        ("CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "2"),
        ("PLANNER_AGENT_MAX_TOKENS", "2000"),
        ("DATA_ANALYST_AGENT_MAX_TOKENS", "500"),
        ("_AGENT_MAX_TOKENS", "nobody's"),
    ]);
    assert_eq!(config.quota.min_interval, Some(Duration::from_millis(250)));
    assert_eq!(config.retry.initial_backoff, Some(Duration::from_millis(1_500)));
    assert_eq!((config.retry.max_backoff, config.retry.multiplier), (Some(seconds(20)), Some(3.0)));
    assert_eq!(config.retry.jitter, Some(Jitter::Proportional(0.1)), "never sooner than is said");
    let circuit = &config.circuit_breaker;
    assert_eq!((circuit.consecutive_failures, circuit.failure_ratio), (Some(Limit::Of(4)), Some(Limit::Unlimited)));
    assert_eq!((circuit.break_time, circuit.break_cap), (Some(seconds(90)), Some(seconds(90))));
    assert_eq!((circuit.jitter, circuit.successes_to_close), (Some(0.0), Some(2)));
    let agents: Vec<_> = config.agents.iter().map(|(name, agent)| (name.as_str(), agent.max_tokens)).collect();
    assert_eq!(agents, [("data_analyst", Some(500)), ("planner", Some(2_000))]);
}

#[test]
fn the_cautious_profile_has_the_recipes_figures() {
    let config = azure_and(&[("AOAI_PROFILE", "cautious")]).effective();
    let quota = &config.endpoints[0].quota;
    assert_eq!((quota.max_in_flight, quota.min_interval), (Some(3), Some(Duration::from_millis(100))));
    assert_eq!((quota.requests_per_minute, quota.tokens_per_minute), (Some(60), Some(150_000)));
    let retry = &config.models["default"].legs[0].retry;
    assert_eq!((retry.max_retries, retry.multiplier), (Some(3), Some(2.0)));
    assert_eq!((retry.initial_backoff, retry.max_backoff), (Some(seconds(1)), Some(seconds(30))));
    let circuit = &config.endpoints[0].circuit_breaker;
    assert_eq!((circuit.consecutive_failures, circuit.successes_to_close), (Some(Limit::Of(5)), Some(3)));
    assert_eq!((circuit.break_time, circuit.break_cap), (Some(seconds(60)), Some(seconds(60))));
}

#[test]
fn code_goes_before_the_environment_that_before_the_file_and_that_before_the_profile() {
    let vars: Vars = [("MAX_RETRIES", "5"), ("EAST_KEY", "0123456789")].into_iter().collect();
    let mut config = Sources::new().vars(vars).environment().toml_text(FILE).read().unwrap();
    assert_eq!(config.resources[0].api_key.as_ref().map(Secret::expose), Some("0123456789"));
    assert_eq!(config.retry.max_retries, Some(5), "the environment before the file");
    config.retry.max_retries = Some(1);
    let config = config.effective();
    assert_eq!(config.models["default"].legs[0].retry.max_retries, Some(1), "code before the environment");
    let quota = &config.endpoints[0].quota;
    assert_eq!(quota.requests_per_minute, Some(600), "the file before the profile");
    assert_eq!(quota.tokens_per_minute, Some(150_000), "the profile before the defaults");
    assert_eq!(quota.queue_limit, None);
}

#[test]
fn which_endpoints_there_are_is_said_by_the_file_if_it_says_it() {
    let vars: Vars = AZURE.into_iter().chain([("USE_AZURE_OPENAI_ROUND_ROBIN", "maybe")]).collect();
    let config = Sources::new().vars(vars).environment().toml_text(FILE).read().unwrap();
    assert_eq!(config.resources[0].name, "east");
    let vars: Vars = AZURE.into_iter().collect();
    let config = Sources::new().vars(vars).environment().toml_text("[retry]\nmax_retries = 2").read().unwrap();
    assert_eq!((config.resources[0].name.as_str(), config.retry.max_retries), ("azure", Some(2)));
}

#[test]
fn files_are_read_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (toml, env) = (folder.path().join("aoai.toml"), folder.path().join("variables"));
    std::fs::File::create(&toml).unwrap().write_all(FILE.as_bytes()).unwrap();
    std::fs::File::create(&env).unwrap().write_all(b"\xEF\xBB\xBFEAST_KEY='a$b c' # the key\nMAX_RETRIES=9\n").unwrap();
    let sources = || Sources::new().vars(Vars::default()).environment().toml_file(&toml);
    let config = sources().env_file(&env).read().unwrap();
    assert_eq!(config.retry.max_retries, Some(9));
    assert_eq!(config.resources[0].api_key.as_ref().map(Secret::expose), Some("a$b c"));
    assert_eq!(sources().read().unwrap().retry.max_retries, Some(7));
    let set = Vars::from_iter([("MAX_RETRIES", "2")]);
    let config = Sources::new().vars(set).env_file(&env).environment().toml_file(&toml).read().unwrap();
    assert_eq!(config.retry.max_retries, Some(2), "what is set goes before the file of variables");
    let missing = Sources::new().vars(Vars::default()).environment().env_file(folder.path().join("none")).read();
    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains("none cannot be read: No such file"), "{missing}");
    assert!(Config::from_toml_file(folder.path().join("none")).is_err());
    std::fs::File::create(&env).unwrap().write_all(b"A=1\nKEY=two words 0123456789\n").unwrap();
    let wrong = Vars::of_env_file(&env).unwrap_err().to_string();
    assert!(wrong.ends_with("line 2: what is given to KEY cannot be read; put it in single quotes"), "{wrong}");
    assert!(!wrong.contains("0123456789"));
}

#[test]
fn what_is_written_in_code_is_judged_by_the_same_rules() {
    let resource = ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef");
    let config = Config::new().resource(resource).endpoint(EndpointConfig::new("chat", "contoso").deployment("gpt-4o"));
    config.validate().unwrap();
    assert!(config.remarks().is_empty());
    let mut wrong = config.endpoint(EndpointConfig::new("chat", "fabrikam"));
    wrong.retry.multiplier = Some(f64::NAN);
    let problems = wrong.validate().unwrap_err();
    let keys: Vec<_> = problems.iter().map(|problem| problem.key().to_owned()).collect();
    assert_eq!(keys, ["endpoints[1].name", "endpoints[1].resource", "retry.multiplier"]);
}

#[test]
fn units_say_what_a_provisioned_deployment_works_off() {
    let endpoint = EndpointConfig::new("ptu", "contoso").deployment("chat-ptu").model("gpt-4o").provisioned(100);
    let resource = ResourceConfig::new("contoso", "https://contoso.openai.azure.com").api_key("0123456789abcdef");
    let config = Config::new()
        .resource(resource)
        .endpoint(endpoint)
        .endpoint(EndpointConfig::new("payg", "contoso").deployment("chat").model("gpt-4o"))
        .profile(Profile::Cautious);
    config.validate().unwrap();
    let config = config.effective();
    let quota = &config.endpoints[0].quota;
    assert_eq!(
        (quota.tokens_per_minute, quota.output_ratio, quota.requests_per_minute),
        (Some(250_000), Some(4), None)
    );
    assert_eq!(quota.max_in_flight, Some(3));
    let names: Vec<_> = config.models["default"].legs.iter().map(|leg| leg.name.as_str()).collect();
    assert_eq!(names, ["provisioned", "standard"], "where no models are written down");
}

#[test]
fn models_are_found_by_what_endpoints_say_they_serve() {
    let serving = |name: &str, models: &[&str]| {
        let mut endpoint = EndpointConfig::new(name, "contoso");
        endpoint.models = models.iter().map(|model| (*model).to_owned()).collect();
        endpoint
    };
    let config = Config::new()
        .endpoint(serving("a", &["gpt-4o", "gpt-4.1"]))
        .endpoint(serving("b", &["gpt-4o"]))
        .endpoint(serving("c", &[]))
        .effective();
    let of = |model: &str| config.models[model].legs[0].endpoints.join(",");
    assert_eq!((of("gpt-4o"), of("gpt-4.1"), of("default")), ("a,b".to_owned(), "a".to_owned(), "c".to_owned()));
    assert_eq!(config.default_model.as_deref(), Some("default"));
}

#[test]
fn what_is_allowed_and_probably_not_meant_is_remarked() {
    let mut ptu = EndpointConfig::new("ptu", "contoso").deployment("gpt-4o");
    ptu.kind = Some(DeploymentKind::Provisioned);
    let config = Config::new()
        .resource(ResourceConfig::new("contoso", "https://contoso.openai.azure.com"))
        .resource(ResourceConfig::new("unused", "http://localhost:8080"))
        .endpoint(ptu)
        .endpoint(EndpointConfig::new("payg", "contoso").deployment("gpt-4o"))
        .endpoint(EndpointConfig::new("forgotten", "contoso"))
        .model(
            "chat",
            ModelConfig::new()
                .leg(LegConfig::new("ptu", ["ptu"]))
                .leg(LegConfig::new("payg", ["payg"]).max_wait(seconds(1))),
        );
    config.validate().unwrap();
    let remarks: Vec<_> = config.remarks().iter().map(|remark| remark.key().to_owned()).collect();
    assert_eq!(
        remarks,
        [
            "resources[0].name",
            "resources[1].name",
            "endpoints[0].type",
            "models.chat.legs[1].patience",
            "endpoints[2].name",
            "endpoints[1].deployment",
        ]
    );
}

#[test]
fn what_is_said_goes_before_the_profile_also_where_it_is_one_half_of_a_pair() {
    let config = azure_and(&[
        ("AOAI_PROFILE", "cautious"),
        ("INITIAL_BACKOFF_SECONDS", "60"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "120"),
    ]);
    let whole = config.effective();
    assert_eq!((whole.retry.initial_backoff, whole.retry.max_backoff), (Some(seconds(60)), Some(seconds(60))));
    assert_eq!(whole.circuit_breaker.break_time, Some(seconds(120)));
    let short = azure_and(&[("AOAI_PROFILE", "cautious"), ("MAX_BACKOFF_SECONDS", "0.5")]).effective().retry;
    assert_eq!(short.initial_backoff, Some(Duration::from_millis(500)));

    let file = |more: &str| {
        let text = format!("{FILE}{more}");
        Sources::new().vars(Vars::default()).toml_text(text).read().unwrap_or_else(|problems| panic!("{problems}"))
    };
    let breaks = |config: &Config| {
        let breaker = config.effective().endpoints[0].circuit_breaker.clone();
        (breaker.break_time, breaker.break_cap)
    };
    let config = file("[circuit_breaker]\nbreak_time = \"2m\"\n");
    assert_eq!(breaks(&config), (Some(seconds(120)), Some(seconds(120))));
    let config = file("[circuit_breaker]\nbreak_cap = \"10s\"\n");
    assert_eq!(breaks(&config), (Some(seconds(10)), Some(seconds(10))));
    let mut config = file("[circuit_breaker]\nbreak_time = \"3s\"\nbreak_cap = \"10s\"\n");
    config.endpoints[0].circuit_breaker.break_time = Some(seconds(30));
    assert_eq!(breaks(&config), (Some(seconds(30)), Some(seconds(30))), "an endpoint goes before the whole");
}

#[test]
fn an_endpoint_that_says_one_limit_of_its_output_does_not_take_the_other() {
    let mut config = azure_and(&[]);
    config.request_defaults.max_completion_tokens = Some(500);
    config.request_defaults.temperature = Some(0.5);
    config.endpoints[0].request_defaults.max_tokens = Some(100);
    let defaults = config.effective().endpoints[0].request_defaults.clone();
    assert_eq!((defaults.max_tokens, defaults.max_completion_tokens), (Some(100), None));
    assert_eq!(defaults.temperature, Some(0.5));
}

#[test]
fn variables_of_agents_have_the_names_of_the_files_agents() {
    let file = format!("{FILE}[agents.Web-Search]\nmax_tokens = 7\ncontext_tokens = 900\n");
    let vars = [("WEB_SEARCH_AGENT_MAX_TOKENS", "5"), ("A_AGENT_MAX_TOKENS_AGENT_MAX_TOKENS", "9")];
    let vars: Vars = vars.into_iter().collect();
    let config = Sources::new().vars(vars).environment().toml_text(file).read();
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let agents: Vec<_> =
        config.agents.iter().map(|(name, agent)| (name.as_str(), agent.max_tokens, agent.context_tokens)).collect();
    assert_eq!(agents, [("Web-Search", Some(5), Some(900)), ("a_agent_max_tokens", Some(9), None)]);
}

#[test]
fn words_for_v1_paths_may_be_written_in_any_case() {
    for version in ["V1", "Preview", "LATEST"] {
        let config = azure_and(&[("AZURE_OPENAI_API_VERSION", version)]);
        assert_eq!((config.resources[0].style, &config.resources[0].api_version), (Some(Style::V1), &None));
    }
}

#[test]
fn an_old_api_version_is_remarked_upon_with_what_would_be_right() {
    let version = |version: &str, style: &str| {
        let text = format!(
            "[[resources]]\nname = \"contoso\"\nbase_url = \"https://contoso.services.ai.azure.com\"\napi_key = \"k\"\n\
             api_version = \"{version}\"\n{style}\n[[endpoints]]\nname = \"chat\"\nresource = \"contoso\""
        );
        let config = Config::from_toml_str(&text).unwrap();
        config.remarks().first().map(ToString::to_string)
    };
    for old in ["2023-05-15", "2024-06-01", "2024-08-01-preview"] {
        let remark = version(old, "").expect(old);
        assert!(remark.contains(&format!("{old:?} is older than 2024-10-21")), "{remark}");
        assert!(remark.contains("resources[0].api_version") && remark.contains("include_usage = false"), "{remark}");
    }
    for (newer, style) in
        [("2024-10-21", ""), ("2025-04-01-preview", ""), ("2024-05-01-preview", "style = \"inference\"")]
    {
        assert_eq!(version(newer, style), None, "{newer}");
    }
}

#[test]
fn code_that_names_endpoints_takes_no_models_of_another_source() {
    let file = format!("{FILE}[models.large]\nendpoints = [\"chat\"]\n");
    let file =
        Sources::new().vars(Vars::default()).toml_text(file).read().unwrap_or_else(|problems| panic!("{problems}"));
    let resource = ResourceConfig::new("west", "https://contoso-west.openai.azure.com").api_key("0123456789abcdef");
    let code = Config::new().resource(resource).endpoint(EndpointConfig::new("own", "west"));
    let both = code.clone().over(&file);
    assert_eq!((&both.resources, &both.endpoints, both.models.len()), (&code.resources, &code.endpoints, 0));
    assert_eq!(both.retry.max_retries, Some(7), "what is no endpoint is taken");
}
