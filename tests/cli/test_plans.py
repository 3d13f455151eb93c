"""`sekisu plans`, and the operator's directory at every `sekisu migrate`."""

import json
from pathlib import Path

import psycopg

from billing.settings import Settings
from billing.store.planyaml import PlanFileError
from tests.cli.story import sekisu
from tests.workers.test_catalogue import MINE

BAD = MINE.replace("rank: 1", "rank: one")


def own(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    """A file in the default directory of plans."""
    path = folder / "plans" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def versions(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT version FROM catalogue ORDER BY 1")]


def test_plans_lists_every_price_with_what_is_valid_now_and_how_well_it_is_known(
    database_url: str, tmp_path: Path
) -> None:
    table = sekisu(database_url, tmp_path, "plans")
    assert table.exit_code == 0, table.output
    assert f"catalogue version 1; your own plan files: {tmp_path / 'plans'}\n" in table.stdout
    rows = [line for line in table.stdout.splitlines() if " trello-premium " in line and " year " in line]
    assert [line[0] for line in rows] == [" ", "*"]
    assert "12000 USD  SECOND" in rows[1]
    assert "no price  UNCONFIRMED" in table.stdout

    told = json.loads(sekisu(database_url, tmp_path, "plans", "--json").stdout)
    assert (told["version"], told["directory"]) == (1, str(tmp_path / "plans"))
    found = {(row["plan"], row["interval"], row["valid_from"]): row for row in told["prices"]}
    seed = found["trello-premium", "year", "2017-01-01"]
    assert (seed["unit_amount"], seed["grade"], seed["in_force"]) == (11_999, "SEED", False)
    assert seed["terms"]["rules"]["refund_rule"] == "TR-26"
    assert found["option:custom-checklist", "once", "2017-01-01"]["unit_amount"] is None


def test_check_judges_a_file_and_loads_nothing(database_url: str, tmp_path: Path) -> None:
    path = own(tmp_path, MINE.replace("7000", "8400"))
    result = sekisu(database_url, tmp_path, "plans", "--check", str(path))
    assert (result.exit_code, result.stdout) == (0, "good: 1 plans and 0 options in 1 files\n")
    assert "twelve months are 8400, a year is 8400 (TR-23)" in result.stderr
    assert "backlog" not in result.stderr  # what is shipped is nobody's here to mend
    told = json.loads(sekisu(database_url, tmp_path, "plans", "--check", str(path.parent), "--json").stdout)
    assert (told["plans"], len(told["warnings"])) == (["kumo-team"], 1)
    assert versions(database_url) == [1]


def test_check_tells_file_line_and_reason(tmp_path: Path) -> None:
    path = own(tmp_path, BAD)
    result = sekisu("postgresql://nobody@127.0.0.1:1/none", tmp_path, "plans", "--check", str(path))
    assert isinstance(result.exception, PlanFileError)
    assert result.exception.faults == (f"{path}:2: plans.rank: Must be a whole number.",)


def test_load_loads_the_directory_of_the_settings_and_doing_it_again_changes_nothing(
    database_url: str, tmp_path: Path
) -> None:
    own(tmp_path, MINE)
    first = sekisu(database_url, tmp_path, "plans", "--load")
    assert first.stdout == f"loaded: catalogue version 2 (1 files of {tmp_path / 'plans'})\n", first.output
    again = sekisu(database_url, tmp_path, "plans", "--load", "--json")
    assert json.loads(again.stdout) == {
        "version": 2,
        "before": 2,
        "files": [str(tmp_path / "plans" / "mine.yaml")],
        "warnings": [],
    }


def test_load_takes_another_directory_and_none_need_be_there_unless_it_is_named(
    database_url: str, tmp_path: Path
) -> None:
    none = sekisu(database_url, tmp_path, "plans", "--load")
    assert none.stdout == f"unchanged: catalogue version 1 ({tmp_path / 'plans'} is not there)\n", none.output
    assert str(sekisu(database_url, tmp_path, "plans", "--load", str(tmp_path / "no")).exception).endswith("not there")
    other = tmp_path / "other"
    own(tmp_path, MINE).parent.rename(other)
    assert "loaded: catalogue version 2" in sekisu(database_url, tmp_path, "plans", "--load", str(other)).stdout


def test_migrate_loads_the_directory_and_one_bad_file_leaves_everything_as_it_was(
    database_url: str, tmp_path: Path
) -> None:
    good = own(tmp_path, MINE)
    bad = own(tmp_path, BAD.replace("kumo", "hoshi"), "other.yaml")
    for name, arguments in (("migrate", ()), ("plans", ("--load",))):
        result = sekisu(database_url, tmp_path, name, *arguments)
        assert isinstance(result.exception, PlanFileError)
        assert str(result.exception).startswith(f"{bad}:2: ")
    assert versions(database_url) == [1]
    bad.unlink()
    assert sekisu(database_url, tmp_path, "migrate").exit_code == 0
    assert versions(database_url) == [1, 2]
    good.unlink()
    assert sekisu(database_url, tmp_path, "migrate").exit_code == 0
    assert versions(database_url) == [1, 2]


def test_the_directory_of_plans_is_in_the_data_directory_unless_a_setting_names_another(tmp_path: Path) -> None:
    settings = Settings.load({"SEKISU_DATA_DIR": str(tmp_path)})
    assert settings.plans == tmp_path / "plans"
    assert Settings.load(settings.environ()).plans == tmp_path / "plans"
    other = Settings.load({"SEKISU_DATA_DIR": str(tmp_path), "SEKISU_PLANS_DIR": str(tmp_path / "prices")})
    assert Settings.load(other.environ()).plans == tmp_path / "prices"


def test_check_and_load_are_two_things(database_url: str, tmp_path: Path) -> None:
    assert sekisu(database_url, tmp_path, "plans", "--check", str(tmp_path), "--load").exit_code == 2
