"""Events as the front doors of Lambda make them.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html,
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html,
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

Event = dict[str, Any]


def _headers(token: str, body: Any) -> dict[str, str]:
    headers = {"Host": "gateway.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443", "Accept": "*/*"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    return headers


def rest(method: str, path: str, body: Any = None, token: str = "") -> Event:
    """API Gateway, REST API, payload 1.0: the stage stands in the context only."""
    path, _, query = path.partition("?")
    headers = _headers(token, body)
    pairs = parse_qsl(query, keep_blank_values=True)
    return {
        "resource": "/{proxy+}", "path": path, "httpMethod": method,
        "headers": headers, "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": {name: [v for n, v in pairs if n == name] for name, _ in pairs} or None,
        "pathParameters": None, "stageVariables": None,
        "requestContext": {
            "resourcePath": "/{proxy+}", "httpMethod": method, "path": f"/live{path}", "stage": "live", "protocol": "HTTP/1.1",
            "requestId": "id", "apiId": "api", "identity": {"sourceIp": "203.0.113.7", "userAgent": "test"},
        },
        "body": None if body is None else json.dumps(body), "isBase64Encoded": False,
    }  # fmt: skip


def http(method: str, path: str, body: Any = None, token: str = "") -> Event:
    """API Gateway, HTTP API, payload 2.0."""
    path, _, query = path.partition("?")
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": {name.lower(): value for name, value in _headers(token, body).items()},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "test"},
            "stage": "$default", "requestId": "id", "domainName": "gateway.example", "timeEpoch": 1, "apiId": "api",
        },
        "body": None if body is None else json.dumps(body), "isBase64Encoded": False,
    }  # fmt: skip


def url(method: str, path: str, body: Any = None, token: str = "") -> Event:
    """A Function URL: payload 2.0, and the body in base64 where it isn't known to be text."""
    event = http(method, path, body, token)
    event["requestContext"]["domainName"] = "abc.lambda-url.eu-central-1.on.aws"
    if body is not None:
        event |= {"body": base64.b64encode(json.dumps(body).encode()).decode(), "isBase64Encoded": True}
    else:
        del event["body"]
    return event


def alb(method: str, path: str, body: Any = None, token: str = "") -> Event:
    """A load balancer's target group."""
    path, _, query = path.partition("?")
    group = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/x/1"
    return {
        "requestContext": {"elb": {"targetGroupArn": group}}, "httpMethod": method, "path": path,
        "queryStringParameters": dict(pair.split("=", 1) for pair in query.split("&") if pair),
        "headers": {**{name.lower(): value for name, value in _headers(token, body).items()}, "x-forwarded-for": "203.0.113.7"},
        "body": "" if body is None else json.dumps(body), "isBase64Encoded": False,
    }  # fmt: skip


DOORS: dict[str, Callable[..., Event]] = {"rest": rest, "http": http, "url": url, "alb": alb}
