"""The gateway's version, in one place."""

VERSION = "0.1.0"
USER_AGENT = f"ekai-gateway/{VERSION}"
