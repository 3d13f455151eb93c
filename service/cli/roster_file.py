"""A full roster from a file: JSON as the API takes it, or CSV. A bad row refuses the whole file."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from billing.core.errors import SekisuError
from service.api.roster import Roster

COLUMNS = ("id", "name", "member", "boards", "state", "role")
#: Of a contract's list of users as Chatwork names its fields; who is in which room it does not say.
CONTRACT_COLUMNS = ("account_id", "name", "role", "state")
#: Fields of such a list that no seat depends on.
PASSED_OVER = frozenset(
    {"chatwork_id", "organization_id", "organization_name", "department", "title", "mail", "email", "avatar_image_url"}
)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class RosterError(SekisuError):
    """The file is no roster. `faults` has one sentence for each fault, with its line."""

    code = "invalid"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def read(path: Path) -> dict[str, Any]:
    """`at` (None: not said), `members` and `boards` (None: not said) of a file, and whether it is a `contract`'s list
    of users, which says nothing of boards. Raises RosterError, OSError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise RosterError([f"{path.name} is not UTF-8 text"]) from fault
    if "\0" in text:
        raise RosterError([f"{path.name} holds a NUL character"])
    if path.suffix.lower() == ".csv":
        return _csv(text)
    return {**_json(text, path.name), "contract": False}


def _json(text: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise RosterError([f"{name} is not JSON: {fault}"]) from fault
    if "\0" in json.dumps(value, ensure_ascii=False) or "\\u0000" in text:
        raise RosterError([f"{name} holds a NUL character"])
    return _loaded(value, {})


def _csv(text: str) -> dict[str, Any]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    contract = False
    members: list[dict[str, Any]] = []
    lines: dict[int, int] = {}
    first: dict[str, int] = {}
    faults: list[str] = []
    try:
        contract = _is_contract(reader.fieldnames or ())
        for row in reader:
            lines[len(members)] = reader.line_num
            try:
                member = _member(row)
                if first.setdefault(member.get("id", ""), reader.line_num) != reader.line_num and "id" in member:
                    raise ValueError(f"{member['id']} is listed twice, first on line {first[member['id']]}")
            except ValueError as fault:
                faults.append(f"line {reader.line_num}: {fault}")
                member = {"id": f"\0{reader.line_num}"}  # keeps the numbers of the others
            members.append(member)
    except csv.Error as fault:
        raise RosterError([f"line {reader.line_num}: {fault}"]) from fault
    if not members:
        raise RosterError(["line 2: nobody is listed; a list without people would remove everybody (JSON can say so)"])
    return {**_loaded({"members": members}, lines, faults), "contract": contract}


def _is_contract(names: Sequence[str]) -> bool:
    """Whether this is a contract's list of users. Raises RosterError when the columns fit neither kind of list."""
    contract = "account_id" in names
    allowed = {*CONTRACT_COLUMNS, *PASSED_OVER} if contract else {*COLUMNS}
    if not {"id", "account_id"} & {*names} or not allowed.issuperset(names) or len(set(names)) != len(names):
        ways = f"id and any of {', '.join(COLUMNS[1:])}; or account_id and any of {', '.join(CONTRACT_COLUMNS[1:])}"
        raise RosterError([f"line 1: the columns must be {ways}, each once"])
    return contract


def _member(row: Mapping[Any, Any]) -> dict[str, Any]:
    if None in row or None in row.values():
        raise ValueError("it has not as many values as there are columns")
    said = {name: value.strip() for name, value in row.items() if value.strip() and name not in PASSED_OVER}
    if "account_id" in said:
        said["id"] = said.pop("account_id")
    if "member" in said:
        if said["member"].lower() not in _FLAGS:
            raise ValueError(f"member must be true or false, not {said['member']!r}")
        said["member"] = _FLAGS[said["member"].lower()]
    if "boards" in said:
        said["boards"] = [board.strip() for board in said["boards"].split(";") if board.strip()]
    return said


def _loaded(value: Any, lines: Mapping[int, int], faults: list[str] | None = None) -> dict[str, Any]:
    """What the API's own schema says of it."""
    told = list(faults or ())
    try:
        roster: dict[str, Any] = Roster().load(value)
    except ValidationError as fault:
        told += [_sentence(path, message, lines) for path, message in _messages(fault.messages, ())]
    if told:
        raise RosterError(told)
    return roster


def _messages(found: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(found, Mapping):
        for name, inner in found.items():
            yield from _messages(inner, (*path, name))
    else:
        yield from ((path, message) for message in found)


def _sentence(path: tuple[Any, ...], message: str, lines: Mapping[int, int]) -> str:
    if lines and len(path) > 1 and path[1] in lines:
        return f"line {lines[path[1]]}: {'.'.join(map(str, path[2:]))}: {message}"
    return f"{'.'.join(map(str, path))}: {message}"
