//! Definitions of functions: how many tokens they are, after OpenAI's cookbook.
//!
//! The service writes them to the model in a form of its own, which the cookbook's rule gives for flat schemas, and
//! nobody documents for others.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{TokenCounter, Tokenizer};

const PROPERTIES: u64 = 3;
const PROPERTY: u64 = 3;
/// An enumeration gives this back.
const ENUMERATION: u64 = 3;
const ENUMERATED: u64 = 3;
const END: u64 = 12;

/// A function that the model may call.
#[derive(Debug)]
pub(crate) struct Function<'a> {
    /// Its name and what it does.
    line: String,
    properties: Vec<Property<'a>>,
}

#[derive(Debug)]
struct Property<'a> {
    /// Its name, type and what it means.
    line: String,
    values: Vec<Cow<'a, str>>,
    is_enumerated: bool,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    function: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Definition<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow)]
    properties: HashMap<Cow<'a, str>, &'a RawValue>,
}

#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "enum")]
    values: Option<Vec<Cow<'a, str>>>,
}

/// The functions among `tools` or `functions`, as far as they are of the documented shape.
pub(crate) fn read(list: &RawValue) -> Vec<Function<'_>> {
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
    list.into_iter().filter_map(function).collect()
}

fn function(tool: &RawValue) -> Option<Function<'_>> {
    let nested: Tool<'_> = serde_json::from_str(tool.get()).ok()?;
    let definition: Definition<'_> = serde_json::from_str(nested.function.unwrap_or(tool).get()).ok()?;
    let description = definition.description.unwrap_or_default();
    let parameters = definition.parameters.and_then(|json| serde_json::from_str::<Parameters<'_>>(json.get()).ok());
    let properties = parameters.map(|parameters| parameters.properties).unwrap_or_default();
    Some(Function {
        line: format!("{}:{}", definition.name, without_stop(&description)),
        properties: properties.into_iter().filter_map(|(name, json)| property(&name, json)).collect(),
    })
}

fn property<'a>(name: &str, json: &'a RawValue) -> Option<Property<'a>> {
    let Schema { kind, description, values } = serde_json::from_str(json.get()).ok()?;
    let description = description.unwrap_or_default();
    Some(Property {
        line: format!("{name}:{kind}:{}", without_stop(&description)),
        is_enumerated: values.is_some(),
        values: values.unwrap_or_default(),
    })
}

fn without_stop(description: &str) -> &str {
    description.strip_suffix('.').unwrap_or(description)
}

/// The tokens of all functions together.
pub(crate) fn count(functions: &[Function<'_>], counter: &dyn TokenCounter, tokenizer: Tokenizer) -> u64 {
    if functions.is_empty() {
        return 0;
    }
    let begin = match tokenizer {
        Tokenizer::Cl100kBase => 10,
        _ => 7,
    };
    let tokens = |text: &str| counter.count(tokenizer, text);
    let mut all = END;
    for function in functions {
        all += begin + tokens(&function.line);
        if !function.properties.is_empty() {
            all += PROPERTIES;
        }
        for property in &function.properties {
            let values: u64 = property.values.iter().map(|value| ENUMERATED + tokens(value)).sum();
            let values = if property.is_enumerated { values.saturating_sub(ENUMERATION) } else { 0 };
            all += PROPERTY + tokens(&property.line) + values;
        }
    }
    all
}
