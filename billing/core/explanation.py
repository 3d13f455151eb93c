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
    told = _KINDS.get(kind, "{n} {seats}").format(
        n=seats, seats="seat" if seats == 1 else "seats", licences="licence" if seats == 1 else "licences"
    )
    if kind.startswith("option:"):
        told = f"{kind.removeprefix('option:')} ordered" + (f", {seats} times" if seats > 1 else "")
    return f"{plan}: {told}" if plan else told


#: What each kind of line is, in one line.
_KINDS = {
    "period": "{n} {seats} for the period",
    "seats_added": "{n} {seats} added, prorated",
    "licences_added": "{n} {licences} added, prorated",
    "licences_bought": "{n} {licences} bought automatically, prorated",
    "plan_changed": "change to a larger plan, {n} {seats}, prorated",
    "interval_credit": "unused part of {n} {seats}, given back",
}


def _fact(fact: Mapping[str, Any]) -> dict[str, Any]:
    plain = ("id", "kind", "source", "source_id", "member", "board", "delivery_id")
    return {name: fact[name] for name in plain} | {
        "at": calendar.written(fact["at"]),
        "heard_at": calendar.written(fact["heard_at"]),
    }


#: Why a line of each kind is there: (English, Japanese); `day` and the count of seats are filled in.
_REASONS = {
    "seats_added": (
        "On {day} too few paid seats were empty, so {n} more had to be bought. ",
        "{day}に支払い済みの席が足りず、{n}席を追加しました。",
    ),
    "licences_added": ("On {day} {n} more licences were bought. ", "{day}に{n}ライセンスを追加購入しました。"),
    "licences_bought": (
        "On {day} more people came than there are licences, so {n} were bought, as was set. ",
        "{day}に利用者がライセンス数を超えたため、設定により{n}ライセンスを自動購入しました。",
    ),
    "plan_changed": (
        "On {day} the plan was changed; the price difference is due for the rest of the period. ",
        "{day}にプランを変更しました。残りの期間の差額です。",
    ),
    "interval_credit": (
        "On {day} another interval began; what was paid for the rest of the old period is given back. ",
        "{day}に契約期間を変更しました。旧期間の未使用分をお返しします。",
    ),
    "option": ("On {day} an option was ordered. ", "{day}にオプションを注文しました。"),
}


def _english(entry: Mapping[str, Any], exact: Fraction, facts: Sequence[Mapping[str, Any]], zone: str) -> str:
    money = written(entry["line_amount"], entry["currency"])
    unit = written(entry["unit_amount"], entry["currency"])
    day = calendar.local_date(entry["instant"], zone).isoformat()
    seats = f"{entry['seats']} seat" if entry["seats"] == 1 else f"{entry['seats']} seats"
    if entry["seats"] == 0:
        said = f"This line no longer stands: what was learned later takes it to {money}."
    elif Fraction(entry["fraction"]) == 0:
        said = f"This line was taken back whole ({', '.join(entry['rules'][-1:])}): {money}."
    elif entry["kind"] == "period" and Fraction(entry["fraction"]) == 1:
        said = f"On {day} a period began with {seats} at {unit} each: {money}."
    else:
        kind = entry["kind"].partition(":")[0]
        why = _REASONS.get(kind, ("On {day} billing went on. ", ""))[0].format(day=day, n=entry["seats"])
        said = why + (
            f"{unit} x {entry['seats']} x {entry['fraction']} of the period ({_METHODS[entry['method']][0]}) = "
            f"{in_units(exact, entry['currency'])}, {_ROUNDINGS[entry['rounding']][0]}: {money}."
        )
    return said + _who(facts, " For: ", "; ", ".") + _correction(entry, " This entry corrects the line by ", ".")


def _japanese(entry: Mapping[str, Any], exact: Fraction, facts: Sequence[Mapping[str, Any]], zone: str) -> str:
    money = written(entry["line_amount"], entry["currency"])
    unit = written(entry["unit_amount"], entry["currency"])
    day = f"{calendar.local_date(entry['instant'], zone):%Y年%m月%d日}"
    if entry["seats"] == 0:
        said = f"後から分かった事実により、この明細は{money}になりました。"
    elif Fraction(entry["fraction"]) == 0:
        said = f"この明細は全額取り消されました({', '.join(entry['rules'][-1:])}): {money}。"
    elif entry["kind"] == "period" and Fraction(entry["fraction"]) == 1:
        said = f"{day}に期間が始まりました。単価{unit} × {entry['seats']}席 = {money}。"
    else:
        kind = entry["kind"].partition(":")[0]
        why = _REASONS.get(kind, ("", "{day}に利用を再開しました。"))[1].format(day=day, n=entry["seats"])
        said = why + (
            f"単価{unit} × {entry['seats']}席 × 期間の{entry['fraction']}({_METHODS[entry['method']][1]})= "
            f"{in_units(exact, entry['currency'])}、{_ROUNDINGS[entry['rounding']][1]}して{money}。"
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
