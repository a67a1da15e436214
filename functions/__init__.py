"""One folder per endpoint: `routes`, `app` (ASGI) and `handler` (AWS Lambda) in its app.py."""
