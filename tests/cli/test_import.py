"""`sekisu import`: a full roster from a file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from billing.core.errors import InvalidError, NotFoundError
from service.cli.roster_file import RosterError
from tests.cli.story import sekisu
from tests.workers.world import World, at

TABLE = """\
id,name,member,boards,state,role
ada,Ada 氏,true,b1;b2,joined,admin
ben,,no,b1; b2,,
cleo,Cleo,true,,deactivated,
"""


@pytest.fixture
def place(database_url: str) -> Iterator[tuple[World, str]]:
    world = World(database_url, at("2025-01-15"), tool="trello")
    yield world, world.workspace("w1")
    world.database.close()


def imported(place: tuple[World, str], folder: Path, text: str, *more: str, name: str = "roster.csv") -> Result:
    (folder / name).write_text(text, encoding="utf-8")
    return sekisu(place[0].database.url, folder, "import", place[1], str(folder / name), *more)


def people(place: tuple[World, str]) -> dict[str, tuple[bool, str, str | None]]:
    world, workspace = place
    world.settle(workspace)
    found = world.rows("SELECT member, billable, rule, role FROM member WHERE workspace_id = %s", workspace)
    return {row["member"]: (row["billable"], row["rule"], row["role"]) for row in found}


def test_a_table_becomes_facts_and_the_same_table_again_none(place: tuple[World, str], tmp_path: Path) -> None:
    result = imported(place, tmp_path, TABLE)
    assert (result.exit_code, result.stdout) == (0, "9 facts\n"), result.output
    assert people(place) == {
        "ada": (True, "TR-01", "admin"),
        "ben": (True, "TR-02", None),
        "cleo": (False, "TR-19", None),
    }
    assert imported(place, tmp_path, "\ufeff" + TABLE).stdout == "0 facts\n"
    assert imported(place, tmp_path, "id\nada\n").stdout != "0 facts\n"
    assert people(place)["ben"] == (False, "TR-06", None)


CONTRACT = """\
account_id,name,role,department,mail
501,森 葵,administrator,総務,aoi@kobo.example
502,林 蓮,,営業,
"""


def test_cw_08_a_contracts_list_tells_its_users_and_their_roles_and_nothing_of_rooms(
    database_url: str, tmp_path: Path
) -> None:
    world = World(database_url, at("2025-01-15"), tool="chatwork")
    place = (world, world.workspace("kobo"))
    rooms = "id,member,boards\n502,false,r1\n900,false,r1\n"
    assert imported(place, tmp_path, rooms).exit_code == 0
    assert imported(place, tmp_path, CONTRACT).stdout == "2 facts\n"
    assert {who: role for who, (_, _, role) in people(place).items()} == {
        "501": "administrator",
        "502": None,
        "900": None,
    }
    assert len(world.rows("SELECT * FROM seat WHERE present")) == 2
    assert imported(place, tmp_path, CONTRACT).stdout == "0 facts\n"
    assert imported(place, tmp_path, CONTRACT.partition("502")[0]).stdout == "1 facts\n"
    assert world.rows("SELECT kind, member FROM fact ORDER BY seq DESC LIMIT 1") == [
        {"kind": "member.left", "member": "502"}
    ]
    world.database.close()


def test_json_is_taken_as_the_api_takes_it(place: tuple[World, str], tmp_path: Path) -> None:
    roster = {"at": "2025-01-14T00:00:00.000Z", "members": [{"id": "ada"}], "boards": [{"id": "b1", "closed": True}]}
    result = imported(place, tmp_path, json.dumps(roster), name="roster.json")
    assert (result.exit_code, result.stdout) == (0, "3 facts\n"), result.output
    assert {row["at"] for row in place[0].rows("SELECT at FROM fact")} == {at("2025-01-14")}


def test_a_dry_run_only_counts(place: tuple[World, str], tmp_path: Path) -> None:
    assert imported(place, tmp_path, TABLE, "--dry-run").stdout == "9 facts would be made\n"
    assert place[0].rows("SELECT * FROM fact") == []
    assert place[0].rows("SELECT * FROM board_fact") == []


def test_at_says_when_it_was_so_and_never_ahead_of_now(place: tuple[World, str], tmp_path: Path) -> None:
    assert imported(place, tmp_path, TABLE, "--at", "2025-01-02T00:00:00Z").exit_code == 0
    assert {row["at"] for row in place[0].rows("SELECT at FROM fact")} == {at("2025-01-02")}
    assert isinstance(imported(place, tmp_path, TABLE, "--at", "2025-02-01T00:00:00Z").exception, InvalidError)
    assert imported(place, tmp_path, TABLE, "--at", "yesterday").exit_code == 2


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("id,boss\nada,x\n", ["line 1: the columns must be id"]),
        ("name\nAda\n", ["line 1: the columns must be id"]),
        ("id,member\nada,true\nben,perhaps\n,true\n", ["line 3: member must be", "line 4: id: Missing data"]),
        ("id,state\nada,joined\nben,gone\nada,joined\n", ["line 4: ada is listed twice", "line 3: state: Must be"]),
        ("account_id,boards\n501,r1\n", ["line 1: the columns must be id"]),
        ("account_id,id\n501,501\n", ["line 1: the columns must be id"]),
        ("account_id,state\n501,joined\n502,gone\n501,joined\n", ["line 4: 501 is listed twice", "line 3: state: M"]),
        ("account_id,name\n501,Aoi\n,Ren\n", ["line 3: id: Missing data"]),
        ("id,name\nada,Ada,Lovelace\n", ["line 2: it has not as many values"]),
        ('id,name\nada,"A\nda"\nben\n', ["line 4: it has not as many values"]),
        ("id\n" + "x" * 201 + "\n", ["line 2: id: Length must be between 1 and 200"]),
        ("id\na\0b\n", ["roster.csv holds a NUL"]),
    ],
)
def test_one_bad_row_refuses_the_whole_table_and_names_its_line(
    place: tuple[World, str], tmp_path: Path, text: str, sentences: list[str]
) -> None:
    fault = imported(place, tmp_path, text).exception
    assert isinstance(fault, RosterError)
    assert len(fault.faults) == len(sentences)
    assert all(told.startswith(sentence) for told, sentence in zip(fault.faults, sentences, strict=True))
    assert place[0].rows("SELECT * FROM fact") == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "roster.json is not JSON"),
        ("[]", "_schema: Invalid input"),
        ('{"members": [{"id": "a"}, {"name": "b"}]}', "members.1.id: Missing data"),
        ('{"members": [{"id": "a\\u0000"}]}', "roster.json holds a NUL"),
        ('{"members": [{"id": "a"}, {"id": "a"}]}', "members: An id is listed twice"),
    ],
)
def test_bad_json_is_refused_whole_and_the_place_named(
    place: tuple[World, str], tmp_path: Path, text: str, sentence: str
) -> None:
    fault = imported(place, tmp_path, text, name="roster.json").exception
    assert isinstance(fault, RosterError)
    assert [told[: len(sentence)] for told in fault.faults] == [sentence]


def test_a_workspace_that_is_not_there_is_one_sentence(place: tuple[World, str], tmp_path: Path) -> None:
    assert isinstance(imported((place[0], "ws_nowhere"), tmp_path, TABLE).exception, NotFoundError)
