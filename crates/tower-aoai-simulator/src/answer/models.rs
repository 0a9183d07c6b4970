//! The list of models. Its fields are those of Azure's specification with OpenAI's beside them, so
//! that clients of both find what they look for.

use serde_json::{Value, json};

use crate::{deployment::Deployment, models::Model, request::Operation};

fn object(deployment: &Deployment, created: u64) -> Value {
    let facts = Model::named(&deployment.model);
    let does = |operation| facts.supports(operation);
    json!({
        "id": &*deployment.model, "object": "model", "status": "succeeded",
        "created": created, "created_at": created, "updated_at": created, "owned_by": "system",
        "lifecycle_status": "generally-available",
        "deprecation": {"inference": created.saturating_add(63_072_000)},
        "capabilities": {
            "fine_tune": false, "inference": true, "completion": false,
            "chat_completion": does(Operation::ChatCompletions),
            "embeddings": does(Operation::Embeddings),
        },
    })
}

/// Every model that is deployed, once.
pub(crate) fn models(deployments: &[Deployment], created: u64) -> Value {
    let mut data: Vec<Value> = Vec::new();
    for deployment in deployments {
        if !data.iter().any(|model| model["id"] == *deployment.model) {
            data.push(object(deployment, created));
        }
    }
    json!({"object": "list", "data": data})
}

/// One of them, by its own name or a deployment's.
pub(crate) fn known_model(deployments: &[Deployment], name: &str, created: u64) -> Option<Value> {
    let mut deployments = deployments.iter();
    deployments
        .find(|deployment| *deployment.model == *name || *deployment.name == *name)
        .map(|deployment| object(deployment, created))
}
