"""openapi.yaml, written from the code: the API's routes by themselves, the few others by hand below."""

from typing import Any

import yaml
from flask import Flask
from flask_smorest import Api

from service.api.fields import Day, Instant
from service.api.schemas import Problem

_OPENAPI = "3.0.3"
_PROBLEM = "application/problem+json"
_KEY = {
    "schema": {"type": "string", "maxLength": 255},
    "required": False,
    "description": "The same call again within 24 hours answers the same; with another body it is 409.",
}


def make(app: Flask) -> Any:
    """The flask-smorest API of an app, with the house's way of saying no."""
    app.config.update(API_TITLE="Sekisu", API_VERSION="1", OPENAPI_VERSION=_OPENAPI)
    api = Api()
    api.ERROR_SCHEMA = Problem
    api.DEFAULT_RESPONSE_CONTENT_TYPE = _PROBLEM  # while the error responses are registered
    api.init_app(app, spec_kwargs={"info": {"description": _ABOUT}, "security": [{"key": []}]})
    api.DEFAULT_RESPONSE_CONTENT_TYPE = "application/json"
    api.register_field(Instant, "string", "date-time")
    api.register_field(Day, "string", "date")
    api.spec.components.security_scheme("key", {"type": "http", "scheme": "bearer"})
    api.spec.components.parameter("IdempotencyKey", "header", {"name": "Idempotency-Key", **_KEY})
    return api


def document(api: Any) -> dict[str, Any]:
    """The description of every route, in one order: the same code always gives the same."""
    told: dict[str, Any] = {"openapi": _OPENAPI} | _plain(api.spec.to_dict())
    del told["components"]["schemas"]["PaginationMetadata"]  # flask-smorest's own way of paging, which is not ours
    paths = told["paths"] | _OTHERS
    told["paths"] = {path: paths[path] for path in sorted(paths)}
    for kind, parts in told["components"].items():
        told["components"][kind] = {name: parts[name] for name in sorted(parts)}
    return told


def text(api: Any) -> str:
    """The description as YAML."""
    return yaml.dump(document(api), Dumper=_Whole, sort_keys=False, allow_unicode=True, width=120)


class _Whole(yaml.SafeDumper):
    """Repeats what is repeated, instead of pointing back at it."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether never to point back."""
        return True


def _plain(value: Any) -> Any:
    """Without the subclasses of dict, list and str that YAML would name."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def _answers(*statuses: tuple[int, str]) -> dict[str, Any]:
    known = {str(status): {"description": description} for status, description in statuses}
    return known | {"default": {"$ref": "#/components/responses/DEFAULT_ERROR"}}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _open(tag: str, summary: str, *statuses: tuple[int, str], **more: Any) -> dict[str, Any]:
    """A route without a bearer key: signed, or without data."""
    return {"tags": [tag], "summary": summary, "security": [], "responses": _answers(*statuses), **more}


_BODY = {"required": True, "content": {"application/json": {"schema": {}}}}
_WEBHOOK = {"parameters": [_path("tool"), _path("connection_id")]}
_ABOUT = "Seat billing from the membership webhooks of collaboration tools. Money is integers in minor units."
_OTHERS: dict[str, dict[str, Any]] = {
    "/": {"get": _open("docs", "The console: a page that asks for a key.", (200, "HTML."))},
    "/webhooks/{tool}/{connection_id}": {
        "head": _open("webhooks", "The handshake of a tool that asks first.", (200, "Yes, here."), **_WEBHOOK),
        "post": _open(
            "webhooks",
            "A tool's webhook, signed as the tool signs; kept before it is answered.",
            (200, "Kept; the body is empty."),
            (401, "Forged; nothing is kept."),
            (404, "There is no such connection."),
            (413, "Over the cap."),
            (503, "The database is away; send it again."),
            requestBody=_BODY,
            **_WEBHOOK,
        ),
    },
    "/callbacks/payments/{gateway}": {
        "post": _open(
            "callbacks",
            "What became of a charge or a refund, signed by the payment endpoint.",
            (200, "Kept."),
            (401, "Forged; nothing is kept."),
            parameters=[_path("gateway")],
            requestBody=_BODY,
        )
    },
    "/healthz": {"get": _open("health", "Whether the process lives.", (200, "It does."))},
    "/readyz": {
        "get": _open("health", "Whether it can serve.", (200, "It can."), (503, "It cannot; the detail says why."))
    },
    "/metrics": {
        "get": {"tags": ["health"], "summary": "Figures for Prometheus.", "responses": _answers((200, "Text."))}
    },
    "/docs": {"get": _open("docs", "This documentation as a page that asks for a key.", (200, "HTML."))},
    "/openapi.json": {"get": {"tags": ["docs"], "summary": "This document.", "responses": _answers((200, "JSON."))}},
}
