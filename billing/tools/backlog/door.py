"""Which activity: the room's front door. Whether it is genuine nobody can tell but by the address it came to."""

from collections.abc import Mapping
from datetime import datetime

from billing.tools import parsing
from billing.tools.backlog.shapes import MEMBERSHIP_TYPES, as_number, is_canned


def greet(method: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Any HEAD: Backlog knows no handshake, but a person who sets it up likes to see that the address answers."""
    return method.upper() == "HEAD"


def verify(headers: Mapping[str, str], body: bytes, secret: str, callback_url: str, now: datetime) -> bool:
    """Always True: there is nothing to check. A forger would have to know the connection's address."""
    return True


def sign(body: bytes, secret: str, callback_url: str, now: datetime, delivery_id: str) -> dict[str, str]:
    """No header: a genuine delivery has none."""
    return {}


def delivery_id(headers: Mapping[str, str], body: bytes) -> str:
    """The activity's number, unique in its space. All canned bodies have one number, so those go by their content."""
    value = parsing.parse(body).value
    if not isinstance(value, dict):
        return parsing.fallback_id(body)
    if is_canned(value):
        return f"execution-test:{fingerprint(headers, body)}"
    return as_number(value.get("id")) or parsing.fallback_id(body)


def fingerprint(headers: Mapping[str, str], body: bytes) -> str:
    """Of what the activity says, without how its people are described; of the raw bytes when there is no object."""
    value = parsing.parse(body).value
    if not isinstance(value, dict):
        return parsing.raw_digest(body)
    project = value.get("project")
    told = {key: value.get(key) for key in ("id", "type", "created")}
    told["project"] = project.get("id") if isinstance(project, dict) else project
    return parsing.canonical_digest(told | {"content": _content(value)})


def _content(value: Mapping[str, object]) -> object:
    """Of a membership only who: the REST form of the same activity shows more of each person."""
    content = value.get("content")
    users = content.get("users") if isinstance(content, dict) else None
    if value.get("type") not in MEMBERSHIP_TYPES or not isinstance(users, list):
        return content
    return sorted({str(user.get("id")) if isinstance(user, dict) else str(user) for user in users})
