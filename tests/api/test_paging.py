"""Paging: every row once, in order, however small the pages."""

import base64

import pytest

from tests.api.conftest import Caller, House, Story


def walked(caller: Caller, path: str, key: str = "id") -> list[str]:
    found, cursor = [], ""
    for _ in range(50):
        told = caller.get(f"{path}{'&' if '?' in path else '?'}limit=1{cursor}")
        assert len(told["data"]) <= 1
        found += [row[key] for row in told["data"]]
        if told["next"] is None:
            return found
        assert set(told["next"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
        cursor = f"&cursor={told['next']}"
    raise AssertionError("the pages never end")


def test_every_list_can_be_walked_page_by_page(house: House, story: Story) -> None:
    caller = story.caller
    for number in range(2):
        connection = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})["id"]
        house.deliver(connection, f"del-{number}")
        caller.workspace(f"org-{number}")
    lists = [("/v1/workspaces", "id"), ("/v1/connections", "id"), ("/v1/deliveries", "id")]
    lists += [(f"{story.path}/{part}", "id") for part in ("members", "facts", "charges")]
    lists += [(f"{story.path}/{part}", "key") for part in ("statement", "ledger")]
    lists += [(f"{story.path}/statement?as_known_at=2025-05-01T00:00:00Z", "key")]
    for path, key in lists:
        whole = [row[key] for row in caller.get(path)["data"]]
        assert len(whole) > 1, path
        assert walked(caller, path, key) == whole
    for path in ("/v1/accounts", "/v1/keys"):
        assert walked(house.admin, path) == [row["id"] for row in house.admin.get(path)["data"]]


def test_a_row_added_meanwhile_repeats_and_hides_nothing(caller: Caller) -> None:
    first = caller.workspace("org-1")["id"]
    second = caller.workspace("org-2")["id"]
    page = caller.get("/v1/workspaces?limit=1")
    third = caller.workspace("org-3")["id"]
    rest = caller.get(f"/v1/workspaces?cursor={page['next']}")
    assert [row["id"] for row in page["data"] + rest["data"]] == [first, second, third]


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "x",
            "%00",
            "é",
            "!!!!",
            "",
            cursor("7"),
            cursor('["facts"]'),
            cursor('["facts","1"]'),
            cursor('["ledger",1]'),
        ),
        *(cursor('["facts",true]'), cursor('["facts",-1]'), cursor(f'["facts",{2**64}]'), cursor("[" * 5000)),
    ],
)
def test_a_bad_cursor_is_422(tale: Story, bad: str) -> None:
    tale.caller.get(f"{tale.path}/facts?cursor={bad}", 422)


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", ""])
def test_a_bad_limit_is_422(caller: Caller, limit: str) -> None:
    assert "limit" in caller.get(f"/v1/workspaces?limit={limit}", 422)["errors"]
