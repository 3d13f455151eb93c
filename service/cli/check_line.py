"""Checks one line that Sekisu billed, without Sekisu: this file, the standard library, no network.

    sekisu explain ENTRY --export line.json     somebody writes out the line and every fact of its workspace
    python3 check_line.py line.json             you recompute it: exit code 0 when it comes out, 1 when it does not
    python3 check_line.py line.json --head 0123456789abcdef      and find the chain head that is printed on a document

It counts the seats again from the first day, prices what is left of the period in exact fractions, and walks the
ledger's chain. It takes from the file, not from the facts, the pinned prices and when periods ran.
"""

import argparse
import calendar
import hashlib
import json
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

Data = Mapping[str, Any]
Steps = Sequence[tuple[datetime, int]]

#: Facts older than this when they were heard move money only from the first instant inside it.
WINDOW = timedelta(days=400)
#: Of one instant, arrivals come before departures, and commands and payments after both.
ARRIVALS = "board.attached board.reopened board.member_added member.joined member.reactivated member.invited"
DEPARTURES = "member.role_changed board.detached board.closed board.member_removed member.left member.deactivated"
TURN = {kind: turn for turn, kind in enumerate(f"{ARRIVALS} {DEPARTURES}".split())}
#: Which question a fact answers: one that was only seen in a list gives way to a genuine one that answers it alike.
ASKS = {"joined": "in", "left": "in", "invited": "in", "deactivated": "active", "reactivated": "active"}
ASKS |= {"member_added": "on", "member_removed": "on", "attached": "owner", "detached": "owner", "reopened": "closed"}
BOUGHT = ("period", "seats_added", "licences_added", "licences_bought")
#: What of an export names the fact it rests on.
LISTS = ("periods", "grants", "switches", "cuts", "suspensions", "voids")
SIGNS = {"licences.added": 1, "licences.removed": -1}
FORMAT, NEVER = "sekisu-line/1", "9999-01-01T00:00:00+00:00"


class WrongError(Exception):
    """Something does not come out."""


def must(right: bool, fault: str) -> None:
    """Go on only if it is right."""
    if not right:
        raise WrongError(fault)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def moved(day: date, months: int) -> date:
    """A day, whole months later; the last of its month where that is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


class Period:
    """The k-th run of so many months, counted from its anchor, in the days of a time zone."""

    def __init__(self, told: Data, zone: str) -> None:
        self.zone = UTC if zone == "UTC" else ZoneInfo(zone)
        self.anchor, self.months, self.k = date.fromisoformat(told["anchor"]), told["months"], told["k"]
        self.first, self.last = (moved(self.anchor, self.months * k) for k in (self.k, self.k + 1))

    def begins(self, day: date) -> datetime:
        """The first instant of a day; clocks may jump over its midnight."""
        at = datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)
        while at.astimezone(self.zone).date() < day:
            at += timedelta(minutes=1)
        return at

    def share(self, method: str, at: datetime) -> Fraction:
        """The share left from an instant on: its day is counted, the day of the renewal is not."""
        day = at.astimezone(self.zone).date()
        must(self.first <= day < self.last, f"{day} is no day of the period from {self.first} to {self.last}")
        if method == "actual_days":
            return Fraction((self.last - day).days, (self.last - self.first).days)
        if method == "thirty_360":
            return Fraction(self.days_of_30(day), 30 * self.months)
        if method == "months_days":  # whole months, and of the running one its days left
            gone = self.months * self.k
            while moved(self.anchor, gone + 1) <= day:
                gone += 1
            this, following = moved(self.anchor, gone), moved(self.anchor, gone + 1)
            left = Fraction((following - day).days, (following - this).days)
            return Fraction(self.months * (self.k + 1) - gone - 1 + left, self.months)
        start, end, tick = self.begins(self.first), self.begins(self.last), timedelta(microseconds=1)
        return Fraction((end - at) // tick, (end - start) // tick)

    def days_of_30(self, day: date) -> int:
        """Days left when every month has 30, a whole period from its first day on."""
        a, end, whole = min(day.day, 30), self.last, 30 * self.months
        b = 30 if end.day == 31 and a == 30 else end.day
        left = 360 * (end.year - day.year) + 30 * (end.month - day.month) + b - a
        return whole if day == self.first or left > whole else left


def rounded(exact: Fraction, how: str) -> int:
    """To whole minor units, on the magnitude: `floor` goes towards zero."""
    low, rest, half = abs(exact) // 1, abs(exact) % 1, Fraction(1, 2)
    ups = {"floor": False, "ceil": rest > 0, "half_up": rest >= half, "half_even": (rest, low % 2) > (half, 0)}
    return int(low + ups[how]) * (1 if exact >= 0 else -1)


def place(fact: Data) -> tuple[Any, ...]:
    """Where a fact stands among all."""
    return instant(fact["at"]), fact["seq"] or 0, TURN.get(fact["kind"], 99), fact["source_id"], fact["ordinal"]


def genuine(facts: Sequence[Data]) -> list[Data]:
    """Without what a list showed where somebody told it as well."""
    told, replaced = defaultdict[tuple[Any, ...], list[Data]](list), set()
    for fact in facts:
        room, _, word = fact["kind"].partition(".")
        about = (ASKS.get(word, word), fact["member"], fact["board"] if room == "board" else None)
        told[*about, fact["source_id"] if fact["data"].get("observed") else None].append(fact)
    for key in [key for key in told if key[-1] is not None]:
        last = max(told[key], key=place)
        since, until = (instant(last["data"]["observed"][end]) for end in ("from", "to"))
        same = ("kind", "workspace") if last["kind"] == "board.attached" else ("kind",)
        heard = [one for one in told.get((*key[:-1], None), ()) if since < instant(one["at"]) <= until]
        if heard and all(max(heard, key=place)[name] == last[name] for name in same):
            replaced |= {one["id"] for one in told[key]}
    return [fact for fact in facts if fact["id"] not in replaced]


class Roster:
    """People, boards and who sits where, fact by fact."""

    def __init__(self, workspace: str, facts: Sequence[Data]) -> None:
        self.workspace = workspace
        self.standing, self.on = dict[str, str](), defaultdict[str, set[str]](set)
        self.off, self.shut = set[str](), set[str]()
        self.owner: dict[str, str | None] = {}
        for fact in facts:  # before a board was ever attached it was whose its first delivery showed
            if fact["kind"] in ("board.attached", "board.detached"):
                self.owner.setdefault(fact["board"], None)
            elif fact["board"] and fact["owner"] is not None:
                self.owner.setdefault(fact["board"], fact["owner"])

    def take(self, fact: Data) -> None:
        kind, who, board = fact["kind"], fact["member"], fact["board"]
        if kind in ("member.joined", "member.left"):
            self.standing[who] = "member" if kind == "member.joined" else ""
        elif kind == "member.invited" and not self.standing.get(who):
            if not self.on[who] or fact["data"].get("unconfirmed"):
                self.standing[who] = "invited"
        elif kind in ("member.deactivated", "board.closed"):
            (self.off.add(who) if who else self.shut.add(board))
        elif kind in ("member.reactivated", "board.reopened"):
            (self.off.discard(who) if who else self.shut.discard(board))
        elif kind in ("board.member_added", "board.member_removed"):
            (self.on[who].add if kind == "board.member_added" else self.on[who].discard)(board)
        elif kind == "board.attached":
            self.owner[board] = fact["workspace"]
        elif kind == "board.detached" and fact["workspace"] in (None, self.owner.get(board)):
            self.owner[board] = None

    def occupied(self, policy: Data) -> int:
        """Everybody who takes a seat: members, and guests of two boards or more; some plans count otherwise."""
        return sum(self.sits(who, policy) for who in (self.standing.keys() | self.on.keys()) - self.off)

    def sits(self, who: str, policy: Data) -> bool:
        if standing := self.standing.get(who):
            return standing == "member" or policy["pending_count"]
        mine = {board for board in self.on[who] if self.owner.get(board) == self.workspace}
        return len(mine if policy["closed_boards_count"] else mine - self.shut) >= 2 and not policy["guests_free"]


def occupancy(export: Data) -> Steps:
    """How many seats are taken from each instant on, counted again from the first fact."""
    allowed = {name for one in export["facts"] if one["kind"] == "late.accepted" for name in one["data"]["facts"]}
    facts = sorted(genuine([one for one in export["facts"] if one["kind"] in TURN]), key=place)
    seen = {one["id"]: instant(one["at"]) for one in facts}
    seen |= {f["id"]: max(seen[f["id"]], instant(f["heard_at"]) - WINDOW) for f in facts if f["id"] not in allowed}
    turns = [(datetime.min.replace(tzinfo=UTC), export["policy"])]
    turns += [(instant(one["billed_at"]), one["terms"]) for one in export["periods"]]
    turns += [(instant(one["at"]), one["terms"]) for one in export["switches"]]
    turns.sort(key=lambda turn: turn[0])
    roster = Roster(export["external_id"], [one for one in facts if seen[one["id"]] == instant(one["at"])])
    arrived, steps = defaultdict[datetime, list[Data]](list), []
    for fact in facts:
        arrived[seen[fact["id"]]].append(fact)
    for at in sorted({*arrived, *(turn for turn, _ in turns)}):
        new = arrived[at]
        if any(instant(fact["at"]) < at for fact in new):  # older than the window: all from the start again
            roster = Roster(export["external_id"], [f for f in facts if seen[f["id"]] <= max(at, instant(f["at"]))])
            new = [fact for fact in facts if seen[fact["id"]] <= at]
        for fact in new:
            roster.take(fact)
        steps.append((at, roster.occupied([policy for turn, policy in turns if turn <= at][-1])))
    return steps


def taken_at(steps: Steps, at: datetime, *, just_before: bool = False) -> int:
    return steps[(bisect_left if just_before else bisect_right)(steps, at, key=lambda step: step[0]) - 1][1]


def owing(told: Data, kind: str, at: datetime, terms: Data, unit: int, seats: int, why: str) -> dict[str, Any]:
    """One line, priced again; `why` says how many seats it is for."""
    when = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    row = {"kind": kind, "terms": terms, "unit": unit, "seats": seats, "why": why, "fraction": Fraction(1)}
    return row | {"key": f"{told['subscription']}/{told['n']}/{kind}/{when}/{unit}"}


def mine(told: Data, rows: Sequence[Data]) -> list[Data]:
    return [row for row in rows if (row["subscription"], row["n"]) == (told["subscription"], told["n"])]


class Stretch:
    """One period as it was billed: what it opened with, and what was bought within it, in time order."""

    def __init__(self, export: Data, told: Data, steps: Steps, held: int) -> None:
        self.told, self.steps, self.terms = told, steps, told["terms"]
        self.period = Period(told, export["time_zone"])
        self.opens, self.closes = instant(told["opens"]), instant(told["closes"])
        orders = [one for one in export["facts"] if one["id"] in {row["fact"] for row in mine(told, export["grants"])}]
        self.grants = [(instant(one["at"]), one["data"]["count"] * SIGNS[one["kind"]]) for one in orders]
        self.switches = [(instant(one["at"]), one["terms"]) for one in mine(told, export["switches"])]
        self.mutes = [(instant(one["begins"]), instant(one["ends"] or NEVER)) for one in export["suspensions"]]
        self.flat = self.terms["shape"] == "flat"
        self.lines: list[dict[str, Any]] = []
        self.seats = self.open(held)
        turns = [at for at, _ in [*self.grants, *self.switches]] + [end for _, end in self.mutes if end >= self.opens]
        within = {at for at, _ in steps if self.opens <= at < self.closes}
        for at in sorted({self.opens, *within, *(at for at in turns if self.flat or at <= self.closes)}):
            if not self.flat:
                self.buy(at)
            for _, terms in (one for one in self.switches if one[0] == at):
                self.add("plan_changed", at, self.seats, "all that were bought, at the price difference", terms=terms)
                self.terms = terms
        for cut in mine(told, export["cuts"]):
            if cut["credited"]:
                self.add("interval_credit", instant(cut["at"]), self.seats, "all that were bought", sign=-1)

    def open(self, held: int) -> int:
        """The opening line; answers its seats. A renewal precedes the facts of its instant, a command does not."""
        told, auto = self.told, self.terms["shape"] == "auto_seats"
        people = taken_at(self.steps, self.opens, just_before=not told["by_fact"])
        found = people if auto else held * (told["n"] > 0)
        seats = max(found, self.terms["minimum"])
        why = f"{found} {'people took a seat' if auto else 'licences were held'} as the period began"
        if told["n"] == 0 and told["seats"] is not None:
            seats, why = told["seats"], "as ordered at the start"
        elif self.flat:
            seats, why = 1, "one space, whatever its people do"
        self.add("period", self.opens, seats, why, sign=int(told["share"]))
        return int(seats)

    def add(self, kind: str, at: datetime, seats: int, why: str, sign: int = 1, terms: Data | None = None) -> None:
        """A line on what is left of the period, or, with the sign 0, on all of it; other terms cost the difference."""
        unit = terms["unit_amount"] - self.terms["unit_amount"] if terms else self.terms["unit_amount"]
        line = owing(self.told, kind, at, terms or self.terms, unit, seats, why)
        if seats:
            line["fraction"] = self.period.share(line["terms"]["method"], at) * sign if sign else Fraction(1)
            self.lines.append(line)

    def buy(self, at: datetime) -> None:
        """Licences ordered; then, where more people sit than seats were ever bought, the rest: the high-water mark."""
        counts = [count for when, count in self.grants if when == at]
        self.add("licences_added", at, sum(n for n in counts if n > 0), "the licences ordered")
        licences, muted = self.terms["shape"] == "licences", any(a <= at < b for a, b in self.mutes)
        if at < self.closes and not muted and (not licences or self.terms["auto_purchase"]):
            people, before = taken_at(self.steps, at), self.seats
            more = max(0, people - before)
            more += max(0, people - before - more - sum(counts))  # found in use though given up at this instant
            why = f"{people} seats were taken, {before} were bought before"
            self.add("licences_bought" if licences else "seats_added", at, more, why)
            self.seats += more
        self.seats += sum(counts)


def owed(export: Data) -> dict[str, dict[str, Any]]:
    """Every line that the facts say is owed, by its key."""
    steps, held, found = occupancy(export), 0, dict[str, dict[str, Any]]()
    for told in export["periods"]:
        stretch, void = Stretch(export, told, steps, held), mine(told, export["voids"])
        held = sum(line["seats"] for line in stretch.lines if line["kind"] in BOUGHT)
        held += sum(count for _, count in stretch.grants if count < 0)
        for line in stretch.lines:  # two plan changes at one instant by equal steps are one line
            same = found.get(line["key"], line | {"seats": 0})
            seats = line["seats"] + same["seats"]
            share = sum(one["seats"] * one["fraction"] for one in (line, same)) / seats
            found[line["key"]] = line | {"seats": seats, "fraction": share * (not void)}
    for fact in (one for one in export["facts"] if one["kind"] == "option.ordered"):
        told, terms, at = {"n": 0, **fact["data"]}, fact["data"]["terms"], instant(fact["at"])
        line = owing(told, f"option:{told['option']}", at, terms, terms["unit_amount"], 0, "as often as ordered")
        found.setdefault(line["key"], line)["seats"] += 1
    return found


def sha256(value: object) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).digest()


class Check:
    """The checks of one export, each printed as it is done."""

    def __init__(self, export: Data, heads: Sequence[str]) -> None:
        must(export["format"] == FORMAT, f"this file checks {FORMAT}, the export is {export['format']}")
        self.export, self.entry = export, export["entry"]
        self.heads = export["heads"] | {f"given as {head}": head for head in heads}
        print(f"line 明細: {self.entry['key']}, entry {self.entry['id']}")
        for check in (self.facts, self.periods, self.chain, self.line, self.tax):
            check()

    def posted(self, through: int) -> list[Any]:
        """What the ledger's first rows posted for lines: id, key, seats, fraction, amount and facts."""
        return [row["line"] for row in self.export["chain"][:through] if "line" in row]

    def facts(self) -> None:
        """All facts are there; each that a period, a change or a ledger entry up to this one rests on is among them."""
        facts, n = self.export["facts"], self.export["count"]
        must(len(facts) == n, f"{len(facts)} facts are here, {n} were exported")
        must(sha256(facts).hex() == self.export["digest"], "the facts do not give the digest exported")
        names = {row["fact"] for what in LISTS for row in self.export[what]} - {""}
        names |= {name for row in self.posted(self.entry["seq"]) for name in row[5]}
        gone = sorted(names - {fact["id"] for fact in facts})
        must(not gone, f"facts are missing: {', '.join(gone)}")
        grants = [fact["id"] for fact in facts if fact["kind"] in SIGNS]
        must(sorted(grants) == sorted(row["fact"] for row in self.export["grants"]), "an order of licences is left out")
        print(f"facts 事実: {n}, digest {self.export['digest'][:16]}")

    def periods(self) -> None:
        """A renewal begins on the day on which the period before it ended."""
        for told, then in pairwise(self.export["periods"]):
            ended, began = Period(told, self.export["time_zone"]).last, Period(then, self.export["time_zone"]).first
            fits = ended == began or then["n"] == 0 or then["by_fact"]
            must(fits, f"period {then['n']} begins on {began}, the one before it ended on {ended}")

    def chain(self) -> None:
        """Every ledger row is hashed onto the one before it; the entry is one of them, and no head is missing."""
        head, seen = b"", [""]
        for row in self.export["chain"]:
            content = sha256(row["line"]) if "line" in row else bytes.fromhex(row["digest"])
            head = hashlib.sha256(head + content).digest()
            seen.append(head.hex())
        entry = [self.entry[name] for name in ("id", "key", "seats", "fraction", "amount", "facts")]
        must(self.posted(self.entry["seq"])[-1:] == [entry], "the entry is not the one in the ledger's chain")
        for name, wanted in self.heads.items():
            must(any(one.startswith(wanted.lower()) for one in seen), f"the head {wanted}, {name}, is not in the chain")
        print(f"ledger 台帳: {len(seen) - 1} rows, {len(self.heads)} printed heads among them, last {seen[-1][:16]}")

    def line(self) -> None:
        """The seats, the share, the amount, and what of it this entry posts."""
        entry, amount, line = self.entry, 0, owed(self.export).get(self.entry["key"])
        if line is None:
            must(entry["seats"] == 0, f"{entry['seats']} seats were posted; by the facts there is no such line")
            print("seats 席数: 0, nothing is owed for this line any more")
        else:
            seats, share, unit, terms = (line[name] for name in ("seats", "fraction", "unit", "terms"))
            print(f"seats 席数: {seats}, {line['why']}")
            must(seats == entry["seats"], f"{entry['seats']} seats were posted")
            print(f"share of the period 期間の割合: {share} ({terms['method']})")
            must(str(share) == entry["fraction"], f"{entry['fraction']} was posted")
            amount = rounded(unit * seats * share, terms["rounding"])
            print(f"amount 金額: {unit} x {seats} x {share} = {unit * seats * share} -> {amount} ({terms['rounding']})")
        must(amount == entry["line_amount"], f"{entry['line_amount']} was posted")
        earlier = sum(row[4] for row in self.posted(entry["seq"] - 1) if row[1] == entry["key"])
        print(f"posted 記帳: {amount - earlier} {entry['currency']} by this entry, {earlier} by earlier ones")
        must(entry["amount"] == amount - earlier, f"this entry posted {entry['amount']}")

    def tax(self) -> None:
        """The tax of each charge that asks for it: rounded once on the sum of its lines."""
        for charge in self.export["charges"]:
            total, rate, within = sum(charge["lines"]), Fraction(charge["rate"]), charge["behavior"] == "inclusive"
            tax = rounded(total * rate / (1 + rate) if within else total * rate, charge["rounding"])
            asked = total + (0 if within else tax) - charge["credit"]
            print(
                f"charge 請求 {charge['id']}: lines {total}, tax 消費税 {tax}, credit {charge['credit']}, asked {asked}"
            )
            must(tax == charge["tax"], f"its tax is {charge['tax']}")
            must(asked == charge["amount"], f"it asks {charge['amount']}")


def main() -> int:
    """Check the file named on the command line; answers the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--head", action="append", default=[], help="a chain head that is printed on a document")
    given = parser.parse_args()
    try:
        Check(json.loads(given.export.read_text(encoding="utf-8")), given.head)
    except (WrongError, OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
        print(f"WRONG 不一致: {fault if isinstance(fault, WrongError) else f'this is no whole export: {fault!r}'}")
        return 1
    print("It comes out. 一致しました。")
    return 0


if __name__ == "__main__":
    sys.exit(main())
