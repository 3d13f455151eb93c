"""The record of a long run in docs/reliability.md, between two marks, and whether it is old."""

import os
import re
import subprocess
from dataclasses import fields
from pathlib import Path

from tests.faults.breaking import Tally

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- record: written by `python -m tests.faults --record` -->", "<!-- end of the record -->"
#: What the record speaks of: when one of these changed since, it is old.
SPOKEN_OF = ("billing/core", "workers")
_COMMIT = re.compile(r"Commit `([0-9a-f]{40})`")
_WORDS = {
    "runs": "runs",
    "deliveries": "deliveries answered 200",
    "charges": "charges",
    "kills": "processes killed (SIGKILL)",
    "freezes": "processes frozen (SIGSTOP)",
    "flushes": "broker flushed",
    "restarts": "engines stopped and started",
    "cuts": "connections cut at COMMIT",
    "disks": "disk full",
    "skews": "clocks wrong",
    "payment_faults": "faults of the payment endpoint",
    "callback_faults": "faults of callbacks",
    "unplayed": "plays that did not come to their fault",
    "lost": "**lost**",
    "doubled": "**doubled**",
}


def git(*words: str) -> str | None:
    """What git says, or None: there is no git here, or it does not know."""
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def written(command: str, tallies: dict[str, Tally], failed: list[str], minutes: float) -> str:
    """The record as Markdown."""
    commit = git("rev-parse", "HEAD") or "unknown"
    changed = "" if not git("status", "--porcelain", "--", *SPOKEN_OF) else ", with changes not committed"
    rows = [
        f"| {_WORDS[item.name]} | " + " | ".join(str(getattr(tally, item.name)) for tally in tallies.values()) + " |"
        for item in fields(Tally)
    ]
    return "\n".join(
        [
            f"Command: `{command}`",
            "",
            f"Commit `{commit}`{changed}; {os.cpu_count()} cores; {minutes:.0f} minutes; "
            + (f"failed: {', '.join(failed)}." if failed else "nothing failed."),
            "",
            "| counted | " + " | ".join(tallies) + " |",
            "| --- |" + " ---: |" * len(tallies),
            *rows,
        ]
    )


def write(text: str, place: Path = PLACE) -> None:
    """Put the record between its marks; without them, at the end."""
    before = place.read_text(encoding="utf-8") if place.exists() else "# Reliability\n"
    if BEGIN not in before:
        before = f"{before.rstrip()}\n\n{BEGIN}\n{END}\n"
    head, _, rest = before.partition(BEGIN)
    tail = rest.partition(END)[2]
    place.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


def warning(place: Path = PLACE) -> str | None:
    """One sentence when the record is older than the last change of what it speaks of; None: all is well, or no git."""
    last = git("log", "-1", "--format=%H", "--", *SPOKEN_OF)
    if not last:
        return None
    found = _COMMIT.search(place.read_text(encoding="utf-8")) if place.exists() else None
    again = "run `python -m tests.faults --seeds 50 --points-seeds 20 --long 30 --record docs/reliability.md`"
    if found is None:
        return f"docs/reliability.md holds no record; {again}"
    if git("merge-base", "--is-ancestor", last, found[1]) is None:
        return (
            f"docs/reliability.md is of {found[1][:9]}, older than {last[:9]}, which changed what it tells of; {again}"
        )
    return None
