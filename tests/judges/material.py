"""What the judges send."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

from pydantic import BaseModel

CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASK = 'call get_weather with {"city": "Rome"} and call get_time with {"city": "Oslo"}'
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
BLANK_PDF = b64encode(b"%PDF-1.4\n%%EOF\n").decode()


class Line(BaseModel):
    article: str
    amount: int


class Invoice(BaseModel):
    """Nested, with a list and a choice: what SDKs make schemas with references of."""

    number: str
    lines: list[Line]
    note: str | None


DECLINED = re.compile("can't help|was blocked by the provider")
"""How the demo's model declines; Gemini's own filter has no words."""
