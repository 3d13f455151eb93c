"""The full statement against the ledger, and the ledger's sums against the stored lines."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

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
        wrong = _differences(owed.get(key), snapshot.entries.get(key, []))
        if wrong:
            yield snapshot.fault("statement", key, f"owed is not what was posted: {'; '.join(wrong)}")


def _differences(owed: Line | None, entries: Sequence[Row]) -> list[str]:
    amount = sum(entry["amount"] for entry in entries)
    if not entries:
        return [f"no entry, owed {owed.amount if owed else 0}"]
    if owed is None:  # a line that vanished stands at zero; its facts are those that made it vanish
        wanted: Mapping[str, Any] = {"amount": 0, "seats": 0}
    else:
        wanted = {name: _plain(getattr(owed, name)) for name in ("amount", *_SAID)}
    found = {name: _plain(entries[-1][name]) for name in _SAID} | {"amount": amount}
    return [f"{name} {found[name]}, owed {wanted[name]}" for name in wanted if found[name] != wanted[name]]


def _plain(value: Any) -> Any:
    """A value as rows write it."""
    if isinstance(value, Fraction):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def line_faults(snapshot: Snapshot) -> Iterator[Fault]:
    """Where a stored line is not what its entries sum to, field by field."""
    for key in sorted(snapshot.lines.keys() | snapshot.entries.keys()):
        line, entries = snapshot.lines.get(key), snapshot.entries.get(key)
        if line is None or entries is None:
            yield snapshot.fault("line", key, "the ledger has no entry of it" if line else "the stored line is missing")
            continue
        wanted = {name: entries[-1][name] for name in _REPEATED}
        wanted |= {"amount": sum(entry["amount"] for entry in entries), "entry_id": entries[-1]["id"]}
        wrong = [f"{name} {line[name]}, by its entries {wanted[name]}" for name in wanted if line[name] != wanted[name]]
        if wrong:
            yield snapshot.fault("line", key, f"the stored line was changed: {'; '.join(wrong)}")
