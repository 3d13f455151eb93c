"""Connections: a tool's webhook registrations, with their secrets and callback URL."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate

from billing.core.errors import InvalidError, NotFoundError
from billing.store import connections
from billing.tools import room
from service.api import auth, here, paging
from service.api.faults import FieldsError
from service.api.fields import Instant, page_of, text
from service.api.resource import Resource
from workers import outbound

CONNECTIONS = Resource("connections", "Webhook registrations of tools.")
#: Live secrets of one connection: two during a rotation, and some room.
MOST_SECRETS = 5


def web_address(value: str) -> None:
    """Raises ValidationError for what is no http(s) address."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or not value.isprintable() or len(value) > 2000:
        raise ValidationError("Not an http(s) address.")


def _credential() -> fields.Dict:
    return fields.Dict(
        keys=text(50),
        values=text(500),
        allow_none=True,
        metadata={
            "description": "What the tool's API wants to see for full lists, such as key and token; kept sealed."
        },
    )


def _api_url() -> fields.String:
    about = "Where the tool's API is, if not at the tool's own address: https and public, unless the operator allows."
    return fields.String(allow_none=True, metadata={"description": about})


class NewConnection(Schema):
    """`callback_url` is the address as it was given to the tool; null: the `webhook_url` of the answer."""

    tool = text(required=True)
    secrets = fields.List(text(500), load_default=list, validate=validate.Length(max=MOST_SECRETS))
    callback_url = fields.String(load_default=None, allow_none=True, validate=web_address)
    credential = _credential()
    api_url = _api_url()
    account_id = text(metadata={"description": "Admin keys only."})


class ConnectionChange(Schema):
    """Rotation: all secrets that shall be live from now on, the old one among them for as long as it signs."""

    secrets = fields.List(text(500), validate=validate.Length(max=MOST_SECRETS))
    callback_url = fields.String(allow_none=True, validate=web_address)
    credential = _credential()
    api_url = _api_url()


class Connection(Schema):
    """A webhook registration. Secrets and the credential are never shown: `secrets` tells how many are live,
    `has_credential` whether full lists can be asked for."""

    id = fields.String(required=True)
    account_id = fields.String(required=True)
    tool = fields.String(required=True)
    webhook_url = fields.String(required=True)
    callback_url = fields.String(required=True)
    secrets = fields.Integer(required=True)
    has_credential = fields.Boolean(required=True)
    api_url = fields.String(required=True, allow_none=True)
    created_at = Instant(required=True)


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A connection as it is shown."""
    webhook_url = f"{here.house().settings.public_url}/webhooks/{row['tool']}/{row['id']}"
    addresses = {"webhook_url": webhook_url, "callback_url": row["callback_url"] or webhook_url}
    return {**row, **addresses, "secrets": len(row["secrets"]), "has_credential": row["credential"] is not None}


def known_tool(tool: str) -> room.Room:
    """The room of a tool. Raises FieldsError naming the rooms there are."""
    try:
        return room.load(tool)
    except NotFoundError as fault:
        raise FieldsError({"tool": [str(fault)]}) from fault


def _sealed(tool: str, secrets: Sequence[str]) -> list[bytes]:
    """The secrets encrypted. Raises FieldsError when a tool that signs has none: it could deliver nothing."""
    if not secrets and known_tool(tool).SIGNED:
        raise FieldsError({"secrets": [f"{tool} signs its webhooks; name at least one secret."]})
    return [here.house().settings.vault.encrypt(secret.encode()) for secret in secrets]


def _to_pull(tool: str, body: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str | None, bytes | None]:
    """The API's address and the sealed credential, as `body` changes those of `row`. Raises FieldsError."""
    api_url, credential = body.get("api_url", row.get("api_url")), body.get("credential")
    if body.get("api_url") is not None:
        try:
            outbound.check_address(body["api_url"], here.house().settings.api_addresses)
        except InvalidError as fault:
            raise FieldsError({"api_url": [f"{fault}."]}) from fault
    if "credential" not in body:
        return api_url, row.get("credential")
    if credential is None:
        return api_url, None
    api = known_tool(tool).API
    parts = sorted(api.credential) if api else []
    if sorted(credential) != parts:
        raise FieldsError(
            {"credential": [f"{tool} wants {' and '.join(parts) or 'none: it has no lists to ask for'}."]}
        )
    return api_url, here.house().settings.vault.encrypt(json.dumps(credential).encode())


@CONNECTIONS.get("/connections", page_of(Connection), paging.AccountQuery)
def list_connections(query: dict[str, Any]) -> dict[str, Any]:
    """List the connections."""
    account = auth.account_filter(query)
    (after,) = paging.after(query, "connections", str) or (None,)
    found = connections.page(here.connection(), account, after, query["limit"] + 1)
    return paging.page([shown(row) for row in found], query, "connections", paging.by_id)


@CONNECTIONS.post("/connections", Connection, NewConnection)
def make_connection(body: dict[str, Any]) -> dict[str, Any]:
    """Make a connection; register the webhook at the tool with its `webhook_url`."""
    account = auth.account_for(body)
    known_tool(body["tool"])
    sealed = _sealed(body["tool"], body["secrets"])
    to_pull = _to_pull(body["tool"], body, {})
    return shown(connections.insert(here.connection(), account, body["tool"], body["callback_url"], sealed, *to_pull))


@CONNECTIONS.get("/connections/<connection_id>", Connection)
def get_connection(connection_id: str) -> dict[str, Any]:
    """One connection."""
    return shown(connections.get(here.connection(), here.scope(), connection_id))


@CONNECTIONS.patch("/connections/<connection_id>", Connection, ConnectionChange)
def change_connection(body: dict[str, Any], connection_id: str) -> dict[str, Any]:
    """Rotate the secrets, or change the callback URL or what full lists are asked for with."""
    row = connections.get(here.connection(), here.scope(), connection_id)
    sealed = _sealed(row["tool"], body["secrets"]) if "secrets" in body else None
    callback_url = body.get("callback_url", row["callback_url"])
    to_pull = _to_pull(row["tool"], body, row)
    return shown(connections.change(here.connection(), here.scope(), connection_id, callback_url, sealed, *to_pull))


@CONNECTIONS.delete("/connections/<connection_id>")
def remove_connection(connection_id: str) -> None:
    """Remove a connection: its webhook address is 404 from now on, and its secrets are forgotten."""
    connections.remove(here.connection(), here.scope(), connection_id)
