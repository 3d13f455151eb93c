"""What the billing contact is told by mail when money does not come: each failed attempt, suspension, the end (B-16,
B-24). Written once for each; a mail is never the reason why a settlement fails."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from billing.core import calendar
from billing.core.course import Course, Due
from billing.core.facts import Fact
from billing.store.db import Conn, Row
from workers import mailing

#: (subject, body) by language, for each thing that is told; the workspace's name and the day are filled in.
_WORDS: dict[str, dict[str, tuple[str, str]]] = {
    "payment_failed": {
        "en": (
            "Payment failed for {name}",
            "A payment for {name} failed on {day}. Please check how it is paid; it is tried again.",
        ),
        "ja": (
            "【お支払い】{name}の決済ができませんでした",
            "{day}に{name}のお支払いができませんでした。お支払い方法をご確認ください。改めて決済を行います。",
        ),
    },
    "suspended": {
        "en": ("{name} is suspended", "{name} was suspended on {day}, because it is not paid. Paying resumes it."),
        "ja": (
            "【利用停止】{name}",
            "お支払いが確認できないため、{day}に{name}の利用を停止しました。お支払い後に再開します。",
        ),
    },
    "ended": {
        "en": ("{name} has ended", "{name} ended on {day}, because it was not paid."),
        "ja": ("【契約終了】{name}", "お支払いが確認できなかったため、{day}に{name}の契約は終了しました。"),
    },
}


def tell(
    connection: Conn, workspace: Row, facts: Sequence[Fact], dues: Sequence[Due], life: Course, until: datetime
) -> None:
    """Queue the mails that the facts and due instants of one settlement step call for. `until` is a UTC instant."""
    contact = workspace["billing_contact"]
    if not contact:
        return
    for fact in facts:
        if fact.kind == "payment.failed":
            _queue(connection, workspace, contact, "payment_failed", fact.at, fact.id)
    for due in dues:
        if due.what in ("grace", "close"):
            kind = "suspended" if life.suspended else "ended"
            _queue(connection, workspace, contact, kind, due.at, f"{due.what}/{calendar.written(due.at)}")


def _queue(connection: Conn, workspace: Row, contact: dict[str, Any], kind: str, at: datetime, key: str) -> None:
    language = contact.get("language") or ("ja" if workspace["time_zone"] == "Asia/Tokyo" else "en")
    day = calendar.local_date(at, workspace["time_zone"]).isoformat()
    subject, body = (text.format(name=workspace["name"], day=day) for text in _WORDS[kind][language])
    mailing.queue(connection, workspace["id"], kind, subject, body, contact["email"], key=f"{kind}/{key}")
