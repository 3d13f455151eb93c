"""`sekisu explain ENTRY --export` and the one file that checks what it wrote: alone, and against falsified exports."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from service.cli import check_line
from tests.cli.story import sekisu
from tests.verify import sold
from tests.verify.sold import Export, entries, exported, reseal, run, without, wrong
from tests.workers.world import World

SHAPES = ("seats", "licences", "flat")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def worlds(new_database: Callable[[], str], folder: Path) -> Iterator[dict[str, World]]:
    made = {
        "seats": sold.seats(new_database()),
        "licences": sold.licences(new_database(), folder),
        "flat": sold.flat(new_database()),
    }
    yield made
    for world in made.values():
        world.database.close()


@pytest.fixture
def told(worlds: dict[str, World], folder: Path) -> Callable[[str, str], Export]:
    """The export of the newest entry of a kind."""

    def find(shape: str, kind: str) -> Export:
        rows = [row for row in entries(worlds[shape]) if row["kind"] == kind]
        return exported(worlds[shape], folder, rows[-1]["id"])

    return find


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ("seats", "period", ("seats 席数: 2, 2 people took a seat as the period began", "1250 x 2 x 1 = 2500 -> 2500")),
        ("seats", "seats_added", ("seats 席数: 0, nothing is owed for this line any more", "-1048 USD by this entry")),
        (
            "licences",
            "licences_added",
            ("seats 席数: 5, the licences ordered", "840 x 5 x 17/30 = 2380 -> 2380 (floor)"),
        ),
        ("licences", "period", ("53, 53 licences were held as the period began", "lines 44520, tax 消費税 4452")),
        ("flat", "plan_changed", ("12100 x 1 x 1/3 = 12100/3 -> 4033 (floor)", "lines 4033, tax 消費税 366")),
        ("flat", "period", ("1, one space, whatever its people do", "29700 x 1 x 1 = 29700")),
        ("flat", "option:security-check-sheets", ("1, as often as ordered",)),
    ],
)
def test_an_exported_line_is_recomputed_by_one_file_alone(
    told: Callable[[str, str], Export], folder: Path, shape: str, kind: str, words: tuple[str, ...]
) -> None:
    result = run(folder, told(shape, kind))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("It comes out. 一致しました。\n")
    for word in words:
        assert word in result.stdout


@pytest.mark.parametrize("shape", SHAPES)
def test_every_entry_comes_out_as_it_was_known_when_it_was_posted(
    worlds: dict[str, World], folder: Path, shape: str
) -> None:
    posted = entries(worlds[shape])
    assert len(posted) >= 3
    assert [wrong(exported(worlds[shape], folder, row["id"])) for row in posted] == [None] * len(posted)


def test_a_line_that_was_corrected_later_is_explained_by_what_was_known_before(
    worlds: dict[str, World], folder: Path
) -> None:
    first, second = (
        exported(worlds["seats"], folder, e["id"]) for e in entries(worlds["seats"]) if e["kind"] == "seats_added"
    )
    assert (first["entry"]["seats"], second["entry"]["seats"]) == (1, 0)
    assert [fact["member"] for fact in first["facts"] if fact["kind"] == "member.left"] == []
    assert [fact["member"] for fact in second["facts"] if fact["kind"] == "member.left"] == ["ben"]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_export_without_any_one_of_its_facts_is_refused(worlds: dict[str, World], folder: Path, shape: str) -> None:
    for row in entries(worlds[shape]):
        export = exported(worlds[shape], folder, row["id"])
        for fact in export["facts"]:
            assert (
                wrong(without(export, fact["id"]))
                == f"{export['count'] - 1} facts are here, {export['count']} were exported"
            )
    assert run(folder, without(export, export["facts"][0]["id"])).returncode == 1


@pytest.mark.parametrize(
    ("shape", "kind", "bearing"),
    [
        ("seats", "period", {"ada", "ben", "cleo", "subscription.started"}),
        ("licences", "licences_added", {"licences.added", "licences.removed", "subscription.started"}),
        ("licences", "period", {"licences.added", "licences.removed", "subscription.started"}),
        ("flat", "plan_changed", {"plan.changed", "subscription.started"}),
        ("flat", "option:security-check-sheets", {"plan.changed", "subscription.started", "option.ordered"}),
    ],
)
def test_a_fact_that_bears_on_the_line_cannot_be_left_out_even_by_who_makes_count_and_digest_good_again(
    told: Callable[[str, str], Export], shape: str, kind: str, bearing: set[str]
) -> None:
    export = told(shape, kind)
    found = {f["member"] or f["kind"] for f in export["facts"] if wrong(without(export, f["id"], sealed=True))}
    assert found == bearing


def _fact(export: Export, member: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in export["facts"] if one["member"] == member)
    return found


def _later(export: Export) -> None:
    _fact(export, "ada")["at"] = "2025-03-20T00:00:00+00:00"
    reseal(export)


def _more(export: Export) -> None:
    export["entry"]["seats"] += 1


def _dearer(export: Export) -> None:
    export["periods"][-1]["terms"]["unit_amount"] += 1


def _overlapping(export: Export) -> None:
    export["periods"][-1] |= {"k": 2}


def _bent(export: Export) -> None:
    export["chain"][0]["line"][4] += 1


def _cut(export: Export) -> None:
    export["chain"] = export["chain"][: export["entry"]["seq"]]


def _retold(export: Export) -> None:
    _fact(export, "ada")["member"] = "zoe"


def _untaxed(export: Export) -> None:
    export["charges"][0]["tax"] += 1


def _wanting(export: Export) -> None:
    del export["entry"]["key"]


@pytest.mark.parametrize(
    ("tamper", "shape", "kind", "told_of"),
    [
        (_later, "seats", "period", "2 seats were posted"),
        (_retold, "seats", "period", "the facts do not give the digest exported"),
        (_more, "seats", "period", "the entry is not the one in the ledger's chain"),
        (_dearer, "licences", "period", "53 seats were posted; by the facts there is no such line"),
        (_overlapping, "licences", "period", "the one before it ended on 2026-05-01"),
        (_bent, "seats", "period", "is not in the chain"),
        (_cut, "seats", "seats_added", "is not in the chain"),
        (_untaxed, "licences", "period", "its tax is 4453"),
        (_wanting, "flat", "period", "this is no whole export"),
    ],
)
def test_a_falsified_export_is_refused_and_the_fault_named(
    told: Callable[[str, str], Export],
    folder: Path,
    tamper: Callable[[Export], None],
    shape: str,
    kind: str,
    told_of: str,
) -> None:
    export = deepcopy(told(shape, kind))
    tamper(export)
    result = run(folder, export)
    assert result.returncode == 1
    assert "WRONG 不一致: " in result.stdout
    assert told_of in result.stdout


def test_the_head_that_is_printed_on_paper_is_looked_for_in_the_exported_chain(
    worlds: dict[str, World], told: Callable[[str, str], Export], folder: Path
) -> None:
    export = told("seats", "period")
    assert export["heads"]
    head = worlds["seats"].row("SELECT encode(chain_head, 'hex') AS head FROM workspace")["head"][:16]
    assert run(folder, export, "--head", head).returncode == 0
    result = run(folder, export, "--head", "0123456789abcdef")
    assert result.returncode == 1
    assert "the head 0123456789abcdef, given as 0123456789abcdef, is not in the chain" in result.stdout


def test_no_name_leaves_the_house_in_an_export(told: Callable[[str, str], Export]) -> None:
    assert all("name" not in fact["data"] for fact in told("seats", "period")["facts"])


def test_explain_wants_an_id_or_the_checker(worlds: dict[str, World], folder: Path) -> None:
    result = sekisu(worlds["flat"].database.url, folder, "explain")
    assert result.exit_code == 2
    assert "give the id of a ledger entry or of a charge" in result.output
    assert sekisu(worlds["flat"].database.url, folder, "explain", "--export", str(folder / "x")).exit_code == 2
    copy = folder / "copy.py"
    assert sekisu("postgresql://nowhere", folder, "explain", "--checker", str(copy)).exit_code == 0
    assert copy.read_bytes() == Path(check_line.__file__).read_bytes()
