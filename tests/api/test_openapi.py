"""openapi.yaml is what the code says, and every route is in it."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from service import api
from service.app import create_app
from service.cli.openapi import command
from tests.api.conftest import Caller, House

#: The files that the console's page is made of.
FILES = "/console/"
ROOT = Path(__file__).parents[2]


def test_every_route_of_the_whole_door_is_described(house: House) -> None:
    app = create_app(house.settings)
    told = yaml.safe_load(app.extensions[api.DESCRIPTION])["paths"]
    served = {
        (re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS"}
        if not (method == "HEAD" and "GET" in (rule.methods or set())) and not rule.rule.startswith(FILES)
    }
    described = {(path, method) for path, methods in told.items() for method in methods if method != "parameters"}
    assert served == described


def test_the_file_is_what_the_code_says() -> None:
    ran = CliRunner().invoke(command, ["--check", "--file", str(ROOT / "openapi.yaml")])
    assert ran.exit_code == 0, ran.output


def test_a_file_that_differs_is_shown_where_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    assert CliRunner().invoke(command, ["--file", str(path)]).exit_code == 0
    path.write_text(path.read_text().replace("List the accounts.", "List them."))
    ran = CliRunner().invoke(command, ["--check", "--file", str(path)])
    assert ran.exit_code == 1
    assert "-      summary: List them." in ran.output


def test_the_tool_of_a_webhook_is_open_to_new_rooms() -> None:
    told = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    text = str(told["paths"]["/webhooks/{tool}/{connection_id}"])
    assert "enum" not in text
    assert "trello" not in text


@pytest.mark.parametrize("scope", ["read", "write"])
def test_the_description_is_for_a_key(house: House, scope: str) -> None:
    Caller(house.app, "").get("/openapi.json", 401)
    told = house.caller("default", [scope]).get("/openapi.json")
    assert told == yaml.safe_load(house.app.extensions[api.DESCRIPTION])


def test_every_reference_leads_somewhere(admin: Caller) -> None:
    told = admin.get("/openapi.json")
    for reference in set(re.findall(r"'\$ref': '#/([^']+)'", str(told))):
        part = told
        for step in reference.split("/"):
            part = part[step]


def test_every_operation_names_each_status_that_it_answers(admin: Caller) -> None:
    told = admin.get("/openapi.json")
    for operations in told["paths"].values():
        for method, operation in operations.items():
            assert method == "parameters" or "default" not in operation["responses"]
    assert {"400", "401", "404", "409", "413", "415", "422", "429", "503"} < set(
        told["paths"]["/v1/workspaces/{workspace_id}/quotes"]["post"]["responses"]
    )


def test_the_page_holds_no_data_and_loads_nothing_from_elsewhere(house: House) -> None:
    answer = house.app.test_client().get("/docs")
    assert answer.status_code == 200
    text = answer.get_data(as_text=True)
    assert "http://" not in text
    assert "https://" not in text
    assert " src=" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
