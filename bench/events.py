"""The requests, made and signed before the clock starts."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def request(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def signed(path: str, delivery_id: str, body: bytes, now: datetime) -> bytes:
    """A Standard Webhooks delivery of `body`."""
    stamp = str(int(now.timestamp()))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, f"{delivery_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    return request("POST", path, body, headers)


def joins(path: str, workspaces: Sequence[str], count: int) -> list[bytes]:
    """`count` new people join, in turn over the workspaces, a millisecond apart, the last of them now."""
    run = secrets.token_hex(4)
    first = datetime.now(UTC) - timedelta(milliseconds=count)
    return [
        _join(path, workspaces[i % len(workspaces)], f"{run}-{i}", first + timedelta(milliseconds=i))
        for i in range(count)
    ]


def _join(path: str, workspace: str, name: str, at: datetime) -> bytes:
    return membership(path, f"msg_{name}", "member.joined", workspace, f"m-{name}", at)


def membership(path: str, delivery_id: str, kind: str, workspace: str, member: str, at: datetime) -> bytes:
    """A delivery: somebody joined or left."""
    event = {
        "type": kind,
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"workspace": workspace, "member": {"id": member, "name": f"Person {member}"}},
    }
    return signed(path, delivery_id, json.dumps(event).encode(), datetime.now(UTC))
