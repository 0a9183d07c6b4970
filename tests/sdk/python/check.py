"""The official Python SDK against the simulator, as AzureOpenAI and as OpenAI on v1.

Usage: check.py ADDRESS, with a simulator listening at that http:// address. Prints a line for each check; exits 1 if
one failed.
"""

import json
import sys
import traceback
import urllib.request

import openai

ADDRESS = sys.argv[1].rstrip("/")
KEY = "simulator-key"
CHAT, EMBEDDING = "gpt-4o", "text-embedding-3-small"
VERSION = "2024-10-21"

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
            "required": ["city"],
        },
    },
}


def classic(key=KEY, retries=0):
    return openai.AzureOpenAI(azure_endpoint=ADDRESS, api_key=key, api_version=VERSION, max_retries=retries)


def v1(key=KEY, retries=0):
    return openai.OpenAI(base_url=f"{ADDRESS}/openai/v1/", api_key=key, max_retries=retries)


def script(deployment, *answers):
    """The next answers of a deployment."""
    body = json.dumps({"deployment": deployment, "answers": list(answers)}).encode()
    request = urllib.request.Request(
        f"{ADDRESS}/_simulator/script", data=body, headers={"content-type": "application/json"}, method="POST"
    )
    urllib.request.urlopen(request).read()


def ask(client, model=CHAT, **more):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hello."}], **more)


def raises(kind, call, **expected):
    try:
        call()
    except kind as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}"
        for name, value in expected.items():
            assert getattr(error, name) == value, f"{name} is {getattr(error, name)!r}, not {value!r}"
        return error
    raise AssertionError(f"no {kind.__name__}")


def chat(client):
    answer = ask(client, max_tokens=20)
    assert answer.object == "chat.completion" and answer.model.startswith("gpt-4o")
    assert answer.choices[0].message.content and answer.choices[0].message.role == "assistant"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens <= 20


def several_choices(client):
    answer = ask(client, max_tokens=5, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


def chat_with_tools(client):
    forced = {"type": "function", "function": {"name": "get_weather"}}
    answer = ask(client, tools=[WEATHER], tool_choice=forced)
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)


def streamed_chat_with_tools(client):
    stream = ask(client, tools=[WEATHER], tool_choice="required", stream=True, stream_options={"include_usage": True})
    name, arguments, finish, usage, identifier = "", "", None, None, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                identifier = call.id or identifier
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    assert (name, finish) == ("get_weather", "tool_calls") and identifier
    assert "city" in json.loads(arguments)
    assert usage and usage.completion_tokens > 0


def streamed_chat(client):
    text, usages = "", 0
    for chunk in ask(client, stream=True, max_tokens=30):
        text += "".join(choice.delta.content or "" for choice in chunk.choices if choice.delta)
        usages += chunk.usage is not None
    assert text and usages == 0, "no usage was asked for"


def embeddings(client):
    answer = client.embeddings.create(model=EMBEDDING, input=["one", "two"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) == 1536
    assert all(isinstance(value, float) for value in answer.data[0].embedding)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def responses(client):
    answer = client.responses.create(model=CHAT, input="Say hello.", max_output_tokens=20)
    assert answer.status in ("completed", "incomplete") and answer.output_text
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def streamed_responses(client):
    events = list(client.responses.create(model=CHAT, input="Say hello.", stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text and text == events[-1].response.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))


def models(client):
    assert CHAT in [model.id for model in client.models.list()]
    assert client.models.retrieve(CHAT).id == CHAT


def rate_limited(client):
    script(CHAT, {"kind": "rate_limited", "after_ms": 1500})
    error = raises(openai.RateLimitError, lambda: ask(client), status_code=429)
    assert error.response.headers["retry-after-ms"] == "1500"


def content_filter(client):
    script(CHAT, {"kind": "content_filter"})
    raises(openai.BadRequestError, lambda: ask(client), status_code=400, code="content_filter")


def context_length(client):
    script(CHAT, {"kind": "context_length"})
    raises(openai.BadRequestError, lambda: ask(client), status_code=400, code="context_length_exceeded")


def context_length_for_real(client):
    long = [{"role": "user", "content": "word " * 140_000}]
    call = lambda: client.chat.completions.create(model=CHAT, messages=long)
    raises(openai.BadRequestError, call, code="context_length_exceeded")


def server_error(client):
    script(CHAT, {"kind": "status", "status": 500})
    raises(openai.InternalServerError, lambda: ask(client), status_code=500)


def unknown_deployment(client):
    raises(openai.NotFoundError, lambda: ask(client, model="no-such-deployment"), code="DeploymentNotFound")


def connection_reset(client):
    script(CHAT, {"kind": "reset"})
    raises(openai.APIConnectionError, lambda: ask(client))


def error_in_the_stream(client):
    script(CHAT, {"kind": "error", "events": 2})
    raises(openai.APIError, lambda: list(ask(client, stream=True)))


CHECKS = [
    chat,
    several_choices,
    chat_with_tools,
    streamed_chat,
    streamed_chat_with_tools,
    embeddings,
    responses,
    streamed_responses,
    models,
    rate_limited,
    content_filter,
    context_length,
    context_length_for_real,
    server_error,
    unknown_deployment,
    connection_reset,
    error_in_the_stream,
]


def wrong_key(make):
    raises(openai.AuthenticationError, lambda: ask(make(key="wrong")), status_code=401)


def its_own_retries(make):
    script(CHAT, {"kind": "rate_limited", "after_ms": 20}, {"kind": "rate_limited", "after_ms": 20})
    assert ask(make(retries=2)).choices


def a_quota_that_is_spent_in_a_stream(make):
    script(CHAT, {"kind": "refused_stream", "after_ms": 1000})
    raises(openai.APIError, lambda: list(make().responses.create(model=CHAT, input="Hello", stream=True)))


def main():
    failed = 0
    for style, make in (("AzureOpenAI", classic), ("OpenAI on v1", v1)):
        checks = [(check.__name__, lambda check=check: check(make())) for check in CHECKS]
        more = (wrong_key, its_own_retries, a_quota_that_is_spent_in_a_stream)
        checks += [(check.__name__, lambda check=check: check(make)) for check in more]
        for name, check in checks:
            try:
                check()
                print(f"ok      {style}: {name}")
            except Exception:
                failed += 1
                print(f"FAILED  {style}: {name}\n{traceback.format_exc()}")
    print(f"openai-python {openai.__version__}: {failed} failed")
    sys.exit(1 if failed else 0)


main()
