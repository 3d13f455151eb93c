"""Every word on a document, in Japanese and English: the template gets finished texts and sets them."""

import re
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from billing.core.money import written

#: A run this long without a space could leave its column; it may be broken anywhere.
_RUN = re.compile(r"[!-~]{20,}")
_BREAK = "\u200b"
#: Japanese and English, by what is said.
_WORDS: Mapping[str, tuple[str, str]] = {
    "invoice": ("請求書", "Invoice"),
    "receipt": ("領収書", "Receipt"),
    "return_invoice": ("返還請求書", "Return invoice"),
    "qualified_invoice": ("適格請求書", "Qualified invoice"),
    "qualified_receipt": ("適格請求書を兼ねる", "This receipt is a qualified invoice"),
    "qualified_return_invoice": ("適格返還請求書", "Qualified return invoice"),
    "number": ("番号", "Number"),
    "issued": ("発行日", "Issued on"),
    "due": ("お支払期限", "Due on"),
    "original": ("元の書類", "Original document"),
    "supplied": ("取引年月日", "Date of supply"),
    "returned": ("返還日", "Returned on"),
    "method": ("お支払方法", "Payment method"),
    "registration": ("登録番号", "Registration number"),
    "bank": ("お振込先", "Pay to"),
    "workspace": ("ご契約", "Contract"),
    "amount_invoice": ("ご請求金額(税込)", "Amount due"),
    "amount_receipt": ("領収金額(税込)", "Amount received"),
    "amount_return_invoice": ("返還金額(税込)", "Amount returned"),
    "day": ("日付", "Day"),
    "description": ("内容", "Description"),
    "seats": ("数量", "Quantity"),
    "unit": ("単価", "Unit price"),
    "fraction": ("期間割合", "Share"),
    "line_exclusive": ("金額(税抜)", "Amount before tax"),
    "line_inclusive": ("金額(税込)", "Amount with tax"),
    "line_untaxed": ("金額", "Amount"),
    "total": ("合計(税込)", "Total with tax"),
    "total_untaxed": ("合計", "Total"),
    "credit": ("クレジット充当", "Paid from credit"),
    "card": ("クレジットカード", "Card"),
    "bank_transfer": ("銀行振込", "Bank transfer"),
    "unnamed": ("―", "–"),
    "not_qualified": (
        "発行者の登録番号がないため、この書類は適格請求書ではありません。",
        "The issuer has no registration number: this document is not a qualified invoice.",
    ),
    "untaxed": (
        "この取引には消費税を計上していません。この書類は適格請求書ではありません。",
        "No consumption tax is charged here: this document is not a qualified invoice.",
    ),
    "exempt": (
        "税込1万円未満の返還のため交付義務はありませんが、控えとして発行しています。",
        "A return under JPY 10,000 with tax needs no return invoice; this one is issued for your records.",
    ),
    "confirms": (
        "請求書 {number} のご入金を証するものです。適格請求書はその請求書です。",
        "This confirms the payment of invoice {number}; the tax document is that invoice.",
    ),
    "corrects": (
        "{number} の一部または全部を返還するものです。元の書類は変更されません。",
        "This takes back all or part of {number}, which itself is not changed.",
    ),
    "grouped": ("明細は日ごとにまとめて表示しています。", "Lines are shown by the day."),
    "rounding": (
        "消費税額は税率ごとの合計に対して一度だけ端数処理しています。",
        "Tax is rounded once, on the total of each rate.",
    ),
    "rules": ("適用した規則", "Rules applied"),
    "chain": ("台帳ハッシュ", "Ledger hash"),
    "page": ("ページ", "Page"),
}


def say(what: str, language: str) -> str:
    """A word of documents in `ja` or `en`."""
    return _WORDS[what][language != "ja"]


def day(text: str, language: str) -> str:
    """A civil day as people of the language write it."""
    when = date.fromisoformat(text)
    return f"{when.year}年{when.month}月{when.day}日" if language == "ja" else text


def title(content: Mapping[str, Any], language: str) -> str:
    """What the document is called."""
    return say(content["kind"], language)


def view(content: Mapping[str, Any], language: str) -> dict[str, Any]:
    """All texts of a document's page, in the order in which the template sets them."""
    money, kind = content["currency"], content["kind"]
    texts = {
        "language": language,
        "title": title(content, language),
        "subtitle": say(f"qualified_{kind}", language) if content["qualified"] else "",
        "facts": _facts(content, language),
        "recipient": _recipient(content, language),
        "issuer": _issuer(content, language),
        "amount_label": say(f"amount_{kind}", language),
        "amount": written(content["amount"], money),
        "columns": _columns(content, language),
        "lines": [_line(line, money, language) for line in content["lines"]],
        "totals": _totals(content, language),
        "notes": _notes(content, language),
        "foot": f"{content['number']}  {say('chain', language)} {content['chain_head'][:16]}",
        "page": say("page", language),
    }
    broken: dict[str, Any] = _broken(texts)
    return broken


def _facts(content: Mapping[str, Any], language: str) -> list[list[str]]:
    since, until = (day(content["supplied"][end], language) for end in ("from", "to"))
    between = " 〜 " if language == "ja" else " to "
    named: list[tuple[str, str | None]] = [
        ("number", content["number"]),
        ("issued", day(content["issued_on"], language)),
        ("original", _original(content, language)),
        ("supplied", since if since == until else f"{since}{between}{until}"),
        ("returned", day(content["issued_on"], language) if content["kind"] == "return_invoice" else None),
        ("due", day(content["due_on"], language) if content["due_on"] else None),
        ("method", say(content["method"], language) if content["method"] else None),
        ("workspace", content["workspace"]["name"]),
    ]
    return [[say(name, language), value] for name, value in named if value]


def _original(content: Mapping[str, Any], language: str) -> str | None:
    original = content["original"]
    return f"{original['number']} ({day(original['issued_on'], language)})" if original else None


def _recipient(content: Mapping[str, Any], language: str) -> list[str]:
    name = content["recipient"].get("name") or say("unnamed", language)
    return [f"{name} 御中" if language == "ja" else name, *_address(content["recipient"])]


def _issuer(content: Mapping[str, Any], language: str) -> list[str]:
    issuer = content["issuer"]
    number, bank = issuer.get("registration_number"), issuer.get("bank_account")
    told = [issuer["name"], *_address(issuer)]
    told += [f"{say('registration', language)}: {number}"] if number else []
    return told + ([f"{say('bank', language)}: {bank}"] if bank and content["kind"] == "invoice" else [])


def _address(party: Mapping[str, Any]) -> list[str]:
    return [line.strip() for line in str(party.get("address") or "").splitlines() if line.strip()]


def _columns(content: Mapping[str, Any], language: str) -> list[str]:
    taxed = content["tax"]["behavior"] if Fraction(content["tax"]["rate"]) else "untaxed"
    names = ("day", "description", "seats", "unit", "fraction", f"line_{taxed}")
    return [say(name, language) for name in names]


def _line(line: Mapping[str, Any], currency: str, language: str) -> list[str]:
    return [
        line["day"],
        line["description"][language],
        f"{line['seats']:,}" if line["seats"] is not None else "",
        written(line["unit_amount"], currency) if line["unit_amount"] is not None else "",
        line["fraction"] if line["fraction"] not in (None, "1") else "",
        written(line["amount"], currency),
    ]


def _totals(content: Mapping[str, Any], language: str) -> list[list[str]]:
    money = content["currency"]
    told, taxed = [], [rate for rate in content["rates"] if Fraction(rate["rate"])]
    for rate in taxed:
        percent = _percent(rate["rate"])
        net, tax = (f"{percent}対象(税抜)", f"消費税({percent})") if language == "ja" else _english(percent)
        told += [[net, written(rate["net"], money)], [tax, written(rate["tax"], money)]]
    told.append([say("total" if taxed else "total_untaxed", language), written(content["total"], money)])
    if content["credit"]:
        told.append([say("credit", language), written(-content["credit"], money)])
        told.append([say(f"amount_{content['kind']}", language), written(content["amount"], money)])
    return told


def _english(percent: str) -> tuple[str, str]:
    return f"Subject to {percent}, before tax", f"Consumption tax ({percent})"


def _percent(rate: str) -> str:
    share = Fraction(rate) * 100
    return f"{share.numerator}%" if share.denominator == 1 else f"{float(share):g}%"


def _notes(content: Mapping[str, Any], language: str) -> list[str]:
    original = content["original"]
    taxed = Fraction(content["tax"]["rate"]) > 0
    confirms = content["kind"] == "receipt" and original
    notes = []
    if confirms:
        notes.append(say("confirms", language).format(number=original["number"]))
    elif not content["qualified"]:
        notes.append(say("not_qualified" if taxed else "untaxed", language))
    if content["kind"] == "return_invoice":
        notes.append(say("corrects", language).format(number=original["number"]))
    notes += [say("exempt", language)] if content["exempt"] else []
    notes += [say("rounding", language)] if taxed else []
    notes += [say("grouped", language)] if content["grouped"] else []
    return notes + ([f"{say('rules', language)}: {', '.join(content['rules'])}"] if content["rules"] else [])


def _broken(value: Any) -> Any:
    """The same texts, with places to break a line in what has none."""
    if isinstance(value, list):
        return [_broken(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _broken(inner) for name, inner in value.items()}
    return _RUN.sub(lambda run: _BREAK.join(run[0]), str(value))
