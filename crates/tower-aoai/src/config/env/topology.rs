//! Which endpoints the variables name.

use super::{connections, reader::Reader};
use crate::{
    config::{
        Config, DeploymentKind, EndpointConfig, LegConfig, ModelConfig, PatienceConfig, ResourceConfig, Style,
        effective::USUAL_MODEL,
    },
    endpoint::Host,
};

const VERSION: &str = "AZURE_OPENAI_API_VERSION";
const DEPLOYMENT: &str = "AZURE_OPENAI_DEPLOYMENT";
const AZURE: &str = "AZURE_OPENAI_ENDPOINT";
const AZURE_KEY: &str = "AZURE_OPENAI_API_KEY";
const OPENAI: &str = "OPENAI_API_BASE";
const OPENAI_KEY: &str = "OPENAI_API_KEY";
const PTU: &str = "PTU_DEPLOYMENT";
const STANDARD: &str = "STANDARD_DEPLOYMENT";
const PTU_WAIT: &str = "PTU_MAX_WAIT";

/// All that say which endpoints there are.
pub(super) const VARIABLES: [&str; 11] = [
    VERSION,
    DEPLOYMENT,
    AZURE,
    AZURE_KEY,
    OPENAI,
    OPENAI_KEY,
    PTU,
    STANDARD,
    PTU_WAIT,
    connections::LIST,
    connections::USED,
];

pub(super) fn read(reader: &mut Reader<'_>, config: &mut Config) {
    match connections::are_used(reader) {
        Some(true) => return connections::read(reader, config),
        Some(false) => {}
        // What was meant nobody knows.
        None => return,
    }
    let (variable, is_azure) = match (reader.is_set(AZURE), reader.is_set(OPENAI)) {
        (true, _) => (AZURE, true),
        (false, true) => (OPENAI, false),
        (false, false) => return nothing(reader),
    };
    let Some(address) = reader.text(variable, "resources[0].base_url") else {
        return reader.told("endpoints");
    };
    let mut resource = ResourceConfig::new(if is_azure { "azure" } else { "openai" }, address);
    let host = resource.address().map_or(Host::Other, |base| base.host());
    let is_deployed = is_azure || host_is_azures(host) || reader.is_set(PTU) || reader.is_set(STANDARD);
    if host == Host::Other && !is_deployed {
        resource.openai_compatible = Some(true);
    }
    key(reader, &mut resource, is_azure, host);
    if is_deployed {
        version(reader, &mut resource, 0, host);
    }
    endpoints(reader, config, &resource.name, is_deployed);
    config.resources.push(resource);
}

/// Whether there are deployments and api-versions.
pub(super) const fn host_is_azures(host: Host) -> bool {
    !matches!(host, Host::OpenAi | Host::Other)
}

fn nothing(reader: &mut Reader<'_>) {
    let set = [AZURE_KEY, DEPLOYMENT, PTU, STANDARD, OPENAI_KEY].into_iter().find(|name| reader.is_set(name));
    let (variable, example) = match set {
        None => {
            let message = "no endpoint is named; set AZURE_OPENAI_ENDPOINT or OPENAI_API_BASE to its address";
            return reader.wrong_overall("endpoints", message);
        }
        Some(OPENAI_KEY) => (OPENAI, "https://api.openai.com/v1"),
        Some(_) => (AZURE, "https://contoso.openai.azure.com"),
    };
    reader.wrong(variable, "endpoints", format!("is not set; set it to an address, such as {example}"));
}

fn key(reader: &mut Reader<'_>, resource: &mut ResourceConfig, is_azure: bool, host: Host) {
    let mut variables = vec![if is_azure { AZURE_KEY } else { OPENAI_KEY }];
    if !is_azure && host_is_azures(host) {
        variables.push(AZURE_KEY);
    }
    let set = variables.iter().find(|variable| reader.is_set(variable));
    if let Some(variable) = set {
        resource.api_key = reader.secret(variable, "resources[0].api_key");
    } else if host != Host::Other {
        reader.wrong(variables[0], "resources[0].api_key", "is not set; set it to the key of the resource");
    }
}

/// The api-version, from the variable, of the resource of this index.
pub(super) fn version(reader: &mut Reader<'_>, resource: &mut ResourceConfig, index: usize, host: Host) {
    let key = format!("resources[{index}].api_version");
    if let Some(version) = reader.text(VERSION, &key) {
        set_version(resource, version, host);
    }
}

pub(super) fn set_version(resource: &mut ResourceConfig, version: &str, host: Host) {
    if ["v1", "preview", "latest"].iter().any(|word| version.eq_ignore_ascii_case(word)) {
        resource.style = Some(Style::V1);
        return;
    }
    resource.style = Some(if host == Host::Inference { Style::Inference } else { Style::Classic });
    resource.api_version = Some(version.to_owned());
}

fn endpoints(reader: &mut Reader<'_>, config: &mut Config, resource: &str, is_deployed: bool) {
    let mut model = ModelConfig::new();
    let wait = reader.millis(PTU_WAIT, &format!("models.{USUAL_MODEL}.legs[0].patience"), "2000");
    let mut index = 0;
    for (variable, name) in [(PTU, "ptu"), (STANDARD, "standard")] {
        let Some(deployment) = reader.text(variable, &format!("endpoints[{index}].deployment")) else {
            continue;
        };
        let mut endpoint = EndpointConfig::new(name, resource).deployment(deployment);
        let mut leg = LegConfig::new(name, [name]);
        if variable == PTU {
            endpoint.kind = Some(DeploymentKind::Provisioned);
            leg.patience = wait.map(PatienceConfig::AtMost);
        }
        config.endpoints.push(endpoint);
        model = model.leg(leg);
        index += 1;
    }
    if index > 0 {
        config.models.insert(USUAL_MODEL.to_owned(), model);
        if reader.is_set(DEPLOYMENT) {
            reader.remark(DEPLOYMENT, format!("has no effect beside {PTU} and {STANDARD}"));
        }
    } else {
        let mut endpoint = EndpointConfig::new(resource, resource);
        if is_deployed {
            endpoint.deployment = reader.text(DEPLOYMENT, "endpoints[0].deployment").map(str::to_owned);
        }
        config.endpoints.push(endpoint);
    }
    if reader.is_set(PTU_WAIT) && !reader.is_set(PTU) {
        reader.remark(PTU_WAIT, format!("has no effect without {PTU}"));
    }
}
