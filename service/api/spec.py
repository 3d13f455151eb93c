"""openapi.yaml, written from the code: the API's routes by themselves, the few others by hand below."""

from collections.abc import Mapping
from typing import Any

import yaml
from flask import Flask
from flask_smorest import Api

from service.api.fields import Day, Instant
from service.api.schemas import Problem

_OPENAPI = "3.0.3"
_PROBLEM = "application/problem+json"
_JSON = "application/json"
#: Every status that says no, and when. 500 is not here: it is a fault of ours, never an answer we plan.
_REFUSALS = {
    "400": "The body cannot be read as JSON, or ended before its announced length.",
    "401": "There is no API key, or none that we know; or the signature fits no secret, and nothing is kept.",
    "403": "The key may not do this, or a rule forbids it to this actor.",
    "404": "There is nothing of this id in the key's account.",
    "405": "This tool has no handshake.",
    "409": "It contradicts what is recorded, or a rule refuses it; `rule` names the rule.",
    "413": "The body is over the cap.",
    "415": "The body does not say that it is JSON.",
    "422": "Fields are wrong; `errors` names each.",
    "429": "Too many requests; `Retry-After` says when to come again.",
    "503": "Not just now; `Retry-After` says when to come again.",
}
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
    api.init_app(app, spec_kwargs={"info": {"description": _ABOUT}, "security": [{"key": []}]})
    api.register_field(Instant, "string", "date-time")
    api.register_field(Day, "string", "date")
    api.spec.components.security_scheme("key", {"type": "http", "scheme": "bearer"})
    api.spec.components.parameter("IdempotencyKey", "header", {"name": "Idempotency-Key", **_KEY})
    return api


def document(api: Any) -> dict[str, Any]:
    """The description of every route, in one order: the same code always gives the same."""
    told: dict[str, Any] = {"openapi": _OPENAPI} | _plain(api.spec.to_dict())
    del told["components"]["schemas"]["PaginationMetadata"]  # flask-smorest's own way of paging, which is not ours
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                operation["responses"] = _responses(path, method, operation)
    paths = told["paths"] | _OTHERS
    told["paths"] = {path: paths[path] for path in sorted(paths)}
    told["components"]["responses"] = {status: _refusal(text) for status, text in _REFUSALS.items()}
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
        return {str(name): _plain(_pattern(inner) if name == "pattern" else inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def _pattern(written: Any) -> Any:
    """Python's pattern in the words of JSON Schema, which knows no end-of-text sign and would look anywhere."""
    if not isinstance(written, str):
        return written
    return "^" + written.removesuffix(r"\Z") + "$"


def _responses(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    """What an operation answers: its success, and each refusal it can give. A `default` would promise nothing."""
    good = {status: told for status, told in operation["responses"].items() if status.startswith("2")}
    refusals = {"401", "403", "422", "429", "503"}
    if "{" in path:
        refusals.add("404")
    if method != "get":
        refusals |= {"400", "404", "409", "413", "415"}
    return good | _refused(*refusals)


def _refused(*statuses: str) -> dict[str, Any]:
    return {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _refusal(description: str) -> dict[str, Any]:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": description, "content": {_PROBLEM: problem}}


def _answers(description: str, kind: str, *refusals: str) -> dict[str, Any]:
    """A 200 whose body is of a kind (empty: there is none), and refusals."""
    good = {"description": description} | ({"content": {kind: {"schema": _SHAPES.get(kind, _TEXT)}}} if kind else {})
    return {"200": good} | _refused(*refusals)


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _open(tag: str, summary: str, answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A route without a bearer key: signed, or without data."""
    return {"tags": [tag], "summary": summary, "security": [], "responses": answers, **more}


_TEXT = {"type": "string"}
_SHAPES = {_JSON: {"type": "object"}}
_HTML, _PLAIN = "text/html", "text/plain"
_BODY = {"required": True, "content": {_JSON: {"schema": {}}}}
_WEBHOOK = {"parameters": [_path("tool"), _path("connection_id")]}
_ABOUT = "Seat billing from the membership webhooks of collaboration tools. Money is integers in minor units."
_OTHERS: dict[str, dict[str, Any]] = {
    "/": {"get": _open("docs", "The console: a page that asks for a key.", _answers("The page.", _HTML))},
    "/webhooks/{tool}/{connection_id}": {
        "head": _open(
            "webhooks",
            "The handshake of a tool that asks first.",
            _answers("Yes, here.", "", "400", "404", "405", "413", "429", "503"),
            **_WEBHOOK,
        ),
        "post": _open(
            "webhooks",
            "A tool's webhook, signed as the tool signs; kept before it is answered.",
            _answers("Kept; the body is empty.", "", "400", "401", "404", "413", "429", "503"),
            requestBody=_BODY,
            **_WEBHOOK,
        ),
    },
    "/callbacks/payments/{gateway}": {
        "post": _open(
            "callbacks",
            "What became of a charge or a refund, signed by the payment endpoint.",
            _answers("Kept.", _JSON, "400", "401", "404", "413", "429", "503"),
            parameters=[_path("gateway")],
            requestBody=_BODY,
        )
    },
    "/healthz": {"get": _open("health", "Whether the process lives.", _answers("It does.", _PLAIN))},
    "/readyz": {"get": _open("health", "Whether it can serve.", _answers("It can.", _PLAIN, "503"))},
    "/metrics": {
        "get": {
            "tags": ["health"],
            "summary": "Figures for Prometheus.",
            "responses": _answers("The figures.", _PLAIN, "401", "403", "503"),
        }
    },
    "/docs": {
        "get": _open("docs", "This documentation as a page that asks for a key.", _answers("The page.", _HTML)),
    },
    "/openapi.json": {
        "get": {
            "tags": ["docs"],
            "summary": "This document.",
            "responses": _answers("The document.", _JSON, "401", "403", "429", "503"),
        }
    },
}
