"""Three customers with a past, one of each shape, and what is exported of their entries."""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

from service.cli import check_line
from tests.cli.story import sekisu, told
from tests.rules.contract import Contract, jst
from tests.workers.world import World
from workers import commands

Export = dict[str, Any]


def seats(url: str) -> World:
    """Auto seats: a prorated addition, corrected by a late leave; a renewal."""
    return told(url)[0]


def licences(url: str, folder: Path) -> World:
    """Licences with tax on top: fifty at the start, five more in the month, two given up, a renewal."""
    world = World(url, jst("2026-04-01"), tool="chatwork")
    contract = Contract(world, folder)
    contract.users(39)
    contract.start("chatwork-business", "month", 50)
    contract.to("2026-04-14")
    contract.give("licences", add=5)
    contract.to("2026-04-20")
    contract.give("licences", remove=2)
    contract.to("2026-05-02")
    return world


def flat(url: str) -> World:
    """One price for a space, tax within: a larger plan in the month, an option, a renewal."""
    world = World(url, jst("2026-04-01"), tool="backlog")
    space = world.workspace("space", zone="Asia/Tokyo")
    admin = {"id": "sora", "role": "contract_admin"}
    _give(world, space, "subscription", admin, plan="backlog-standard", interval="month", payment_method="card")
    world.advance(jst("2026-04-21"), space)
    _give(world, space, "plan-change", admin, plan="backlog-premium")
    _give(world, space, "option", admin, option="security-check-sheets")
    world.advance(jst("2026-05-02"), space)
    return world


def _give(world: World, workspace: str, command: str, actor: dict[str, str], **body: object) -> None:
    with world.database.transaction("test") as connection:
        commands.give(connection, "live", workspace, command, body, actor)


def entries(world: World) -> list[dict[str, Any]]:
    """Every entry of the ledger, as it was posted."""
    return world.rows("SELECT * FROM entry ORDER BY workspace_id, seq")


def exported(world: World, folder: Path, entry: str) -> Export:
    """What `sekisu explain ENTRY --export` writes out."""
    path = folder / f"{entry}.json"
    result = sekisu(world.database.url, folder, "explain", entry, "--export", str(path))
    assert result.exit_code == 0, result.output
    found: Export = json.loads(path.read_text(encoding="utf-8"))
    return found


def run(folder: Path, export: Export, *more: str) -> subprocess.CompletedProcess[str]:
    """Check an export as its receiver does: one copied file, an interpreter, and nothing else of ours."""
    checker, path = folder / "alone" / "check_line.py", folder / "alone" / "line.json"
    checker.parent.mkdir(exist_ok=True)
    sekisu("postgresql://nowhere", folder, "explain", "--checker", str(checker))
    path.write_text(json.dumps(export), encoding="utf-8")
    words = [sys.executable, "-I", "-S", str(checker), str(path), *more]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=checker.parent, env={"PYTHONIOENCODING": "utf-8"}
    )


def wrong(export: Export, *heads: str) -> str | None:
    """What the checker says is wrong, asked in this process."""
    try:
        check_line.Check(export, heads)
    except check_line.WrongError as fault:
        return str(fault)
    return None


def without(export: Export, fact: str, *, sealed: bool = False) -> Export:
    """The export without a fact; `sealed`: its count and digest made good again."""
    made = deepcopy(export)
    made["facts"] = [one for one in made["facts"] if one["id"] != fact]
    return reseal(made) if sealed else made


def reseal(export: Export) -> Export:
    """Count and digest as of the facts that are now there."""
    export["count"], export["digest"] = len(export["facts"]), check_line.sha256(export["facts"]).hex()
    return export
