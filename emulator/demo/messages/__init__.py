"""Messages (https://docs.anthropic.com/en/api/messages)."""

from emulator.demo.face import Face
from emulator.demo.messages.reply import MessagesStream, refuse, whole
from emulator.demo.messages.request import read

FACE = Face(read=read, whole=whole, stream=MessagesStream, count=lambda tokens: {"input_tokens": tokens}, refuse=refuse)
