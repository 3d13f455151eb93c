"""What an invoice, a receipt and a return invoice say. Pure; the edge gives numbers and keeps the rows.

Rules XX-01, XX-03, XX-04, XX-12, XX-13, B-30, B-31, B-33. Amounts are minor units; those of a return invoice are
negative, so that the documents of a charge sum to what is left of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Literal

from billing.core import calendar
from billing.core.errors import SekisuError
from billing.core.money import CurrencyMismatchError
from billing.core.tax import Tax

Kind = Literal["invoice", "receipt", "return_invoice"]
#: What the numbers of each kind begin with.
SERIES: Mapping[str, str] = {"invoice": "INV", "receipt": "RCP", "return_invoice": "CRN"}
LANGUAGES = ("ja", "en")
#: More lines than these are shown by the day (law 8).
MOST_LINES = 100
#: A return under this many yen, tax included, needs no return invoice (B-33).
EXEMPT_UNDER = 10_000
#: What was sold, in English and Japanese, by the kind of the line.
_SOLD = {
    "period": ("subscription fee", "利用料"),
    "seats_added": ("seats added, prorated", "席の追加(日割り)"),
    "licences_added": ("licences added, prorated", "ライセンスの追加(日割り)"),
    "licences_bought": ("licences bought automatically", "ライセンスの自動購入"),
    "plan_changed": ("change of plan, prorated difference", "プラン変更の差額(日割り)"),
    "interval_credit": ("unused time given back", "未使用期間の返還"),
}


class DocumentError(SekisuError):
    """A document would contradict the charge it is for; a person decides."""

    code = "document"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a charge. `part`: `amount` is not the whole of seats x unit x fraction, but a part or a difference.

    `day` is the civil day of the line in the workspace's zone, `amount` signed minor units as the price is given
    (with or without tax).
    """

    key: str
    kind: str
    day: date
    plan: str
    seats: int
    unit_amount: int
    fraction: Fraction
    amount: int
    currency: str
    rules: tuple[str, ...] = ()
    part: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """What a document says beside its lines. `supplied` are the first and the last day of the supply (inclusive)."""

    kind: Kind
    number: str
    issued_at: datetime
    zone: str
    currency: str
    language: str
    issuer: Mapping[str, Any]
    recipient: Mapping[str, Any]
    workspace: Mapping[str, Any]
    charge_id: str
    method: str | None
    supplied: tuple[date, date]
    tax: Tax
    chain_head: str
    due_on: date | None = None
    original: Mapping[str, Any] | None = None


def number_of(kind: str, workspace_id: str, seq: int) -> str:
    """The number of a document: its series, the workspace's short code, and a gap-free count from 1."""
    return f"{SERIES[kind]}-{workspace_id[-8:].upper()}-{seq:06d}"


def kind_for(method: str | None) -> Kind:
    """The first document of a charge (XX-12): an invoice before a bank transfer, else a receipt after payment."""
    return "invoice" if method == "bank_transfer" else "receipt"


def language_for(currency: str, contact: Mapping[str, Any] | None) -> str:
    """The billing contact's language; without one Japanese for yen, else English."""
    return str((contact or {}).get("language") or ("ja" if currency == "JPY" else "en"))


def totals(tax: Tax, total: int, before: int = 0) -> dict[str, Any]:
    """The amounts of the one rate of a document whose lines sum to `total` (XX-03: one rounding of the sum).

    `before` is what earlier documents of the charge sum to: taking all of it back leaves neither gross nor tax.
    """
    part = tax.part(before + total) - tax.part(before)
    gross = tax.gross(before + total) - tax.gross(before)
    return {"rate": tax.rate, "net": gross - part, "tax": part, "gross": gross}


def compose(head: Head, items: Sequence[Item], *, before: int = 0, credit: int = 0) -> dict[str, Any]:
    """The content of a document, as JSON that is never changed again.

    `credit` is what the customer's credit pays of it. Raises CurrencyMismatchError when a line is of another currency
    (XX-01).
    """
    if any(item.currency != head.currency for item in items):
        raise CurrencyMismatchError(f"a document in {head.currency} has lines of another currency")
    rate = totals(head.tax, sum(item.amount for item in items), before)
    shown = grouped(items) if len(items) > MOST_LINES else [_line(item) for item in items]
    confirms = head.kind == "receipt" and head.original is not None
    return {
        "kind": head.kind,
        "number": head.number,
        "issued_at": calendar.written(head.issued_at),
        "issued_on": calendar.local_date(head.issued_at, head.zone).isoformat(),
        "zone": head.zone,
        "currency": head.currency,
        "language": head.language,
        "languages": list(LANGUAGES),
        "qualified": _qualified(head) and not confirms,
        "exempt": head.kind == "return_invoice" and is_exempt(head.currency, rate["gross"]),
        "issuer": dict(head.issuer),
        "recipient": dict(head.recipient),
        "workspace": dict(head.workspace),
        "charge_id": head.charge_id,
        "method": head.method,
        "due_on": head.due_on.isoformat() if head.due_on else None,
        "supplied": {"from": head.supplied[0].isoformat(), "to": head.supplied[1].isoformat()},
        "original": dict(head.original) if head.original else None,
        "tax": {"rate": head.tax.rate, "behavior": head.tax.behavior, "rounding": head.tax.rounding},
        "rates": [rate],
        "total": rate["gross"],
        "credit": credit,
        "amount": rate["gross"] - credit,
        "lines": shown,
        "grouped": len(items) > MOST_LINES,
        "rules": sorted({rule for item in items for rule in item.rules}),
        "chain_head": head.chain_head,
    }


def is_exempt(currency: str, gross: int) -> bool:
    """Whether the law asks for no return invoice for this little (B-33)."""
    return currency == "JPY" and abs(gross) < EXEMPT_UNDER


def _qualified(head: Head) -> bool:
    """Whether all six items of B-31 are there; a return invoice is what its original is."""
    if head.original is not None and head.kind == "return_invoice":
        return bool(head.original["qualified"])
    return bool(head.issuer.get("registration_number")) and Fraction(head.tax.rate) > 0


def grouped(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Lines by day, kind and unit price: rounded lines summed, so that the sum is still that of the lines (law 8)."""
    groups: dict[tuple[Any, ...], list[Item]] = {}
    for item in items:
        groups.setdefault((item.day, item.plan, item.kind, item.unit_amount), []).append(item)
    return [_group(group) for group in groups.values()]


def _group(items: Sequence[Item]) -> dict[str, Any]:
    first = items[0]
    alike = len({item.fraction for item in items}) == 1 and not any(item.part for item in items)
    return _line(first) | {
        "seats": sum(item.seats for item in items) if alike else None,
        "unit_amount": first.unit_amount if alike else None,
        "fraction": str(first.fraction) if alike else None,
        "amount": sum(item.amount for item in items),
        "rules": sorted({rule for item in items for rule in item.rules}),
        "count": len(items),
    }


def _line(item: Item) -> dict[str, Any]:
    return {
        "day": item.day.isoformat(),
        "kind": item.kind,
        "description": described(item),
        "seats": None if item.part else item.seats,
        "unit_amount": None if item.part else item.unit_amount,
        "fraction": None if item.part else str(item.fraction),
        "amount": item.amount,
        "rules": list(item.rules),
        "count": 1,
    }


def described(item: Item) -> dict[str, str]:
    """What was supplied, in words of each language."""
    option = item.kind.removeprefix("option:")
    plain = item.kind.replace("_", " ")
    sold = (f"option {option}", f"オプション {option}") if option != item.kind else _SOLD.get(item.kind, (plain, plain))
    en, ja = sold if item.amount >= 0 else (f"{sold[0]}: returned", f"{sold[1]}(返還)")
    if item.part and item.amount >= 0:
        en, ja = f"{en} (difference)", f"{ja}(差額)"
    return {"en": f"{item.plan}: {en}" if item.plan else en, "ja": f"{item.plan} {ja}" if item.plan else ja}
