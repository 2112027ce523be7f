"""The request body as OpenAI spells it; the only types of the package that validate.

Strict: wrong types are refused, never converted; unknown names are refused, never dropped. `null` means absent.
Source: OpenAI's OpenAPI description, CreateChatCompletionRequest; contract.md section 4.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


def _shape(value: Any) -> str:
    return "list" if isinstance(value, list) else "one"


def _choice(value: Any) -> str:
    if not isinstance(value, dict):
        return "word"
    kind = value.get("type")
    return "refused" if isinstance(kind, str) and kind in REFUSED_TOOLS else "function"


REFUSED_TOOLS = frozenset({"custom", "allowed_tools"})
"""Types of tools, of their calls and of choices among them that OpenAI has and this service lacks."""
MOST_TOOLS = 128
"""Of a request, and calls of a message, as with OpenAI."""


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ImageUrl(_Wire):
    """Where the picture is: a base64 data URI."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class TextContent(_Wire):
    """A text part."""

    type: Literal["text"]
    text: str


class ImageContent(_Wire):
    """An image part."""

    type: Literal["image_url"]
    image_url: ImageUrl


ContentPart = Annotated[TextContent | ImageContent, Field(discriminator="type")]
Content = Annotated[
    Annotated[str, Tag("one")] | Annotated[list[ContentPart], Field(min_length=1), Tag("list")], Discriminator(_shape)
]
CallId = Annotated[str, Field(min_length=1, max_length=4096)]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
StopText = Annotated[str, Field(min_length=1)]
Stop = Annotated[
    Annotated[StopText, Tag("one")] | Annotated[list[StopText], Field(min_length=1, max_length=4), Tag("list")],
    Discriminator(_shape),
]


class SystemMessage(_Wire):
    """Instructions; `developer` is OpenAI's newer word for `system`."""

    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(_Wire):
    """What the user says and shows."""

    role: Literal["user"]
    content: Content
    name: str | None = None


class CalledFunction(_Wire):
    """A function that a model called; the arguments are JSON, or what the model took for it."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Whatever the model called: it may have invented it."""
    arguments: str


class Custom(_Wire):
    """A tool of free text, or a call of one: known, and refused by name until it works."""

    type: Literal["custom"]
    id: Any = None
    custom: Any = None


class CalledTool(_Wire):
    """A call in an earlier answer; its result is the message of a tool with the same id."""

    id: CallId
    type: Literal["function"]
    function: CalledFunction
    index: int | None = None
    """Taken without effect: clients that put a call together from chunks send it back."""


class AssistantMessage(_Wire):
    """An earlier answer; what it says may be missing where it calls tools, see `parse`."""

    role: Literal["assistant"]
    content: Content | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: (
        Annotated[
            list[Annotated[CalledTool | Custom, Field(discriminator="type")]],
            Field(max_length=MOST_TOOLS),
        ]
        | None
    ) = None

    # Taken without effect: clients send answers back with all their fields, and no model is shown its citations.
    annotations: list[Any] | None = None

    # Known and refused by name (`REFUSED_OF_ASSISTANT`) until they work.
    function_call: Any = None
    audio: Any = None


class ToolMessage(_Wire):
    """The result of a tool that the sender ran."""

    role: Literal["tool"]
    content: Content
    tool_call_id: CallId
    name: str | None = None


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(_Wire):
    """A function that the model may call."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Wire):
    """What the model may call."""

    type: Literal["function"]
    function: Function


class FunctionName(_Wire):
    """One of the functions."""

    name: Name


class NamedTool(_Wire):
    """The tool that the model is to call."""

    type: Literal["function"]
    function: FunctionName


class RefusedChoice(_Wire):
    """A choice that is known, and refused by name until it works."""

    type: Literal["custom", "allowed_tools"]
    custom: Any = None
    allowed_tools: Any = None


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("word")]
    | Annotated[NamedTool, Tag("function")]
    | Annotated[RefusedChoice, Tag("refused")],
    Discriminator(_choice),
]
AnyTool = Annotated[Tool | Custom, Field(discriminator="type")]


class JsonSchema(_Wire):
    """A schema that the answer must satisfy."""

    name: Name
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class TextFormat(_Wire):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(_Wire):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(_Wire):
    """JSON to a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


AnswerFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(_Wire):
    """Only for streams."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class SightlineOptions(_Wire):
    """What this service has beside OpenAI's: `extra_body` of its clients."""

    evidence: bool | None = None
    lines: bool | None = None


TokenLimit = Annotated[int, Field(ge=1, lt=2**31)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]


class ChatBody(_Wire):
    """The body of `POST /v1/chat/completions`."""

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    stop: Stop | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: AnswerFormat | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
        ]
        | None
    ) = None
    user: str | None = None
    tools: Annotated[list[AnyTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    """Without effect where there are no tools."""

    sightline: SightlineOptions | None = None

    # Accepted without effect.
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[Literal["text", "audio"]] | None = None

    # Known and refused by name (`REFUSED`) until they work.
    logit_bias: Any = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    functions: Any = None
    function_call: Any = None


REFUSED = (
    "logit_bias",
    "audio",
    "prediction",
    "web_search_options",
    "functions",
    "function_call",
)
REFUSED_OF_ASSISTANT = ("function_call", "audio")
REFUSED_KINDS = frozenset({"input_audio", "file", "refusal", "function"})
"""Types of parts, and a role, that OpenAI has and this service lacks."""
