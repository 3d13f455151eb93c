"""Why was this paid? An entry told in numbers that anybody can recompute, and in words in two languages."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from billing.core import calendar
from billing.core.money import in_units, written

_METHODS = {
    "months_days": ("whole months left and days of the running month", "残りの月数と当月の残り日数"),
    "actual_days": ("days left over days in the period", "残り日数÷期間の日数"),
    "thirty_360": ("30/360 days left", "30/360方式の残り日数"),
    "seconds": ("seconds left over seconds in the period", "残り秒数÷期間の秒数"),
}
_ROUNDINGS = {
    "half_up": ("rounded half up", "四捨五入"),
    "half_even": ("rounded half to even", "偶数丸め"),
    "floor": ("rounded down", "切り捨て"),
    "ceil": ("rounded up", "切り上げ"),
}


def explain(entry: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], zone: str = "UTC") -> dict[str, Any]:
    """The explanation of one ledger entry (a row of `entry`) from the facts behind it (rows of `fact`).

    Days in the text are civil days of `zone` (XX-14).

    `exact` is unit x seats x fraction in minor units before the one rounding; `amount` is this entry's own signed
    amount, `line_amount` what the line stands at after it.
    """
    fraction = Fraction(entry["fraction"])
    exact = entry["unit_amount"] * entry["seats"] * fraction
    return {
        "entry_id": entry["id"],
        "key": entry["key"],
        "at": calendar.written(entry["instant"]),
        "heard_at": calendar.written(entry["heard_at"]),
        "seats": entry["seats"],
        "unit_amount": entry["unit_amount"],
        "currency": entry["currency"],
        "method": entry["method"],
        "fraction": str(fraction),
        "exact": str(exact),
        "rounding": entry["rounding"],
        "amount": entry["amount"],
        "line_amount": entry["line_amount"],
        "rules": list(entry["rules"]),
        "facts": [_fact(fact) for fact in facts],
        "text": {"en": _english(entry, exact, facts, zone), "ja": _japanese(entry, exact, facts, zone)},
    }


def describe(kind: str, seats: int, plan: str = "") -> str:
    """A line's one-line description, in English."""
    noun = "seat" if seats == 1 else "seats"
    what = {"period": f"{seats} {noun} for the period", "seats_added": f"{seats} {noun} added, prorated"}
    text = what.get(kind, f"{seats} {noun}")
    return f"{plan}: {text}" if plan else text


def _fact(fact: Mapping[str, Any]) -> dict[str, Any]:
    plain = ("id", "kind", "source", "source_id", "member", "board", "delivery_id")
    return {name: fact[name] for name in plain} | {
        "at": calendar.written(fact["at"]),
        "heard_at": calendar.written(fact["heard_at"]),
    }


def _english(entry: Mapping[str, Any], exact: Fraction, facts: Sequence[Mapping[str, Any]], zone: str) -> str:
    money = written(entry["line_amount"], entry["currency"])
    unit = written(entry["unit_amount"], entry["currency"])
    day = calendar.local_date(entry["instant"], zone).isoformat()
    seats = f"{entry['seats']} seat" if entry["seats"] == 1 else f"{entry['seats']} seats"
    if entry["seats"] == 0:
        said = f"This line no longer stands: what was learned later takes it to {money}."
    elif entry["kind"] == "period":
        said = f"On {day} a period began with {seats} at {unit} each: {money}."
    else:
        said = (
            f"On {day} too few paid seats were empty, so {seats} more had to be bought. {unit} x {entry['seats']} x "
            f"{entry['fraction']} of the period ({_METHODS[entry['method']][0]}) = "
            f"{in_units(exact, entry['currency'])}, {_ROUNDINGS[entry['rounding']][0]}: {money}."
        )
    return said + _who(facts, " For: ", "; ", ".") + _correction(entry, " This entry corrects the line by ", ".")


def _japanese(entry: Mapping[str, Any], exact: Fraction, facts: Sequence[Mapping[str, Any]], zone: str) -> str:
    money = written(entry["line_amount"], entry["currency"])
    unit = written(entry["unit_amount"], entry["currency"])
    day = f"{calendar.local_date(entry['instant'], zone):%Y年%m月%d日}"
    if entry["seats"] == 0:
        said = f"後から分かった事実により、この明細は{money}になりました。"
    elif entry["kind"] == "period":
        said = f"{day}に期間が始まりました。単価{unit} × {entry['seats']}席 = {money}。"
    else:
        said = (
            f"{day}に支払い済みの席が足りず、{entry['seats']}席を追加しました。単価{unit} × {entry['seats']}席 × "
            f"期間の{entry['fraction']}({_METHODS[entry['method']][1]})= {in_units(exact, entry['currency'])}、"
            f"{_ROUNDINGS[entry['rounding']][1]}して{money}。"
        )
    return said + _who(facts, "対象: ", "、", "。") + _correction(entry, "この記帳による差額: ", "。")


def _who(facts: Sequence[Mapping[str, Any]], begin: str, between: str, end: str) -> str:
    told = [f"{fact['data'].get('name') or fact['member']} ({fact['kind']})" for fact in facts if fact.get("member")]
    more = f"{between}+{len(told) - 20}" if len(told) > 20 else ""
    return begin + between.join(told[:20]) + more + end if told else ""


def _correction(entry: Mapping[str, Any], begin: str, end: str) -> str:
    if entry["amount"] == entry["line_amount"]:
        return ""
    return begin + written(entry["amount"], entry["currency"]) + end
