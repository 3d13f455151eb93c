"""A scene brings a process to a named point; what is killed there, the scene's people find out as real ones do."""

import os
import signal
import subprocess
import sys
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from tests.faults.house import FaultHouse, NotBegunError, Patient
from tests.flows.house import wait
from tests.flows.parts import ROOT
from tests.flows.tool import Body, at, ident, in_workspace

START, TODAY = at("2025-01-15"), at("2025-03-15T12:00:00")
ADMIN = {"actor": {"id": ident("aoi"), "role": "admin"}}


class Scene:
    """Before, nothing is armed; `act` is repeated until the point is hit; `after` comes when all is mended."""

    #: The part that dies: web, worker, ticker, or command.
    part: ClassVar[str]
    #: How often `act` may come to the point at least: the seed chooses which of the times kills.
    most: ClassVar[int] = 1
    #: Settings of the armed part.
    settings: ClassVar[dict[str, str]] = {}
    #: Kinds of alarms that must be raised.
    alarms: ClassVar[Collection[str]] = ()
    #: The other part that would do the work first.
    rival: ClassVar[str] = ""
    #: Whose history it is.
    customer: Patient

    def __init__(self, house: FaultHouse, point: str, random: Random) -> None:
        self.house, self.point, self.random = house, point, random
        self.mark = house.folder / f"hit-{point}-{random.random()}"
        self.nth = random.randint(1, self.most)

    def play(self) -> None:
        """The whole scene: it fails when the point is not hit."""
        try:
            if self.part == "ticker":
                self.before_it_stops()
                self.house.parts["ticker"].kill()
            self.before()
            self.die()
            if self.part == "ticker":  # nobody but the test is above it; the mark is made just before the kill
                self.house.parts["ticker"].process.wait(20)
            self.house.mend()
            self.after()
        finally:
            self.mark.touch()  # disarms what was not hit
            self.house.mend()

    def before_it_stops(self) -> None:
        """What takes place while everything runs, in scenes in which the ticker is to die."""

    def before(self) -> None:
        """What takes place before the part is armed."""

    def die(self) -> None:
        """Arm the part and come to the point."""
        if self.rival:
            self.house.freeze(self.rival)
        armed = f"{self.point}:{self.nth}:{self.mark}"
        self.house.restart(self.part, SEKISU_CRASH=armed, **self.settings)
        if self.part == "web":
            wait(self.house.ready)
        for turn in range(self.nth + 6):  # each process counts its own, and several acts may be one piece of work
            self.act(turn)
            if self.hit(0.5 if turn < self.nth else 4.0):
                return
        raise NotBegunError(f"{self.point} was never hit")

    def hit(self, seconds: float) -> bool:
        try:
            wait(self.mark.exists, seconds)
        except AssertionError:
            return False
        return True

    def act(self, turn: int) -> None:
        """Come to the point."""

    def after(self) -> None:
        """What people do then, and what must have come of it."""


class Story(Scene):
    """A Trello workspace that pays, with somebody in it, and a guest on a board; it has a little history."""

    interval: ClassVar[str] = "year"

    def before_it_stops(self) -> None:
        self.found()

    def before(self) -> None:
        if self.part != "ticker":
            self.found()

    def found(self) -> None:
        """The customer and what happened so far."""
        self.customer = Patient(self.house, START)
        self.people = 1
        self.kobo = self.customer.workspace("kobo")
        self.customer.roster(self.kobo, "aoi", guests={"sora": ["the board"]})
        self.customer.start(self.kobo, interval=self.interval)
        self.customer.rest(self.kobo)
        self.clock_to(TODAY)
        for number in range(self.random.randint(0, 3)):
            self.happens(f"old {number}", TODAY - timedelta(days=self.random.randint(1, 50)))
        self.house.quiet(self.customer.account)

    def clock_to(self, now: datetime) -> None:
        self.customer.post(f"/v1/clocks/{self.customer.clock}/advance", {"to": now.isoformat()}, 202)

    def happens(self, name: str, when: datetime | None = None, **more: Any) -> Body:
        """Somebody joins, and the tool tells of it, now and then twice."""
        body = in_workspace("addMemberToOrganization", "kobo", name, when or TODAY, f"{name} joins")
        self.people += 1
        assert self.customer.deliver(body) == 200
        if self.random.random() < 0.2:
            assert self.customer.deliver(body) == 200
        return body

    def act(self, turn: int) -> None:
        self.happens(f"new {turn}")

    def after(self) -> None:
        self.house.quiet(self.customer.account)
        assert self.customer.of(self.kobo, "seats")["occupied"] == self.people

    def row(self, query: str, *values: object) -> dict[str, Any]:
        (row,) = self.house.sql(query, *values)
        return row


class ByHand(Story):
    """A command that dies, and is typed again."""

    part = "command"
    #: The exit code of the command that is typed again.
    code: ClassVar[int] = 0

    def words(self) -> list[str]:
        raise NotImplementedError

    def environ(self) -> dict[str, str]:
        return self.house.environ

    def die(self) -> None:
        died = self.type(SEKISU_CRASH=f"{self.point}:{self.nth}:{self.mark}")
        assert died.returncode == -signal.SIGKILL, died.stdout + died.stderr
        assert self.mark.exists()

    def after(self) -> None:
        done = self.type()
        assert done.returncode == self.code, done.stdout + done.stderr
        super().after()

    def type(self, **settings: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SEKISU_")}
        return subprocess.run(
            [sys.executable, "-m", "service.cli.main", *self.words()],
            cwd=ROOT,
            env={**kept, **self.environ(), **settings},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def file(self, name: str, text: str) -> Path:
        """A file for the command."""
        path = self.house.folder / f"{self.random.random()}" / name
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        return path
