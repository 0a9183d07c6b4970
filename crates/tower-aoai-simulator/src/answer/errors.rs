//! The catalogue of refusals: each body to the letter where a captured or documented one is
//! known; where not, the comment says so.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::request::{Operation, Style};

/// An answer that is an error.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

const JSON: &str = "application/json";

impl Failure {
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, content_type: JSON, body: body.to_string().into() }
    }

    pub(crate) fn text(status: StatusCode, body: &'static str) -> Self {
        Self { status, content_type: "text/plain", body: Bytes::from_static(body.as_bytes()) }
    }

    /// The shape of Azure's own gateway.
    pub(crate) fn gateway(status: StatusCode, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error": {"code": code, "message": message}}))
    }

    /// The shape of the model's service.
    pub(crate) fn model(
        status: StatusCode,
        message: &str,
        kind: &str,
        param: Option<&str>,
        code: Option<&str>,
    ) -> Self {
        let error = json!({"message": message, "type": kind, "param": param, "code": code});
        Self::json(status, &json!({ "error": error }))
    }

    /// Whether it says that the prompt is too long.
    pub(crate) fn is_context_length(&self) -> bool {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        body.is_some_and(|body| body["error"]["code"] == "context_length_exceeded")
    }

    fn bad(message: &str, param: Option<&str>, code: Option<&str>) -> Self {
        Self::model(StatusCode::BAD_REQUEST, message, "invalid_request_error", param, code)
    }

    pub(crate) fn wrong_key() -> Self {
        let message = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.";
        Self::gateway(StatusCode::UNAUTHORIZED, "401", message)
    }

    /// A token of Entra that is bad, expired or revoked; the wording is from memory.
    pub(crate) fn wrong_token() -> Self {
        let message = "Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or have expired.";
        Self::gateway(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    }

    /// An identity without the role; captured without the wrapper that other errors have.
    pub(crate) fn permission_denied() -> Self {
        let message = "The principal lacks the required data action `Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action` to perform `POST /openai/deployments/{deployment-id}/chat/completions` operation.";
        Self::json(StatusCode::UNAUTHORIZED, &json!({"code": "PermissionDenied", "message": message}))
    }

    pub(crate) fn virtual_network() -> Self {
        let message = "Access denied due to Virtual Network/Firewall rules.";
        Self::gateway(StatusCode::FORBIDDEN, "403", message)
    }

    /// Documented is only the status; the body is the gateway's shape with the reason phrase.
    pub(crate) fn too_many_headers() -> Self {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::gateway(status, "431", "Request Header Fields Too Large")
    }

    /// The body of an unknown address is known from memory only.
    pub(crate) fn not_found() -> Self {
        Self::gateway(StatusCode::NOT_FOUND, "404", "Resource not found")
    }

    pub(crate) fn no_deployment(style: Style) -> Self {
        let message = "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.";
        let code = "DeploymentNotFound";
        if style == Style::V1 {
            let kind = "invalid_request_error";
            return Self::model(StatusCode::NOT_FOUND, message, kind, None, Some(code));
        }
        Self::gateway(StatusCode::NOT_FOUND, code, message)
    }

    pub(crate) fn body_too_large() -> Self {
        let message = "The request body is too large.";
        Self::gateway(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// This and the validation messages below follow the wording of the OpenAI API.
    pub(crate) fn invalid_json() -> Self {
        Self::bad("We could not parse the JSON body of your request. The body must be a JSON object.", None, None)
    }

    pub(crate) fn missing(name: &str) -> Self {
        let message = format!("Missing required parameter: '{name}'.");
        Self::bad(&message, Some(name), Some("missing_required_parameter"))
    }

    pub(crate) fn wrong_type(name: &str, expected: &str, got: &Value) -> Self {
        let got = match got {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(number) if number.is_f64() => "a decimal number",
            Value::Number(_) => "an integer",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let message = format!("Invalid type for '{name}': expected {expected}, but got {got} instead.");
        Self::bad(&message, Some(name), Some("invalid_type"))
    }

    pub(crate) fn below_minimum(name: &str, got: i64) -> Self {
        let message =
            format!("Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {got} instead.");
        Self::bad(&message, Some(name), Some("integer_below_min_value"))
    }

    pub(crate) fn above_maximum(name: &str, most: u64, got: u64) -> Self {
        let message = format!(
            "Invalid '{name}': integer above maximum value. Expected a value <= {most}, but got {got} instead."
        );
        Self::bad(&message, Some(name), Some("integer_above_max_value"))
    }

    pub(crate) fn empty_array(name: &str) -> Self {
        let message = format!(
            "Invalid '{name}': empty array. Expected an array with minimum length 1, but got an empty array instead."
        );
        Self::bad(&message, Some(name), Some("empty_array"))
    }

    pub(crate) fn long_array(name: &str, most: usize, got: usize) -> Self {
        let message = format!(
            "Invalid '{name}': array too long. Expected an array with maximum length {most}, but got an array with length {got} instead."
        );
        Self::bad(&message, Some(name), Some("array_above_max_length"))
    }

    pub(crate) fn long_string(name: &str, most: usize, got: usize) -> Self {
        let message = format!(
            "Invalid '{name}': string too long. Expected a string with maximum length {most}, but got a string with length {got} instead."
        );
        Self::bad(&message, Some(name), Some("string_above_max_length"))
    }

    pub(crate) fn unknown_choice(name: &str, got: &str) -> Self {
        let message = format!("Invalid value: '{got}'. Supported values are: 'none', 'auto', and 'required'.");
        Self::bad(&message, Some(name), Some("invalid_value"))
    }

    pub(crate) fn choice_without_tools() -> Self {
        let message = "'tool_choice' is only allowed when 'tools' are specified.";
        Self::bad(message, Some("tool_choice"), None)
    }

    pub(crate) fn no_such_tool() -> Self {
        let message = "Tool choice 'function' not found in 'tools' parameter.";
        Self::bad(message, Some("tool_choice"), None)
    }

    pub(crate) fn unknown_parameter(name: &str) -> Self {
        let message = format!("Unknown parameter: '{name}'.");
        Self::bad(&message, Some(name), Some("unknown_parameter"))
    }

    pub(crate) fn stream_options_without_stream() -> Self {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        Self::bad(message, Some("stream_options"), None)
    }

    pub(crate) fn output_too_large(name: &str, most: u64, got: u64) -> Self {
        let message = format!(
            "{name} is too large: {got}. This model supports at most {most} completion tokens, whereas you provided {got}."
        );
        Self::bad(&message, Some(name), Some("invalid_value"))
    }

    pub(crate) fn context_length(window: u64, prompt: u64, output: Option<u64>) -> Self {
        let message = match output {
            Some(output) => format!(
                "This model's maximum context length is {window} tokens. However, you requested {} tokens ({prompt} in the messages, {output} in the completion). Please reduce the length of the messages or completion.",
                prompt.saturating_add(output)
            ),
            None => format!(
                "This model's maximum context length is {window} tokens. However, your messages resulted in {prompt} tokens. Please reduce the length of the messages."
            ),
        };
        Self::bad(&message, Some("messages"), Some("context_length_exceeded"))
    }

    pub(crate) fn unsupported(operation: Operation, model: &str) -> Self {
        let operation = match operation {
            Operation::Embeddings => "embeddings",
            Operation::Completions => "completion",
            Operation::Responses => "responses",
            Operation::ChatCompletions | Operation::Models | Operation::Unknown => "chatCompletion",
        };
        let message = format!(
            "The {operation} operation does not work with the specified model, {model}. Please choose different model and try again. You can learn more about which models can be used with each operation here: https://go.microsoft.com/fwlink/?linkid=2197993."
        );
        Self::gateway(StatusCode::BAD_REQUEST, "OperationNotSupported", &message)
    }

    pub(crate) fn content_filter() -> Self {
        let safe = json!({"filtered": false, "severity": "safe"});
        let error = json!({
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
            "type": null, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {
                    "hate": {"filtered": true, "severity": "high"},
                    "jailbreak": {"filtered": false, "detected": false},
                    "self_harm": safe, "sexual": safe, "violence": safe,
                },
            },
        });
        Self::json(StatusCode::BAD_REQUEST, &json!({ "error": error }))
    }

    /// The same of the Responses operation, which words it as the model's service does. Its
    /// message and findings are those of the other operations.
    pub(crate) fn response_content_filter() -> Self {
        let safe = json!({"filtered": false, "severity": "safe"});
        let error = json!({
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
            "type": "invalid_request_error", "param": "prompt", "code": "content_filter",
            "content_filters": [{
                "blocked": true, "source_type": "prompt",
                "content_filter_results": {
                    "hate": {"filtered": true, "severity": "high"},
                    "jailbreak": {"filtered": false, "detected": false},
                    "self_harm": safe, "sexual": safe, "violence": safe,
                },
                "content_filter_offsets": {"start_offset": 0, "end_offset": 0, "check_offset": 0},
            }],
        });
        Self::json(StatusCode::BAD_REQUEST, &json!({ "error": error }))
    }

    pub(crate) fn no_capacity() -> Self {
        let message = "The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load. For improved capacity reliability, consider switching to Provisioned Throughput.";
        let (kind, code) = ("too_many_requests", "no_capacity");
        Self::model(StatusCode::TOO_MANY_REQUESTS, message, kind, None, Some(code))
    }

    /// Of an API Management gateway in front.
    pub(crate) fn gateway_rate_limited(seconds: u64) -> Self {
        let message = format!("Rate limit is exceeded. Try again in {seconds} seconds.");
        Self::gateway(StatusCode::TOO_MANY_REQUESTS, "429", &message)
    }

    pub(crate) fn plain_text_503() -> Self {
        let body = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
        Self::text(StatusCode::SERVICE_UNAVAILABLE, body)
    }

    /// What Azure answers by this status when it says no more; of statuses without a known body,
    /// the reason phrase in the gateway's shape.
    pub(crate) fn of_status(status: StatusCode, request_id: &str) -> Self {
        match status.as_u16() {
            401 => Self::wrong_key(),
            403 => Self::virtual_network(),
            404 => Self::no_deployment(Style::Classic),
            408 => Self::gateway(status, "Timeout", "The operation was timeout."),
            500 => {
                let message = format!(
                    "The server had an error while processing your request. Sorry about that! You can retry your request, or contact us through an Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 if the error persists. (Please include the request ID {request_id} in your message.)"
                );
                Self::model(status, &message, "server_error", None, None)
            }
            503 => {
                let message = "The service is temporarily unable to process your request. Please try again later.";
                Self::gateway(status, "ServiceUnavailable", message)
            }
            504 => Self {
                content_type: "text/html",
                ..Self::text(
                    status,
                    "<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n<center><h1>504 Gateway Time-out</h1></center>\r\n</body>\r\n</html>\r\n",
                )
            },
            _ => {
                let reason = status.canonical_reason().unwrap_or("Unknown");
                Self::gateway(status, status.as_str(), reason)
            }
        }
    }
}
