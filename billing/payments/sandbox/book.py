"""The sandbox's book: every charge and refund asked for, every POST counted, every answer under its key.

Lives in memory; each change is one line of JSON appended to `sandbox-book.jsonl` and is replayed at the next start.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from marshmallow import EXCLUDE, Schema, fields, validate

FILE_NAME = "sandbox-book.jsonl"


class ChargeSchema(Schema):
    """What the sandbox needs of `POST /charges`; the lines are the payer's affair."""

    class Meta:
        unknown = EXCLUDE

    id = fields.String(required=True, validate=validate.Length(1, 200))
    attempt = fields.Integer(required=True, strict=True, validate=validate.Range(1))
    currency = fields.String(required=True, validate=validate.Regexp(r"[A-Z]{3}\Z"))
    amount = fields.Integer(required=True, strict=True, validate=validate.Range(1))
    callback_url = fields.Url(load_default=None, allow_none=True, schemes={"http", "https"}, require_tld=False)


class RefundSchema(Schema):
    """What the sandbox needs of `POST /refunds`."""

    class Meta:
        unknown = EXCLUDE

    id = fields.String(required=True, validate=validate.Length(1, 200))
    charge_id = fields.String(required=True)
    attempt = fields.Integer(load_default=1, strict=True, validate=validate.Range(1))
    currency = fields.String(required=True)
    amount = fields.Integer(required=True, strict=True, validate=validate.Range(1))


@dataclass(frozen=True, slots=True)
class Order:
    """One POST: `kind` is charge or refund; `body` is as loaded by its schema; amounts in minor units."""

    kind: str
    key: str
    fingerprint: str
    body: dict[str, Any]

    @property
    def id(self) -> str:
        """Our id of the charge or refund."""
        return str(self.body["id"])


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and a JSON body. `state`: the status the order moved to with it; None: nothing moved."""

    code: int
    body: dict[str, Any]
    state: str | None = None


@dataclass(slots=True)
class Entry:
    """A charge or a refund. `order` is the body that last moved it; `status` None: asked for, but not booked."""

    order: dict[str, Any]
    status: str | None = None
    failure_code: str | None = None
    keys: list[str] = field(default_factory=list)
    posts: int = 0


@dataclass(frozen=True, slots=True)
class Saved:
    """What a key was answered: `first` may be a 500; `answer` is what idempotency repeats (None after a 500)."""

    fingerprint: str
    first: Answer
    answer: Answer | None


class Book:
    """All entries by (kind, id) and all answers by (kind, key). Not safe for threads: the server's loop owns it."""

    def __init__(self, data_dir: Path | None) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        self.saved: dict[tuple[str, str], Saved] = {}
        self._file: IO[str] | None = None
        if data_dir is not None:
            data_dir.mkdir(parents=True, exist_ok=True)
            for event in _replay(data_dir / FILE_NAME):
                self._apply(event)
            self._file = (data_dir / FILE_NAME).open("a", encoding="ascii")

    def post(self, order: Order, answer: Answer, *, keep: bool) -> None:
        """Count one POST, answered with `answer`; `keep` the answer under the key."""
        self._record(
            {
                "kind": order.kind,
                "key": order.key,
                "fingerprint": order.fingerprint,
                "order": order.body,
                "code": answer.code,
                "body": answer.body,
                "state": answer.state,
                "keep": keep,
            }
        )

    def settle(self, kind: str, order_id: str, status: str) -> None:
        """A pending order became final."""
        self._record({"kind": kind, "settled": order_id, "state": status})

    def pending(self) -> list[tuple[str, str]]:
        """(kind, id) of what is not final yet."""
        return [key for key, entry in self.entries.items() if entry.status == "pending"]

    def refunded(self, charge_id: str) -> int:
        """Sum of the refunds of a charge that were not declined, in minor units."""
        return sum(
            int(entry.order["amount"])
            for (kind, _), entry in self.entries.items()
            if kind == "refund" and entry.order["charge_id"] == charge_id and entry.status in {"succeeded", "pending"}
        )

    def shown(self) -> dict[str, list[dict[str, Any]]]:
        """The body of `GET /book`."""
        listed: dict[str, list[dict[str, Any]]] = {"charges": [], "refunds": []}
        for (kind, order_id), entry in self.entries.items():
            row = {
                f"{kind}_id": order_id,
                "keys": entry.keys,
                "posts": entry.posts,
                "status": entry.status or "unbooked",
            }
            if kind == "refund":
                row["charge_id"] = entry.order["charge_id"]
            row |= {name: entry.order[name] for name in ("currency", "amount")}
            listed[f"{kind}s"].append(row)
        return listed

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _record(self, event: dict[str, Any]) -> None:
        self._apply(event)
        if self._file is not None:
            self._file.write(json.dumps(event, separators=(",", ":")) + "\n")
            # Flushed to the system, not to the disk: a killed sandbox forgets nothing, a power cut may.
            self._file.flush()

    def _apply(self, event: dict[str, Any]) -> None:
        if "settled" in event:
            self.entries[event["kind"], event["settled"]].status = event["state"]
            return
        kind, key, order = event["kind"], event["key"], event["order"]
        entry = self.entries.setdefault((kind, order["id"]), Entry(order))
        entry.posts += 1
        if key not in entry.keys:
            entry.keys.append(key)
        if event["state"]:
            entry.order, entry.status, entry.failure_code = order, event["state"], event["body"].get("failure_code")
        if event["keep"]:
            answer = Answer(event["code"], event["body"])
            before = self.saved.get((kind, key))
            # A 500 says nothing, so it never hides what the key was answered before.
            repeatable = answer if answer.code < 500 else (before.answer if before else None)
            self.saved[kind, key] = Saved(event["fingerprint"], before.first if before else answer, repeatable)


def _replay(path: Path) -> Iterator[dict[str, Any]]:
    """The events on file. A last line without its end was torn by a kill before it was answered, and is cut off."""
    raw = path.read_bytes() if path.exists() else b""
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) != len(raw):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    for line in whole.splitlines():
        yield json.loads(line)
