//! Bodies as Azure sends them: its documentation, issues, captured traffic.

pub(super) const CONTENT_FILTER: &str = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"},"jailbreak":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}}}}"#;
pub(super) const CONTENT_FILTER_INNER: &str = r#"{"error":{"message":"Please modify your prompt and retry.","type":null,"param":"prompt","code":null,"status":400,"inner_error":{"code":"ResponsibleAIPolicyViolation","content_filter_results":{"hate":{"filtered":true,"severity":"high"}}}}}"#;
pub(super) const CONTENT_FILTER_RESPONSES: &str = r#"{"error":{"message":"The prompt was blocked.","type":"invalid_request_error","param":"prompt","code":null,"content_filters":[{"blocked":true,"source_type":"prompt","content_filter_results":{},"content_filter_offsets":{"start_offset":0,"end_offset":9,"check_offset":0}}]}}"#;
pub(super) const CONTEXT_LENGTH: &str = r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 192041 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
pub(super) const CONTEXT_LENGTH_REQUESTED: &str = r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 4201 tokens (3177 in the messages, 1024 in the completion). Please reduce the length of the messages or completion.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
pub(super) const MAX_TOKENS_TOO_LARGE: &str = r#"{"error":{"message":"max_tokens is too large: 20000. This model supports at most 16384 completion tokens, whereas you provided 20000.","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#;
pub(super) const UNKNOWN_PARAMETER: &str = r#"{"error":{"message":"Unknown parameter: 'stream_options'.","type":"invalid_request_error","param":"stream_options","code":"unknown_parameter"}}"#;
pub(super) const OPERATION_NOT_SUPPORTED: &str = r#"{"error":{"code":"OperationNotSupported","message":"The embeddings operation does not work with the specified model, gpt-4o. Please choose different model and try again."}}"#;
pub(super) const FLEX_UNSUPPORTED: &str = r#"{"error":{"message":"Invalid service_tier argument","type":"invalid_request_error","param":"service_tier","code":null}}"#;
pub(super) const BAD_KEY: &str = r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}}"#;
pub(super) const EXPIRED_TOKEN: &str = r#"{"error":{"code":"Unauthorized","message":"Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or have expired."}}"#;
pub(super) const NO_ROLE: &str = r#"{"error":{"code":"PermissionDenied","message":"The principal lacks the required data action `Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action` to perform `POST /openai/deployments/{deployment-id}/chat/completions` operation."}}"#;
pub(super) const NO_ROLE_UNWRAPPED: &str = r#"{"code":"PermissionDenied","message":"The principal lacks the required data action `Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action` to perform `POST /openai/deployments/{deployment-id}/chat/completions` operation."}"#;
pub(super) const FIREWALL: &str =
    r#"{"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}}"#;
pub(super) const BLOCKED: &str = r#"{"error":{"code":"AccessDenied","message":"Your resource has been temporarily blocked because we detected behavior that may violate our content policy."}}"#;
pub(super) const NO_DEPLOYMENT: &str = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}}"#;
pub(super) const NO_DEPLOYMENT_V1: &str = r#"{"error":{"code":"DeploymentNotFound","type":"invalid_request_error","param":null,"message":"The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}}"#;
pub(super) const NO_ROUTE: &str = r#"{"error":{"code":"404","message":"Resource not found"}}"#;
pub(super) const TIMED_OUT: &str = r#"{"error":{"code":"Timeout","message":"The operation was timeout."}}"#;
pub(super) const SERVER_ERROR: &str = r#"{"error":{"message":"The server had an error while processing your request. Sorry about that! You can retry your request, or contact us through an Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 if the error persists. (Please include the request ID 0 in your message.)","type":"server_error","param":null,"code":null}}"#;
pub(super) const NO_CREDIT: &str = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;

pub(super) const TOKENS_CLASSIC: &str = r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-06-01 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 8 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit. For Free Account customers, upgrade to Pay as you Go here: https://aka.ms/429TrialUpgrade."}}"#;
pub(super) const CALLS_CLASSIC: &str = r#"{"error":{"code":"429","message":"Requests to the Embeddings_Create Operation under Azure OpenAI API version 2023-05-15 have exceeded call rate limit of your current AIServices S0 pricing tier. Please retry after 1 second. Please contact Azure support service if you would like to further increase the default rate limit."}}"#;
pub(super) const TOKENS_WITHOUT_WAIT: &str = r#"{"error":{"code":"429","message":"Requests to the Creates a completion for the chat message Operation under Azure OpenAI API version 2023-03-15-preview have exceeded token rate limit of your current OpenAI S0 pricing tier. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."}}"#;
pub(super) const TOKENS_2025: &str = r#"{"error":{"code":"429","message":"Your requests to gpt-4.1-nano for gpt-4.1-nano in Sweden Central have exceeded the token rate limit for your current AIServices S0 pricing tier. This request was for ChatCompletions_Create under Azure OpenAI API version 2023-05-15. Please retry after 45 seconds."}}"#;
pub(super) const TOO_LARGE: &str = r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-06-01 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 86400 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."}}"#;
pub(super) const NO_CAPACITY: &str = r#"{"error":{"message":"The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load. For improved capacity reliability, consider switching to Provisioned Throughput.","type":"too_many_requests","param":null,"code":"no_capacity"}}"#;
pub(super) const NO_CAPACITY_OLD: &str = r#"{"error":{"code":"NoCapacity","message":"The system is currently experiencing high demand and cannot process your request. Please retry after 20 seconds."}}"#;
pub(super) const V1_TOKENS: &str = r#"{"error":{"type":"too_many_requests","code":"rate_limit_exceeded","message":"Your requests to gpt-5.6-sol for gpt-5.6-sol in swedencentral have exceeded token rate limit.","param":null}}"#;
pub(super) const V1_UNSAID: &str =
    r#"{"error":{"type":"too_many_requests","code":"too_many_requests","message":"Too Many Requests","param":null}}"#;
pub(super) const GATEWAY: &str =
    r#"{"error":{"code":"429","message":"Rate limit is exceeded. Try again in 50 seconds."}}"#;
pub(super) const GATEWAY_BARE: &str =
    r#"{"statusCode":429,"message":"Rate limit is exceeded. Try again in 50 seconds."}"#;

/// All of the above that are captured whole, for tests that cut them up.
pub(super) const ALL: &[&str] = &[
    CONTENT_FILTER,
    CONTENT_FILTER_INNER,
    CONTENT_FILTER_RESPONSES,
    CONTEXT_LENGTH,
    MAX_TOKENS_TOO_LARGE,
    OPERATION_NOT_SUPPORTED,
    BAD_KEY,
    NO_ROLE_UNWRAPPED,
    FIREWALL,
    NO_DEPLOYMENT_V1,
    NO_ROUTE,
    SERVER_ERROR,
    NO_CREDIT,
    TOKENS_CLASSIC,
    CALLS_CLASSIC,
    TOKENS_2025,
    TOO_LARGE,
    NO_CAPACITY,
    NO_CAPACITY_OLD,
    V1_TOKENS,
    GATEWAY,
    GATEWAY_BARE,
];
