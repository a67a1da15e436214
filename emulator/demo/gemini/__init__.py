"""Gemini's generateContent (https://ai.google.dev/api/generate-content)."""

from emulator.demo.face import Face
from emulator.demo.gemini.reply import GeminiStream, refuse, whole
from emulator.demo.gemini.request import read

FACE = Face(read=read, whole=whole, stream=GeminiStream, count=lambda tokens: {"totalTokens": tokens}, refuse=refuse)
