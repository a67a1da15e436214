"""Chat completions (https://platform.openai.com/docs/api-reference/chat)."""

from emulator.demo.chat.reply import ChatStream, refuse, whole
from emulator.demo.chat.request import read
from emulator.demo.face import Face

FACE = Face(read=read, whole=whole, stream=ChatStream, count=lambda tokens: {"input_tokens": tokens}, refuse=refuse)
