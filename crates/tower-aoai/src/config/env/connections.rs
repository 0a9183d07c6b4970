//! Endpoints that take turns, from a list in a variable.

use serde_json::{Map, Value};

use super::{
    reader::Reader,
    topology::{host_is_azures, set_version, version},
};
use crate::{
    balance::Strategy,
    config::{Config, EndpointConfig, ModelConfig, ResourceConfig, effective::USUAL_MODEL, read::nearest},
    endpoint::Host,
};

pub(super) const LIST: &str = "AZURE_OPENAI_ROUND_ROBIN_CONNECTION";
pub(super) const USED: &str = "USE_AZURE_OPENAI_ROUND_ROBIN";

const ADDRESS: &str = "AZURE_OPENAI_ENDPOINT";
const KEY: &str = "AZURE_OPENAI_API_KEY";
/// The first is the usual one.
const DEPLOYMENT: [&str; 2] = ["AZURE_OPENAI_DEPLOYMENT", "deployment"];
const VERSION: [&str; 3] = ["AZURE_OPENAI_API_VERSION", "api-version", "api_version"];

const EXAMPLE: &str =
    "a JSON list such as [{\"AZURE_OPENAI_ENDPOINT\": \"https://…\", \"AZURE_OPENAI_API_KEY\": \"…\"}]";

/// Whether the list is to be used; `None` if nobody knows, which has been told.
pub(super) fn are_used(reader: &mut Reader<'_>) -> Option<bool> {
    if reader.is_set(USED) {
        return reader.flag(USED, "endpoints");
    }
    if reader.is_set(LIST) && !reader.is_set(ADDRESS) {
        reader.wrong(USED, "endpoints", format!("is not set; set it to true for the endpoints of {LIST} to be used"));
        return None;
    }
    Some(false)
}

pub(super) fn read(reader: &mut Reader<'_>, config: &mut Config) {
    reader.says(LIST, "endpoints");
    reader.says(LIST, "resources");
    let Some(text) = reader.text(LIST, "endpoints") else {
        if !reader.is_set(LIST) {
            reader.wrong(LIST, "endpoints", format!("is not set, though {USED} is; set it to {EXAMPLE}"));
        }
        return;
    };
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        Ok(_) => return reader.wrong(LIST, "endpoints", format!("is no list; set it to {EXAMPLE}")),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let place = if line > 1 { format!("line {line}, column {column}") } else { format!("column {column}") };
            let message = format!("is no JSON, at {place}; set it to {EXAMPLE}, in a .env file within single quotes");
            return reader.wrong(LIST, "endpoints", message);
        }
    };
    if list.is_empty() {
        return reader.wrong(LIST, "endpoints", format!("is an empty list; set it to {EXAMPLE}"));
    }
    let mut names = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let Value::Object(connection) = value else {
            reader.wrong(LIST, &format!("endpoints[{index}]"), format!("[{index}] is no object; set it to {EXAMPLE}"));
            continue;
        };
        let name = format!("connection-{}", index + 1);
        // An index of the list is not always that of what is made of it: what is wrong has been told.
        let place = config.resources.len();
        let resource = connection_resource(reader, connection, index, place, &name);
        let endpoint = connection_endpoint(reader, connection, index, place, &name);
        config.resources.push(resource);
        config.endpoints.push(endpoint);
        names.push(name);
    }
    if names.is_empty() {
        // There is none, for none of them is one.
        return ["endpoints", "resources"].into_iter().for_each(|key| reader.told(key));
    }
    let model = ModelConfig { strategy: Some(Strategy::RoundRobin), ..ModelConfig::of(names) };
    config.models.insert(USUAL_MODEL.to_owned(), model);
}

/// A text of a connection, under any of its names; `Err` if it is something else, which is told here.
fn field<'c>(
    reader: &mut Reader<'_>,
    connection: &'c Map<String, Value>,
    index: usize,
    names: &[&str],
) -> Result<Option<&'c str>, NoText> {
    let mut given =
        names.iter().filter_map(|name| Some((name, connection.get(*name).filter(|value| !value.is_null())?)));
    let found = given.next();
    if let (Some((name, one)), Some((other, another))) = (found, given.next())
        && one != another
    {
        let message = format!("[{index}] has {name} and {other}, which mean the same; leave one of the two out");
        reader.wrong(LIST, &format!("endpoints[{index}]"), message);
        return Err(NoText);
    }
    match found {
        None => Ok(None),
        Some((_, Value::String(text))) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Some((name, _)) => {
            let key = format!("endpoints[{index}]");
            reader.wrong(LIST, &key, format!("[{index}].{name} is no text; write it in quotes"));
            Err(NoText)
        }
    }
}

/// It has been told.
struct NoText;

/// Tells of names that have no meaning; the names that are probably meant by them.
fn unknown_names(reader: &mut Reader<'_>, connection: &Map<String, Value>, index: usize) -> Vec<&'static str> {
    let known: Vec<&'static str> = [ADDRESS, KEY].into_iter().chain(DEPLOYMENT).chain(VERSION).collect();
    let mut meant = Vec::new();
    for key in connection.keys().filter(|key| !known.contains(&key.as_str())) {
        let near = nearest(key, known.iter().copied());
        meant.extend(near);
        let message = match near {
            Some(near) => format!("[{index}] has {key:?}; write {near:?}"),
            None => format!("[{index}] has {key:?}; there are {ADDRESS}, {KEY}, {} and {}", DEPLOYMENT[0], VERSION[0]),
        };
        reader.wrong(LIST, &format!("endpoints[{index}]"), message);
    }
    meant
}

fn connection_resource(
    reader: &mut Reader<'_>,
    connection: &Map<String, Value>,
    index: usize,
    place: usize,
    name: &str,
) -> ResourceConfig {
    let meant = unknown_names(reader, connection, index);
    let address = field(reader, connection, index, &[ADDRESS]);
    let mut resource = ResourceConfig::new(name, address.as_ref().map_or("", |address| address.unwrap_or_default()));
    reader.says(LIST, &format!("resources[{place}]"));
    let base_url = format!("resources[{place}].base_url");
    match address {
        Ok(None) if !meant.contains(&ADDRESS) => {
            reader.wrong(LIST, &base_url, format!("[{index}] has no {ADDRESS}; give each connection its address"));
        }
        Ok(Some(_)) => {}
        Ok(None) | Err(NoText) => reader.told(&base_url),
    }
    let host = resource.address().map_or(Host::Other, |base| base.host());
    match field(reader, connection, index, &[KEY]) {
        Ok(Some(key)) => resource.api_key = Some(reader.hide(key)),
        Ok(None) if host_is_azures(host) && !meant.contains(&KEY) => {
            let key = format!("resources[{place}].api_key");
            reader.wrong(LIST, &key, format!("[{index}] has no {KEY}; give each connection its key"));
        }
        _ => {}
    }
    match field(reader, connection, index, &VERSION) {
        Ok(Some(version)) => set_version(&mut resource, version, host),
        _ => version(reader, &mut resource, place, host),
    }
    resource
}

fn connection_endpoint(
    reader: &mut Reader<'_>,
    connection: &Map<String, Value>,
    index: usize,
    place: usize,
    name: &str,
) -> EndpointConfig {
    let mut endpoint = EndpointConfig::new(name, name);
    let own = field(reader, connection, index, &DEPLOYMENT).ok().flatten();
    let shared = || reader.text(DEPLOYMENT[0], &format!("endpoints[{place}].deployment"));
    endpoint.deployment = own.or_else(shared).map(str::to_owned);
    endpoint
}
