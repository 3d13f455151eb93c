"""Tells a story step by step: what was expected, what came, and every difference between the two."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from billing.core import calendar
from billing.core.money import written
from service.cli.client import AnswerError
from service.cli.stage import Scene, Stage
from service.cli.story import Paper, Part, Step, Story

Echo = Callable[[str], object]

#: Columns of the table: their width, and whether they stand at the right.
_COLUMNS = ((10, False), (8, False), (33, False), (25, False), (9, True), (8, True), (6, True), (8, True))
_GAPS = ("  ", "  ", "  ", "  ", " ", " ", "  ", "")
_HEAD = ("", "", "", "billable or free,", "seats", "", "", "")
_SECOND_HEAD = ("when", "who", "event", "and why; or state", "purchased", "occupied", "vacant", "charge")
WIDTH = sum(width for width, _ in _COLUMNS) + sum(map(len, _GAPS))
_STANDINGS = {"billable TR-01": "billable, member (TR-01)", "free TR-19": "free, deactivated (TR-19)"}
#: What no payment endpoint was asked for.
_UNSENT = ("held", "cancelled")
_PAPERS = {
    "invoice": "請求書 (invoice)",
    "receipt": "領収書 (receipt)",
    "return_invoice": "返還請求書 (return invoice)",
}


def tell(story: Story, stage: Stage, echo: Echo) -> list[str]:
    """Play and print every part on the stage; answers everything that is not as the rules say. Raises SekisuError."""
    return [fault for part in story.parts for fault in _Telling(part, stage, echo).play()]


class _Telling:
    """One part, played in a workspace of its own."""

    def __init__(self, part: Part, stage: Stage, echo: Echo) -> None:
        self._part, self._echo = part, echo
        self._scene = Scene(stage, part.tool, part.name, part.start, part.time_zone)
        self._seen: dict[str, int] = {"charges": 0, "refunds": 0, "documents": 0}

    def play(self) -> list[str]:
        self._echo(f"\n{self._part.title}\n")
        for line in (_row(_HEAD), _row(_SECOND_HEAD), "-" * WIDTH):
            self._echo(line)
        faults = [fault for step in self._part.steps for fault in self._step(step)]
        if any(step.inferred for step in self._part.steps):
            self._echo("\n* the shape of this webhook is inferred: nobody has published one")
        self._ledgers()
        if not faults:
            amounts = ", ".join(str(step.charged) for step in self._part.steps if step.seats[0] or step.charged)
            self._echo(f"  Every number is as the rules say; in minor units, step by step: {amounts or 0}")
        self._explanation()
        return faults

    def _step(self, step: Step) -> Iterator[str]:
        refusal = self._act(step)
        charges, refunds, papers = (self._new(what) for what in ("charges", "refunds", "documents"))
        seats = self._scene.of("seats")
        found = {
            "refusal": refusal.rule if refusal else "",
            "standing": step.look(self._scene),
            "seats": (seats["purchased"], seats["occupied"], seats["vacant"]),
            "charge": sum(charge["amount"] for charge in charges),
            "tax": sum(charge["tax"] for charge in charges),
            "refund": sum(refund["amount"] for refund in refunds),
            "documents": tuple(Paper(row["kind"], row["amount"], row["tax"], row["due_on"]) for row in papers),
        }
        wanted = {
            "refusal": step.refused,
            "standing": step.stands,
            "seats": step.seats,
            "charge": step.charged,
            "tax": step.tax,
            "refund": step.refunded,
            "documents": step.papers,
        }
        self._show(step, found, refusal, papers)
        where = f"{self._day(step.at)} {step.who}, {step.event}"
        for name, value in wanted.items():
            if found[name] != value:
                yield f"{where}: {name} is {found[name]}, the rules say {value}"
        yield from (f"{where}: {fault}" for fault in self._book())

    def _act(self, step: Step) -> AnswerError | None:
        """Let the step happen and come to rest; answers the refusal of a command, if a rule refused it."""
        if step.at > self._scene.now:
            self._scene.advance(step.at)
        try:
            step.act(self._scene)
        except AnswerError as error:
            if not error.rule:
                raise
            return error
        return None

    def _new(self, what: str) -> list[dict[str, Any]]:
        """The rows of a list that came with this step."""
        rows = self._scene.rows(what)
        new, self._seen[what] = rows[self._seen[what] :], len(rows)
        return new

    def _day(self, instant: datetime) -> str:
        return str(calendar.local_date(instant, self._part.time_zone))

    def _show(
        self, step: Step, found: Mapping[str, Any], refusal: AnswerError | None, papers: Sequence[Mapping[str, Any]]
    ) -> None:
        standing = _STANDINGS.get(found["standing"], found["standing"])
        event = step.event + (" *" if step.inferred else "")
        charge = self._money(found["charge"])
        self._echo(_row((self._day(step.at), step.who, event, standing, *map(str, found["seats"]), charge)))
        told = [step.why]
        if refusal:
            told.append(f"refused by {refusal.rule}: {refusal.detail}")
        if found["tax"]:
            told.append(f"of it consumption tax 消費税 {self._money(found['tax'])}")
        if found["refund"]:
            told.append(f"paid back: {self._money(found['refund'])}")
        told += [self._paper(row) for row in papers]
        for line in told:
            self._echo(f"{'':<12}{line}")

    def _paper(self, row: Mapping[str, Any]) -> str:
        """Download one document, which must be the PDF that the list tells of."""
        size = len(self._scene.download(row))
        amount = self._money(row["amount"])
        return f"{_PAPERS[row['kind']]} {row['number']}: {amount} (a PDF of {size:,} bytes, its sha256 as listed)"

    def _money(self, amount: int) -> str:
        return written(amount, self._part.currency)

    def _book(self) -> Iterator[str]:
        """Compare the payment endpoint's own book with our charges and refunds; yields every difference."""
        book = self._scene.book()
        for kind, name in (("charges", "charge_id"), ("refunds", "refund_id")):
            ours = {row["id"]: row for row in self._scene.rows(kind) if row["amount"] and row["status"] not in _UNSENT}
            theirs = {row[name]: row for row in book[kind]}
            yield from (f"the book lacks our {kind[:-1]} {one}" for one in ours if one not in theirs)
            yield from (f"the book has a {kind[:-1]} {one} that is not ours" for one in theirs if one not in ours)
            for one in ours.keys() & theirs.keys():
                row, told = ours[one], theirs[one]
                had = (row["status"], row["currency"], row["amount"], 1)
                if had != (told["status"], told["currency"], told["amount"], len(told["keys"])):
                    yield f"the book has {told}, we have {row['amount']} {row['status']}"

    def _ledgers(self) -> None:
        """Show the payment endpoint's own book beside our charges."""
        book, charges = self._scene.book(), self._scene.rows("charges")
        self._echo("\nThe payment endpoint's own book:")
        for row in book["charges"]:
            self._echo(f"  {row['charge_id']}  {self._money(row['amount']):>8}  {row['status']}")
        for row in book["refunds"]:
            self._echo(f"  {row['refund_id']}  {self._money(-row['amount']):>8}  {row['status']} (refund)")
        asked, collected = (sum(row["amount"] for row in rows) for rows in (charges, book["charges"]))
        count = "1 charge" if len(book["charges"]) == 1 else f"{len(book['charges'])} charges"
        told = f"{count}, {self._money(collected)} in all; ours sum to {self._money(asked)}"
        back = sum(row["amount"] for row in book["refunds"])
        self._echo(f"  {told}" + (f"; {self._money(back)} was paid back" if back else ""))

    def _explanation(self) -> None:
        """Why a line costs what it does, as the API explains it."""
        found = [entry for entry in self._scene.rows("ledger") if entry["kind"] == self._part.explain]
        if not found:
            return
        told = self._scene.ask_why(found[0]["entry_id"])
        self._echo(f"\nWhy {self._money(told['amount'])}? (ledger entry {told['entry_id']})")
        self._echo(click.wrap_text(told["text"]["en"], WIDTH, "  ", "  "))
        self._echo(f"  {told['text']['ja']}")


def _row(cells: Sequence[str]) -> str:
    """A row of the table; a Japanese character is two columns wide."""
    shown = []
    for cell, (width, right), gap in zip(cells, _COLUMNS, _GAPS, strict=True):
        blank = " " * (width - sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in cell))
        shown.append((blank + cell if right else cell + blank) + gap)
    return "".join(shown).rstrip()
