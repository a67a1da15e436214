"""Contents of Gemini: who follows whom, calls and their responses, thought signatures."""

from __future__ import annotations

import binascii
from base64 import b64decode

import orjson

from emulator.demo.opaque import genuine
from emulator.demo.reading import Node
from emulator.demo.talk import Answered, Called, Media, Part, Said, Turn

_DATA = (
    *("text", "inlineData", "fileData", "functionCall", "functionResponse"),
    *("executableCode", "codeExecutionResult", "toolCall", "toolResponse"),
)
_MORE = ("thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata")
# Accepted for calls of other models: https://ai.google.dev/gemini-api/docs/thought-signatures
_PLACEHOLDERS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_MEDIA = {"image": "image", "audio": "audio", "video": "video"}


def read_contents(node: Node, signed: bool) -> tuple[Turn, ...]:
    """The turns. `signed`: calls of the current turn must carry a thought signature. Raises `RefusedError`."""
    contents = node.items()
    if not contents:
        raise node.refused("* GenerateContentRequest.contents: contents is not specified")
    turns: list[Turn] = []
    for content in contents:
        fields = content.obj("role", "parts")
        role = fields.get("role")
        if role is not None and role.text() not in ("user", "model", "function"):
            raise role.refused("Please use a valid role: user, model.")
        parts = read_parts(fields.need("parts"), _DATA)
        turns.append(Turn("assistant" if role is not None and role.value == "model" else "user", tuple(parts)))
    _check_order(node, turns)
    if signed:
        _check_signed(node, turns, contents)
    return tuple(turns)


def _check_order(node: Node, turns: list[Turn]) -> None:
    for before, turn in zip([None, *turns], turns, strict=False):
        calls = [part for part in before.parts if isinstance(part, Called)] if before else []
        results = [part for part in turn.parts if isinstance(part, Answered)]
        if before is not None and before.role == turn.role:
            raise node.refused("Please ensure that multiturn requests alternate between user and model.")
        if results and not calls:
            raise node.refused(
                "Please ensure that function response turn comes immediately after a function call turn."
            )
        if len(results) != len(calls):
            raise node.refused(
                "Please ensure that the number of function response parts is equal to the number of function call parts "
                "of the function call turn."
            )
        for result in results:
            name, _, ident = result.id.partition("\n")
            if all(call.name != name or (ident and call.id not in ("", ident)) for call in calls):
                raise node.refused(f"The function response '{name}' belongs to no call of the turn before it.")
        if before is None and turn.role == "assistant" and any(isinstance(part, Called) for part in turn.parts):
            raise node.refused(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
            )
    if any(isinstance(part, Called) for part in turns[-1].parts):
        raise node.refused("Please ensure that multiturn requests end with a user role or a function response.")


def _check_signed(node: Node, turns: list[Turn], contents: list[Node]) -> None:
    """The first call of every step since the user last spoke needs a signature."""
    start = 0
    for i, turn in enumerate(turns):
        if turn.role == "user" and not any(isinstance(part, Answered) for part in turn.parts):
            start = i
    for i in range(start, len(turns)):
        first = next((part for part in turns[i].parts if isinstance(part, Called)), None)
        if first is None or turns[i].role != "assistant":
            continue
        parts = (Node(part, node.wording).value for part in contents[i].value["parts"])
        call = next(part for part in parts if "functionCall" in part or "function_call" in part)
        if not (call.get("thoughtSignature") or call.get("thought_signature")):
            raise node.refused(
                f"Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly. "
                f"Function call `{first.name}`, position {i + 1}. "
                "Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_parts(node: Node, allowed: tuple[str, ...]) -> list[Part]:
    """The parts of a content, without thoughts."""
    listed = node.items()
    if not listed:
        raise node.refused(f"* GenerateContentRequest.{node.path}: contents.parts must not be empty.")
    read = (_part(part, allowed) for part in listed)
    return [part for part in read if part is not None]


def _part(node: Node, allowed: tuple[str, ...]) -> Part | None:
    fields = node.obj(*_DATA, *_MORE)
    kinds = [name for name in _DATA if name in fields.value]
    if len(kinds) != 1:
        raise node.refused(
            f"* GenerateContentRequest.{node.path}.data: required oneof field 'data' must have one initialized field"
        )
    if kinds[0] not in allowed:
        raise node.refused(f"{node.path}: only {', '.join(allowed)} may stand here, got {kinds[0]}.")
    if (signature := fields.get("thoughtSignature")) is not None:
        _check_signature(signature)
    if fields.flag("thought"):
        return None
    match kinds[0]:
        case "text":
            return Said(fields.need("text").text())
        case "inlineData":
            blob = fields.need("inlineData").obj("mimeType", "data", "displayName")
            blob.need("data").base64()
            return _media(blob.need("mimeType").text())
        case "fileData":
            file = fields.need("fileData").obj("mimeType", "fileUri", "displayName")
            if not file.need("fileUri").text().startswith(("https://", "gs://")):
                raise file.refused("Unsupported file uri: " + file.value["fileUri"])
            mime = file.get("mimeType")
            return _media("image/unknown" if mime is None else mime.text())
        case "functionCall":
            call = fields.need("functionCall").obj("id", "name", "args")
            args, ident = call.get("args"), call.get("id")
            text = orjson.dumps(args.raw() if args is not None else {}).decode()
            return Called(ident.text() if ident is not None else "", call.need("name").text(), text)
        case "functionResponse":
            return _response(fields.need("functionResponse"))
        case _:
            return None


def _media(mime: str) -> Part:
    match _MEDIA.get(mime.partition("/")[0]):
        case "image":
            return Media("image")
        case "audio":
            return Media("audio")
        case "video":
            return Media("video")
        case _:
            return Media("document")


def _response(node: Node) -> Answered:
    """The call is known by its name, and by its id where there is one."""
    fields = node.obj("id", "name", "response", "parts", "scheduling", "willContinue")
    ident = fields.get("id")
    response = fields.need("response").raw()
    match response:
        case {"error": error}:
            text, failed = error if isinstance(error, str) else orjson.dumps(error).decode(), True
        case {"result": str(result)} | {"output": str(result)} if len(response) == 1:
            text, failed = result, False
        case _:
            text, failed = orjson.dumps(response).decode(), False
    media: list[Media] = []
    if (parts := fields.get("parts")) is not None:
        for part in parts.items():
            match _part(part, ("inlineData", "fileData")):
                case Media() as one:
                    media.append(one)
                case _:
                    raise part.refused(f"{part.path}: a function response holds media only.")
    name = fields.need("name").text()
    return Answered(f"{name}\n{ident.text() if ident is not None else ''}", text, failed, tuple(media))


def _check_signature(node: Node) -> None:
    text = node.text()
    if text in _PLACEHOLDERS or genuine("gemini", text):
        return
    try:
        if b64decode(text, validate=True).decode() in _PLACEHOLDERS:
            return
    except (binascii.Error, UnicodeDecodeError) as error:
        raise node.refused("Corrupted thought signature.") from error
    raise node.refused("Corrupted thought signature.")
