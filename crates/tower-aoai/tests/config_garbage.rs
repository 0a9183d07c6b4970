//! Whatever is given, reading ends with a configuration or with problems, and no problem holds a secret.
#![cfg(feature = "config")]

use proptest::prelude::*;
use tower_aoai::config::{EXAMPLE, Problems, Sources, Vars};

fn read(text: &str, vars: &Vars) -> Result<(), Problems> {
    Sources::new().vars(vars.clone()).environment().toml_text(text).read().map(|_| ())
}

/// Everything that could be printed.
fn all_that_is_said(problems: &Problems) -> String {
    format!("{problems} {problems:?} {problems:#?}")
}

/// A secret that no message has by chance.
fn secret() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9\"\\\\\u{e9} =#\\[\\]{}$-]{0,20}zq[0-9]{10}[a-zA-Z\"\\\\]{0,4}"
}

/// A text as a value of TOML, in one of its spellings.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$"))
}

/// The example with pieces of its lines exchanged, doubled and left out.
fn mangled() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = EXAMPLE.lines().collect();
    let line = prop::sample::select(lines);
    let piece = (line, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(line, at, is_cut)| {
        let cut = (0..=line.len()).filter(|at| line.is_char_boundary(*at)).collect::<Vec<_>>();
        if is_cut { line[..cut[at.index(cut.len())]].to_owned() } else { line.to_owned() }
    });
    prop::collection::vec(piece, 0..60).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = read(&text, &Vars::default()).map_err(|problems| all_that_is_said(&problems));
    }

    #[test]
    fn any_piece_of_toml_is_read_or_refused(text in mangled()) {
        let _ = read(&text, &Vars::default()).map_err(|problems| all_that_is_said(&problems));
    }

    #[test]
    fn any_bytes_of_an_env_file_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Vars::of_env_text(&text).map_err(|problems| all_that_is_said(&problems));
    }

    #[test]
    fn any_values_of_variables_are_read_or_refused(
        values in prop::collection::vec(prop_oneof![any::<String>(), "[-0-9.e]{1,8}", r#"\[(\{"[A-Z_]{0,9}": "?[a-z0-9]{0,9}"?\},?){0,3}\]"#], 23),
        used in any::<bool>(),
    ) {
        let names = [
            "AOAI_PROFILE", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_DEPLOYMENT",
            "AZURE_OPENAI_API_VERSION", "OPENAI_API_BASE", "OPENAI_API_KEY", "PTU_DEPLOYMENT", "STANDARD_DEPLOYMENT",
            "PTU_MAX_WAIT", "MAX_RETRIES", "MAX_CONCURRENT_REQUESTS", "MIN_REQUEST_INTERVAL_MS", "REQUESTS_PER_MINUTE",
            "TOKENS_PER_MINUTE", "INITIAL_BACKOFF_SECONDS", "MAX_BACKOFF_SECONDS", "BACKOFF_MULTIPLIER",
            "CIRCUIT_BREAKER_FAILURE_THRESHOLD", "CIRCUIT_BREAKER_RECOVERY_TIMEOUT",
            "CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "AZURE_OPENAI_ROUND_ROBIN_CONNECTION", "X_AGENT_MAX_TOKENS",
        ];
        let vars = names.into_iter().map(str::to_owned).zip(values);
        let vars: Vars = vars.chain(used.then(|| ("USE_AZURE_OPENAI_ROUND_ROBIN".to_owned(), "true".to_owned()))).collect();
        let _ = read("", &vars).map_err(|problems| all_that_is_said(&problems));
    }

    #[test]
    fn no_key_of_a_file_is_ever_said(secret in secret(), lines in mangled(), at in any::<prop::sample::Index>()) {
        let key = quoted(&secret);
        // Where it belongs, under names that are nearly right, and where nobody looks for one.
        let places = [
            format!("[[resources]]\napi_key = {key}\n"),
            format!("[[resources]]\nname = \"east\"\nbase_url = \"x\"\napi_keey = {key}\n"),
            format!("resources = [{{ name = \"east\", base_url = 5, api_key = {key}, style = \"vv1\" }}]\n"),
            format!("[resources]\napi_key = {key}\n"),
            format!("[[resources]]\ncredential = {{ tenant_id = 5, client_secret = {key} }}\n"),
            format!("[statistics]\nwebhook = {key}\ntruncated_share = 7\n[transport]\nproxy = {key}\nhttp2 = 3\n"),
            format!("[[resources]]\napi_key = {key} oops\n"),
            format!("[retry] # {key}\nmax_retries = \"x\" # {}\n", secret.replace('\n', " ")),
        ];
        let text = format!("{}{lines}", places[at.index(places.len())]);
        if let Err(problems) = read(&text, &Vars::default()) {
            let said = problems.to_string();
            let core: String = secret.chars().skip_while(|letter| *letter != 'z').take(12).collect();
            prop_assert!(!said.contains(&core), "{said}");
        }
    }

    #[test]
    fn no_value_of_a_variable_is_ever_said(secret in secret(), key in 0usize..16) {
        let keys = [
            "name", "profile", "default_model", "resources[0].base_url", "resources[0].api_key", "resources[0].style",
            "resources[0].api_version", "resources[0].key_header", "endpoints[0].resource", "endpoints[0].type",
            "endpoints[0].weight", "endpoints[0].deployment", "endpoints[0].quota.order", "retry.max_backoff",
            "context_window.agent_header", "context_window.models_file",
        ];
        let value = |name: &str| if keys[key] == name { "\"a${SECRET}b\"" } else { "7" };
        let text = format!(
            "name = {}\nprofile = {}\ndefault_model = {}\n[[resources]]\nname = \"east\"\nbase_url = {}\napi_key = {}\nstyle = {}\n\
             api_version = {}\nkey_header = {}\n[[endpoints]]\nname = \"chat\"\nresource = {}\ntype = {}\nweight = {}\n\
             deployment = {}\nquota = {{ order = {} }}\n[retry]\nmax_backoff = {}\n[context_window]\nagent_header = {}\n\
             models_file = {}\n",
            value(keys[0]), value(keys[1]), value(keys[2]), value(keys[3]), value(keys[4]), value(keys[5]), value(keys[6]),
            value(keys[7]), value(keys[8]), value(keys[9]), value(keys[10]), value(keys[11]), value(keys[12]),
            value(keys[13]), value(keys[14]), value(keys[15]),
        );
        let vars: Vars = [("SECRET", secret.as_str())].into_iter().collect();
        let problems = Sources::new().vars(vars).toml_text(text).read().unwrap_err();
        let core: String = secret.chars().skip_while(|letter| *letter != 'z').take(12).collect();
        prop_assert!(!problems.to_string().contains(&core), "{problems}");
    }

    #[test]
    fn no_key_in_a_variable_is_ever_said(secret in secret(), list in any::<bool>()) {
        let connection = serde_json::json!([
            { "AZURE_OPENAI_ENDPOINT": 7, "AZURE_OPENAI_API_KEY": secret },
            { "AZURE_OPENAI_ENDPOINT": "x", "AZURE_OPENAI_API_KEI": secret },
            secret,
        ]);
        let vars: Vars = [
            ("AZURE_OPENAI_ENDPOINT", "contoso".to_owned()),
            ("AZURE_OPENAI_API_KEY", secret.clone()),
            ("MAX_RETRIES", "x".to_owned()),
            ("USE_AZURE_OPENAI_ROUND_ROBIN", list.to_string()),
            ("AZURE_OPENAI_ROUND_ROBIN_CONNECTION", connection.to_string()),
        ].into_iter().collect();
        let problems = read("", &vars).unwrap_err();
        let core: String = secret.chars().skip_while(|letter| *letter != 'z').take(12).collect();
        prop_assert!(!problems.to_string().contains(&core), "{problems}");
    }
}
