use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use crate::{World, request::form_value};

/// More than any form of client credentials has.
const MOST_FORM_BYTES: usize = 64 * 1024;

/// `POST /{tenant}/oauth2/v2.0/token` with client credentials. Bodies and codes of errors follow
/// Entra's, from memory.
pub(super) async fn grant(State(world): State<World>, request: Request<Body>) -> Response {
    let body = Limited::new(request.into_body(), MOST_FORM_BYTES);
    let Ok(body) = body.collect().await else {
        return refused("invalid_request", 90_014, "The request body could not be read.");
    };
    let form: Bytes = body.to_bytes();
    let form = String::from_utf8_lossy(&form);
    let field = |name: &str| form_value(&form, name);
    let missing = |name: &str| {
        let message = format!("The required field '{name}' is missing from the credential.");
        refused("invalid_request", 900_144, &message)
    };
    match field("grant_type").as_deref() {
        Some("client_credentials") => {}
        None => return missing("grant_type"),
        Some(_) => {
            let message = "The provided grant type is not supported: use client_credentials.";
            return refused("unsupported_grant_type", 70_003, message);
        }
    }
    if field("scope").is_none() {
        return missing("scope");
    }
    let (Some(id), Some(secret)) = (field("client_id"), field("client_secret")) else {
        return missing("client_id and client_secret");
    };
    let issuer = world.issuer();
    match issuer.grant(&id, &secret) {
        Some(token) => {
            let lifetime = issuer.token_lifetime().as_secs();
            answer(
                StatusCode::OK,
                &json!({
                    "token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime,
                    "access_token": token,
                }),
            )
        }
        None => {
            let mut response = refused("invalid_client", 7_000_215, "Invalid client secret provided.");
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response
        }
    }
}

fn refused(error: &str, code: u32, message: &str) -> Response {
    let description = format!("AADSTS{code}: {message}");
    let body = json!({"error": error, "error_description": description, "error_codes": [code]});
    answer(StatusCode::BAD_REQUEST, &body)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json; charset=utf-8"), (header::CACHE_CONTROL, "no-store, no-cache")];
    (status, headers, body.to_string()).into_response()
}
