"""What an answer of the payment endpoint does to a charge. States only move forward by (attempt, rank) (law 6)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.core.facts import Fact, fact_id
from billing.core.settlement import Collected
from billing.store import subscriptions, workspaces
from billing.store.charges import RANK, give_back, pay_back, tax_of
from billing.store.db import Conn, Row, many, one
from billing.store.ledger import Book, flush


@dataclass(frozen=True, slots=True)
class Answer:
    """The endpoint's word on one attempt. `status`: succeeded, pending, failed, or unknown (no word at all)."""

    status: str
    attempt: int
    reference: str | None = None
    failure_code: str | None = None
    retry_in_s: float | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """An answer to one charge. `fencing` is the sender's token: under an older one it is dropped; callbacks carry
    none."""

    workspace_id: str
    charge_id: str
    answer: Answer
    fencing: int | None = None


def book(connection: Conn, workspace_id: str, charge_id: str, answer: Answer, token: int | None = None) -> bool:
    """Move the charge forward by one answer and book what follows; False when it says nothing new."""
    (news,) = book_all(connection, [Word(workspace_id, charge_id, answer, token)])
    return news


def book_all(connection: Conn, words: Iterable[Word]) -> list[bool]:
    """As `book`, for words on different workspaces. Each workspace is locked first and all in the order of their ids,
    as settlement does, so that nobody waits in a circle. Raises NotFoundError."""
    told = sorted(words, key=lambda word: word.workspace_id)
    found = many(
        connection,
        "SELECT asked(workspace, charge) AS told FROM unnest(%s::text[], %s::text[]) AS t(workspace, charge)",
        ([word.workspace_id for word in told], [word.charge_id for word in told]),
    )
    moves = [_move(connection, word, row["told"]) for word, row in zip(told, found, strict=True)]
    flush(connection, [move.posted for move in moves if move])
    for move in moves:
        if move:
            _file(connection, move)
    return [move is not None for move in moves]


@dataclass(frozen=True, slots=True)
class _Move:
    """What one word changes, not written yet."""

    workspace: Row
    charge: Row
    answer: Answer
    posted: Book


def _move(connection: Conn, word: Word, told: Row) -> _Move | None:
    """What follows from a word; None when it says nothing new."""
    workspace, charge, answer = workspaces.read(told["workspace"], word.workspace_id), told["charge"], word.answer
    if charge is None or (word.fencing is not None and charge["token"] != word.fencing):
        return None
    if not _forward(charge, answer):
        _keep_trying(connection, charge, answer, word.fencing)
        return None
    at = moment(workspace, first=not charge["answered"])
    posted = Book.of(workspace, at)
    posted.parts["answer"] = [_moved(charge, answer, at)]
    if answer.status == "succeeded":
        _settle_payment(connection, posted, workspace, charge)
    elif answer.status == "failed" and charge["over"]:
        posted.rechain(workspace["credit"] + give_back(connection, posted, charge["id"], charge["currency"]))
    return _Move(workspace, charge, answer, posted)


def _file(connection: Conn, move: _Move) -> None:
    """File a failure, and a success after one, as a fact. A failure of what is no longer asked for is no debt."""
    charge, answer = move.charge, move.answer
    if answer.status == "failed" or (answer.status == "succeeded" and charge["failed_before"]):
        asks = tax_of(charge).gross(charge["standing"] or 0) > charge["credit"]
        status = "failed" if answer.status == "failed" and asks else "succeeded"
        file_outcome(connection, move.workspace, charge, status, answer.attempt, move.posted.posted_at)


def _forward(charge: Row, answer: Answer) -> bool:
    """Whether an answer is news: later by (attempt, rank). A success of whichever attempt is: only one can succeed."""
    if charge["status"] in _FINAL:
        return False
    if answer.status == "succeeded":
        return True
    known = (charge["attempt"], RANK[charge["status"]])
    return (answer.attempt, RANK[answer.status]) > known


def moment(workspace: Row, *, first: bool) -> datetime:
    """When an outcome happens to a workspace (UTC): its now. By a clock, the `first` word on an attempt comes where the
    workspace had come to when it asked, however far the clock stands (law 4); so does any word while it travels."""
    travels = workspace["due_at"] and workspace["due_at"] <= workspace["now"]
    behind = workspace["clock_id"] and workspace["settled_through"] and (first or travels)
    at: datetime = workspace["settled_through"] if behind else workspace["now"]
    return at


def file_outcome(connection: Conn, workspace: Row, charge: Row, status: str, attempt: int, at: datetime) -> None:
    """File what became of an obligation as a fact: dunning and resumption are read from it (law 6)."""
    obligation = {"subscription": charge["subscription_id"], "n": charge["n"], "purpose": charge["purpose"]}
    obligation |= {"nth": charge["nth"], "attempt": attempt}
    source_id = f"{charge['id']}.{attempt}.{status}"
    fact = Fact(
        id=fact_id(workspace["account_id"], "payment", source_id, 0),
        kind=f"payment.{status}",
        at=at,
        heard_at=at,
        source="payment",
        source_id=source_id,
        seq=len(subscriptions.life(connection, workspace["id"])) + 1,
        data=obligation,
    )
    subscriptions.file(connection, workspace, fact)


#: No later word changes these, whatever attempt it names: the endpoint lets at most one attempt succeed.
_FINAL = ("succeeded", "cancelled")


def _moved(charge: Row, answer: Answer, at: datetime) -> Row:
    """What an answer makes of the charge, and of its attempt."""
    final = answer.status in ("succeeded", "failed")
    return {
        "charge_id": charge["id"],
        "status": answer.status,
        "at": at,
        "reference": answer.reference,
        "retry_in_s": None if final else answer.retry_in_s,
        "n": answer.attempt,
        "posts": charge["tries"],
        "detail": answer.failure_code or answer.detail,
    }


def _keep_trying(connection: Conn, charge: Row, answer: Answer, token: int | None) -> None:
    """An unknown outcome again: nothing moves, but the sender's next try is due later, or never: a person decides."""
    mine = token is not None and answer.attempt == charge["attempt"]
    if mine and charge["status"] not in ("failed", *_FINAL):
        connection.execute(
            """UPDATE charge SET leased_until = NULL, due_at = clock_timestamp() + make_interval(secs => %s::float8)
               WHERE id = %s""",
            (answer.retry_in_s, charge["id"]),
        )


def _settle_payment(connection: Conn, posted: Book, workspace: Row, charge: Row) -> None:
    """Book the payment, then what was taken off the charge since it was sent: collected, it becomes credit (law 2),
    or goes back where a rule says so (TR-26)."""
    posted.move("payment", charge["id"], charge["amount"], charge["currency"])
    over = _over(connection, charge) if charge["over"] else 0
    if over:
        posted.move("credit", charge["id"], over, charge["currency"])
    back = min(over, charge["amount"]) if charge["refund_rule"] else 0
    if back:
        refunds = [Collected(charge["id"], back)]
        pay_back(connection, posted, refunds, charge["currency"], charge["refund_rule"], workspace["collect"])
    posted.rechain(workspace["credit"] + over - back)


def _over(connection: Conn, charge: Row) -> int:
    """What was taken off and is collected all the same, tax included; marked as credited."""
    row = one(
        connection,
        """SELECT sum(amount)::bigint AS lines, sum(reduced)::bigint AS reduced, sum(credited)::bigint AS credited
           FROM charge_line WHERE charge_id = %s""",
        (charge["id"],),
    )
    assert row is not None  # noqa: S101 - a charge has lines
    connection.execute("UPDATE charge_line SET credited = reduced WHERE charge_id = %s", (charge["id"],))
    tax = tax_of(charge)
    taken = tax.gross(row["lines"] - row["credited"]) - tax.gross(row["lines"] - row["reduced"])
    return int(taken - charge["credit_returned"])
