"""The full statement against the ledger, and the ledger's sums against the stored lines."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from billing.core import calendar
from billing.core.lines import Line
from billing.store.db import Row
from workers.checks.snapshot import Fault, Snapshot

#: What of a line the latest entry of its key must say as the statement does (its sum is compared apart).
_SAID = ("seats", "fraction", "rules", "facts", "currency", "method", "rounding")
#: What a stored line repeats of its latest entry.
_REPEATED = ("subscription_id", "n", "kind", "instant", "unit_amount", *_SAID)


def statement_faults(snapshot: Snapshot) -> Iterator[Fault]:
    """Where what is owed is not what was posted: for each key the sum of its entries, and what the latest one says."""
    if snapshot.owed is None:
        yield snapshot.fault("statement", "period", snapshot.unpinned)
        return
    owed = {line.key: line for line in snapshot.owed}
    for key in sorted(owed.keys() | snapshot.entries.keys()):
        entries = snapshot.entries.get(key, [])
        says, should = _differences(owed.get(key), entries)
        if should:
            told = "; ".join(f"{name} {says.get(name, 'none')}, owed {value}" for name, value in should.items())
            last = entries[-1]["id"] if entries else ""
            row = ("entry", last, said(says), said(should))
            yield snapshot.fault("statement", key, f"owed is not what was posted: {told}", *row)


def said(values: Mapping[str, Any]) -> str:
    """Columns and what they say, as people read them."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _differences(owed: Line | None, entries: Sequence[Row]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the columns that differ: what was posted, and what is owed."""
    amount = sum(entry["amount"] for entry in entries)
    if not entries:
        return {}, {"amount": owed.amount if owed else 0}
    if owed is None:  # a line that vanished stands at zero; its facts are those that made it vanish
        wanted: Mapping[str, Any] = {"amount": 0, "seats": 0}
    else:
        wanted = {name: _plain(getattr(owed, name)) for name in ("amount", *_SAID)}
    found = {name: _plain(entries[-1][name]) for name in _SAID} | {"amount": amount}
    wrong = [name for name in wanted if found[name] != wanted[name]]
    return {name: found[name] for name in wrong}, {name: wanted[name] for name in wrong}


def _plain(value: Any) -> Any:
    """A value as rows write it."""
    if isinstance(value, Fraction):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def heard_faults(snapshot: Snapshot) -> Iterator[Fault]:
    """Entries that were heard when no fact was, nor posted then."""
    heard = {fact.heard_at for fact in snapshot.facts}
    for entry in (entry for entries in snapshot.entries.values() for entry in entries):
        if entry["heard_at"] not in heard and entry["heard_at"] != entry["posted_at"]:
            found, right = calendar.written(entry["heard_at"]), "the hearing of a fact, or its posting"
            told = f"heard at {found}, when nothing was heard"
            yield snapshot.fault("chain", entry["id"], told, "entry", entry["id"], f"heard_at {found}", right)


def line_faults(snapshot: Snapshot) -> Iterator[Fault]:
    """Where a stored line is not what its entries sum to, field by field."""
    for key in sorted(snapshot.lines.keys() | snapshot.entries.keys()):
        line, entries = snapshot.lines.get(key), snapshot.entries.get(key)
        if line is None or entries is None:
            told = "the ledger has no entry of it" if line else "the stored line is missing"
            there = ("stands", "no such line") if line else ("missing", "a line")
            yield snapshot.fault("line", key, told, "line", key, *there)
            continue
        wanted = {name: entries[-1][name] for name in _REPEATED}
        wanted |= {"amount": sum(entry["amount"] for entry in entries), "entry_id": entries[-1]["id"]}
        should = {name: value for name, value in wanted.items() if line[name] != value}
        if should:
            told = "; ".join(f"{name} {line[name]}, by its entries {value}" for name, value in should.items())
            row = ("line", key, said({name: line[name] for name in should}), said(should))
            yield snapshot.fault("line", key, f"the stored line was changed: {told}", *row)
