"""Plan files: those that ship with each room and those of the operator's own directory. A bad one is refused whole."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from billing.store.planschema import FileBlock
from billing.store.planyaml import Document, Part, PlanFileError, parse

#: A plan as `PlanBlock` reads it, with `where` it stands.
Plan = dict[str, Any]
#: An option is kept among the plans, under this prefix: its prices are dated and append-only like theirs.
OPTION = "option:"
#: The interval of an option's price, and of an option that has none.
ONCE, UNPRICED = "once", "unpriced"

_TOOLS = Path(__file__).parent.parent / "tools"
_ENDINGS = (".yaml", ".yml")
_MAX_BYTES = 1_000_000
_SINCE = date(2017, 1, 1)


@dataclass(frozen=True, slots=True)
class Found:
    """What files say: plans and one-off options, in their order, and the files' names."""

    plans: tuple[Plan, ...] = ()
    options: tuple[Plan, ...] = ()
    files: tuple[str, ...] = ()


def shipped() -> list[Plan]:
    """Every plan that a room brings along, and the options as plans of their own. Raises PlanFileError."""
    found = _shipped()
    return [*found.plans, *map(_as_plan, found.options)]


def wanted(folder: Path | None) -> list[Plan]:
    """What `shipped` answers, and the plans and options of the operator's directory, which need not be there.

    Raises PlanFileError with every fault of every file: one bad file, and nothing of the directory is taken.
    """
    return joined(own(folder)) if folder is not None and folder.is_dir() else shipped()


def own(path: Path) -> Found:
    """The operator's file, or every `.yaml` and `.yml` of a directory. Raises PlanFileError with every fault."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _ENDINGS and not file.name.startswith("."))
    else:
        files = [path]
    return _all((file, str(file)) for file in files)


def joined(mine: Found) -> list[Plan]:
    """The shipped plans and the operator's. Raises PlanFileError when a shipped one, or one twice, is defined."""
    base = _shipped()
    options = {option["option"]: option for option in base.options}
    faults = list(_defined_again(mine, base))
    if faults:
        raise PlanFileError(faults)
    for option in mine.options:
        options[option["option"]] = {**options.get(option["option"], {}), **option}
    return [*base.plans, *mine.plans, *map(_as_plan, options.values())]


def read(text: str, name: str) -> Found:
    """The plans and options of one file. Raises PlanFileError naming file, line and reason of every fault."""
    document = parse(text, name)
    try:
        data = FileBlock().load(document.data)
    except ValidationError as refused:
        places = sorted(_faults(refused.messages), key=lambda one: document.line(one[0]))
        raise PlanFileError([document.fault(path, reason) for path, reason in places]) from refused
    return Found(_placed(document, data, "plans"), _placed(document, data, "options"), (name,))


def warnings(plans: Iterable[Mapping[str, Any]]) -> list[str]:
    """Plans sold by the month and by the year whose newest yearly price is no cheaper than twelve months (TR-23)."""
    told = []
    for plan in plans:
        newest = {price["interval"]: price for price in sorted(plan["prices"], key=lambda price: price["valid_from"])}
        if plan.get("rank") and {"month", "year"} <= set(newest):
            month, year = newest["month"]["unit_amount"], newest["year"]["unit_amount"]
            if 12 * month <= year:
                told.append(
                    f"{plan['where']}: {plan['plan']}: twelve months are {12 * month}, a year is {year} (TR-23)"
                )
    return told


def _shipped() -> Found:
    return _all((file, f"{file.parent.name}/{file.name}") for file in sorted(_TOOLS.glob("*/plans.yaml")))


def _all(files: Iterable[tuple[Path, str]]) -> Found:
    found: list[Found] = []
    faults: list[str] = []
    for file, name in files:
        try:
            found.append(read(_text(file, name), name))
        except PlanFileError as fault:
            faults += fault.faults
    if faults:
        raise PlanFileError(faults)
    return Found(
        tuple(plan for one in found for plan in one.plans),
        tuple(option for one in found for option in one.options),
        tuple(name for one in found for name in one.files),
    )


def _text(file: Path, name: str) -> str:
    try:
        raw = file.read_bytes()
        if len(raw) > _MAX_BYTES:
            raise PlanFileError([f"{name}:1: longer than {_MAX_BYTES:,} bytes"])
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = fault.object.count(b"\n", 0, fault.start) + 1
        raise PlanFileError([f"{name}:{line}: not UTF-8 text"]) from fault
    except OSError as fault:
        raise PlanFileError([f"{name}:1: cannot be read ({fault.strerror})"]) from fault


def _placed(document: Document, data: Mapping[str, Any], group: str) -> tuple[Plan, ...]:
    return tuple(
        {**block, "where": f"{document.name}:{document.line((group, n))}"} for n, block in enumerate(data[group])
    )


def _faults(messages: Any, path: tuple[Part, ...] = ()) -> Iterator[tuple[tuple[Part, ...], str]]:
    """The reasons in marshmallow's tree of messages, each with its way to the value."""
    if isinstance(messages, Mapping):
        for part, inner in messages.items():
            # `key` and `value` (of a table's entry) and `_schema` are marshmallow's words, not the file's.
            yield from _faults(inner, path if part in ("key", "value", "_schema") else (*path, part))
    else:
        for reason in messages if isinstance(messages, list) else [messages]:
            yield path, str(reason)


def _defined_again(mine: Found, base: Found) -> Iterator[str]:
    taken = {plan["plan"]: plan["where"] for plan in base.plans}
    for plan in mine.plans:
        if plan["plan"] in taken:
            yield f"{plan['where']}: plan: {plan['plan']} is defined in {taken[plan['plan']]}; give yours another id"
        taken[plan["plan"]] = plan["where"]
    # A price that the vendor does not publish is the operator's to set (BL-28); one that stands is not.
    fixed = {option["option"]: option["where"] for option in base.options if option["unit_amount"] is not None}
    for option in mine.options:
        if option["option"] in fixed:
            yield f"{option['where']}: option: {option['option']} has its price in {fixed[option['option']]}"
        fixed[option["option"]] = option["where"]


def _as_plan(option: Plan) -> Plan:
    """An option as a plan that is sold once."""
    amount = option["unit_amount"]
    price = {
        "interval": UNPRICED if amount is None else ONCE,
        "valid_from": option.get("valid_from", _SINCE),
        "unit_amount": amount or 0,
        "grade": option["grade"],
        "source": option["source"],
    }
    named: Plan = {
        key: option[key] for key in ("tax_behavior", "tax_rate", "tax_rounding", "line_rules") if key in option
    }
    return {
        **named,
        "plan": f"{OPTION}{option['option']}",
        "where": option["where"],
        "shape": "flat",
        "currency": option["currency"],
        "proration": "actual_days",
        "rounding": "floor",
        "features": option.get("items", []),
        "rules": {"intervals": [price["interval"]]},
        "prices": [price],
    }
