"""Responses (https://platform.openai.com/docs/api-reference/responses)."""

from emulator.demo.face import Face
from emulator.demo.openai_words import refuse
from emulator.demo.responses.reply import whole
from emulator.demo.responses.request import read
from emulator.demo.responses.stream import ResponsesStream

FACE = Face(
    read=read, whole=whole, stream=ResponsesStream, count=lambda tokens: {"input_tokens": tokens}, refuse=refuse
)
