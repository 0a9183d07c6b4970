//! Tools a request offers, and which of them it forces the model to call.

use serde_json::{Map, Value, json};

use crate::answer::{Call, errors::Failure};

/// Azure's documentation: the most tools in a request.
const MOST_TOOLS: usize = 128;

/// The call a request forces: of the tool it names, or, where it requires any, of the first.
pub(super) fn forced(fields: &Map<String, Value>) -> Result<Option<Call>, Failure> {
    let tools: &[Value] = match fields.get("tools") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(tools)) if tools.len() > MOST_TOOLS => {
            return Err(Failure::long_array("tools", MOST_TOOLS, tools.len()));
        }
        Some(Value::Array(tools)) => tools,
        Some(other) => {
            return Err(Failure::wrong_type("tools", "an array of objects", other));
        }
    };
    for (index, tool) in tools.iter().enumerate() {
        if !tool.is_object() {
            let at = format!("tools[{index}]");
            return Err(Failure::wrong_type(&at, "an object", tool));
        }
    }
    let wanted = match fields.get("tool_choice") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" | "none" => return Ok(None),
            "required" => None,
            other => return Err(Failure::unknown_choice("tool_choice", other)),
        },
        Some(Value::Object(choice)) => {
            // Chat completions nest the name, Responses do not.
            let inner = choice.get("function").and_then(Value::as_object);
            let name = inner.unwrap_or(choice).get("name").and_then(Value::as_str);
            match name {
                Some(name) => Some(name),
                // A choice of a hosted tool, or among allowed ones: nothing is forced.
                None if choice.get("type").is_some_and(|kind| kind != "function") => {
                    return Ok(None);
                }
                None => return Err(Failure::missing("tool_choice.function.name")),
            }
        }
        Some(other) => {
            let expected = "a string or an object";
            return Err(Failure::wrong_type("tool_choice", expected, other));
        }
    };
    if tools.is_empty() {
        return Err(Failure::choice_without_tools());
    }
    let mut functions = tools.iter().filter_map(function);
    let found = functions.find(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
    match found {
        Some((name, parameters)) => Ok(Some(Call {
            name: name.to_owned(),
            arguments: parameters.map_or_else(|| json!({}), |schema| sample(schema, 0)).to_string(),
            by_name: wanted.is_some(),
        })),
        // Only hosted tools are offered: none of them is simulated.
        None if wanted.is_none() => Ok(None),
        None => Err(Failure::no_such_tool()),
    }
}

/// A function's name and the schema of its parameters, in the form of either operation.
fn function(tool: &Value) -> Option<(&str, Option<&Value>)> {
    let inner = tool.get("function").unwrap_or(tool);
    let name = inner.get("name")?.as_str()?;
    Some((name, inner.get("parameters")))
}

/// A value that fits a schema, as far as its types, enumerations and required properties go.
fn sample(schema: &Value, depth: usize) -> Value {
    /// Deeper than any schema that is not a trap.
    const DEEPEST: usize = 16;
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(Value::Array(values)) = schema.get("enum")
        && let Some(value) = values.first()
    {
        return value.clone();
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    for alternatives in ["anyOf", "oneOf"] {
        if let Some(Value::Array(schemas)) = schema.get(alternatives)
            && let Some(schema) = schemas.first()
        {
            return sample(schema, depth + 1);
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        Some("string") => "text".into(),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => true.into(),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => {
            let required = schema.get("required").and_then(Value::as_array);
            let names = required.into_iter().flatten().filter_map(Value::as_str);
            let properties = schema.get("properties");
            let of = |name: &str| properties.and_then(|all| all.get(name));
            names
                .take(1_024)
                .map(|name| {
                    let value = of(name).map_or(Value::Null, |schema| sample(schema, depth + 1));
                    (name.to_owned(), value)
                })
                .collect::<Map<_, _>>()
                .into()
        }
    }
}
