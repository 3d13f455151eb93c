"""Documents converge to charges as the ledger converges to the statement: what is due and not there is issued.

The first document of a charge is an invoice when it is opened (bank transfer) or a receipt when it is captured (card,
XX-12, BL-21, BL-22). What was taken back since, and is not documented, becomes a return invoice (XX-13, B-33). Rows
are never changed, numbers have no gaps: both under the workspace's row lock.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from billing.core import calendar
from billing.core.documents import (
    DocumentError,
    Head,
    Item,
    Kind,
    compose,
    is_exempt,
    kind_for,
    language_for,
    number_of,
    totals,
)
from billing.core.errors import ConflictError, SekisuError
from billing.core.money import CurrencyMismatchError
from billing.core.tax import Tax
from billing.store import accounts, books, documents, mail, workspaces
from billing.store.db import Conn, Database, Row, savepoint
from workers import mailing

_LOG = logging.getLogger("sekisu.documents")


@dataclass(frozen=True, slots=True)
class _Office:
    """Who issues to whom, as it stands now: a locked workspace and its account."""

    workspace: Row
    account: Row

    @property
    def issuer(self) -> dict[str, Any]:
        return {"name": self.account["name"], **self.account["issuer"]}

    @property
    def recipient(self) -> dict[str, Any]:
        return {"name": self.workspace["name"], **self.account["recipient"]}


def sweep(database: Database, most: int = 100) -> int:
    """Issue what is due in up to `most` workspaces; answers how many documents were issued. Raises UnavailableError."""
    with database.reading() as connection:
        found = documents.workspaces_due(connection, most)
    issued = 0
    for workspace_id in found:
        with database.transaction("documents.issue") as connection:
            issued += len(issue_due(connection, workspace_id))
    return issued


def issue_due(connection: Conn, workspace_id: str) -> list[str]:
    """Issue every document that is due in the workspace and not there yet; answers their ids. Again: none.

    Locks the workspace's row, unless nothing is due. Raises NotFoundError for an unknown workspace. A charge that a
    document would contradict is left to a person, with an alarm.
    """
    if not documents.any_due(connection, workspace_id):
        return []
    office = _office(connection, workspace_id)
    issued: list[str] = []
    done = []
    for charge in documents.charges_due(connection, workspace_id):
        if charge["status"] == "held" and charge["held_reason"] != "shadow":
            continue  # it may still be sent; then its document is due
        try:
            with savepoint(connection):
                made = _converge(connection, office, charge)
        except (SekisuError, CurrencyMismatchError) as fault:
            _LOG.error("charge %s: no document is issued: %s", charge["id"], fault)
            mail.alarm(connection, workspace_id, "document", f"charge {charge['id']}: {fault}")
            made = []
        issued += made
        done.append(charge["id"])
    documents.unflag(connection, done)
    return issued


def receipt(connection: Conn, account_id: str | None, charge_id: str) -> str:
    """The receipt of a paid charge, issued now if there is none (a bank transfer's, on request: A-20); its id.

    Raises NotFoundError, and ConflictError when the charge is not paid.
    """
    charge = books.charge(connection, account_id, charge_id)
    issue_due(connection, charge["workspace_id"])
    office = _office(connection, charge["workspace_id"])
    there = documents.of_charge(connection, charge_id)
    if "receipt" in there:
        return str(there["receipt"]["id"])
    if charge["status"] != "succeeded":
        raise ConflictError(f"charge {charge_id} is {charge['status']}; a receipt is for what was paid")
    invoice = there.get("invoice")
    if invoice is None:
        raise ConflictError(f"charge {charge_id} has no document that a receipt could be for")
    rows = documents.lines(connection, charge_id)
    items = [_item(row, row["asked"], office) for row in rows if row["asked"]]
    return _issue(connection, office, charge, "receipt", rows, items, original=invoice, keys=())


def send(connection: Conn, document: Row, key: str, contact: Mapping[str, Any]) -> str:
    """Queue a mail with the document to `contact` (email, name?, language?); answers the mail's id."""
    subject, body = mailing.letter(document["content"], contact)
    return mailing.queue(
        connection,
        document["workspace_id"],
        "document",
        subject,
        body,
        str(contact["email"]),
        attachment_document=document["id"],
        key=key,
    )


def _office(connection: Conn, workspace_id: str) -> _Office:
    workspace = workspaces.locked(connection, workspace_id)
    return _Office(workspace, accounts.get(connection, workspace["account_id"]))


def _converge(connection: Conn, office: _Office, charge: Row) -> list[str]:
    """Issue what one charge lacks: its first document, then a return invoice for what was taken back since."""
    if charge["status"] == "held":
        return []  # shadow: nobody will ever be asked for it
    there = documents.of_charge(connection, charge["id"])
    first = there.get("invoice") or there.get("receipt")
    issued = []
    rows = documents.lines(connection, charge["id"])
    if first is None:
        made = _first(connection, office, charge, rows)
        if made is None:
            return []
        issued.append(made)
        if all(row["left"] == row["asked"] for row in rows):
            return issued
        first = documents.get(connection, None, made)
        rows = documents.lines(connection, charge["id"])
    returned = _return(connection, office, charge, first, rows)
    return issued + ([returned] if returned else [])


def _first(connection: Conn, office: _Office, charge: Row, rows: Sequence[Row]) -> str | None:
    """The invoice of an open charge, the receipt of a captured one; None when it is not time, or nothing is asked."""
    kind = kind_for(charge["method"])
    if charge["status"] == "cancelled" or (kind == "receipt" and charge["status"] != "succeeded"):
        return None
    asked = [row for row in rows if row["asked"]]
    if not asked:
        return None
    items = [_item(row, row["asked"], office) for row in asked]
    return _issue(connection, office, charge, kind, rows, items, keys=[(item.key, item.amount) for item in items])


def _return(connection: Conn, office: _Office, charge: Row, first: Row, rows: Sequence[Row]) -> str | None:
    """A return invoice for exactly what was taken back and is not documented; None when that is nothing."""
    items = [_item(row, row["left"] - row["documented"], office) for row in rows if row["left"] != row["documented"]]
    taken, before = sum(item.amount for item in items), sum(row["documented"] for row in rows)
    if taken >= 0:
        return None
    small = is_exempt(charge["currency"], totals(_tax(first), taken, before)["gross"])
    if small and not office.account["issuer"].get("small_returns", True):
        return None
    keys = [(item.key, item.amount) for item in items]
    return _issue(connection, office, charge, "return_invoice", rows, items, original=first, keys=keys, before=before)


def _issue(
    connection: Conn,
    office: _Office,
    charge: Row,
    kind: Kind,
    rows: Sequence[Row],
    items: Sequence[Item],
    *,
    keys: Sequence[tuple[str, int]],
    original: Row | None = None,
    before: int = 0,
) -> str:
    workspace = office.workspace
    contact = workspace["billing_contact"]
    seq, issued_at = _place(connection, workspace, charge, kind)
    head = Head(
        kind=kind,
        number=number_of(kind, workspace["id"], seq),
        issued_at=issued_at,
        zone=workspace["time_zone"],
        currency=charge["currency"],
        language=language_for(charge["currency"], contact),
        issuer=office.issuer,
        recipient=office.recipient,
        workspace={"id": workspace["id"], "name": workspace["name"], "tool": workspace["tool"]},
        charge_id=charge["id"],
        method=charge["method"],
        supplied=_supplied(office, rows),
        tax=_tax(original) if original else Tax(charge["tax_rate"], charge["tax_behavior"], charge["tax_rounding"]),
        chain_head=bytes(workspace["chain_head"]).hex(),
        due_on=charge["due_on"] if kind == "invoice" else None,
        original=_named(original) if original else None,
    )
    credit = charge["credit"] if kind != "return_invoice" else 0
    content = compose(head, items, before=before, credit=credit)
    if kind != "return_invoice" and content["amount"] != charge["amount"]:
        raise DocumentError(f"the lines come to {content['amount']}, but {charge['amount']} is asked")
    document_id = documents.insert(connection, workspace["id"], seq, issued_at, content, keys)
    if contact and contact.get("email"):
        send(connection, documents.get(connection, None, document_id), f"document:{document_id}", contact)
    return document_id


def _place(connection: Conn, workspace: Row, charge: Row, kind: Kind) -> tuple[int, datetime]:
    """The next count of the series, and the instant of issue: never before that of the number before.

    Under a test clock an invoice bears the instant at which its charge was opened, however far the clock was moved.
    """
    last, last_at = documents.last(connection, workspace["id"], kind)
    now: datetime = workspace["now"]
    at = charge["created_at"] if workspace["clock_id"] is not None and kind == "invoice" else now
    if kind == "receipt" and charge["collected_at"] is not None:
        at = charge["collected_at"]
    return last + 1, max(at, last_at) if last_at else at


def _supplied(office: _Office, rows: Sequence[Row]) -> tuple[Any, Any]:
    """The first and the last day of what the lines, at least one, are for, in the workspace's zone."""
    zone = office.workspace["time_zone"]
    days = [calendar.local_date(row["instant"], zone) for row in rows]
    ends = [calendar.local_date(row["ends_at"], zone) - timedelta(days=1) for row in rows if row["ends_at"]]
    return min(days), max([*days, *ends])


def _item(row: Row, amount: int, office: _Office) -> Item:
    return Item(
        key=row["key"],
        kind=row["kind"],
        day=calendar.local_date(row["instant"], office.workspace["time_zone"]),
        plan=row["plan"],
        seats=row["seats"],
        unit_amount=row["unit_amount"],
        fraction=Fraction(row["fraction"]),
        amount=amount,
        currency=row["currency"],
        rules=tuple(row["rules"]),
        part=amount != row["line_amount"],
    )


def _tax(document: Row) -> Tax:
    """The tax of an earlier document: that of its return is taken from it."""
    return Tax(**document["content"]["tax"])


def _named(document: Row) -> dict[str, Any]:
    content = document["content"]
    return {
        "id": document["id"],
        "number": document["number"],
        "issued_on": content["issued_on"],
        "qualified": content["qualified"],
    }
