"""Connections."""

import pytest

from tests.api.conftest import PUBLIC_URL, Caller, House


def test_a_connection_tells_the_address_to_register_at_the_tool(caller: Caller) -> None:
    made = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"], "callback_url": None})
    assert made["webhook_url"] == f"{PUBLIC_URL}/webhooks/trello/{made['id']}"
    assert made["callback_url"] == made["webhook_url"]
    assert caller.get(f"/v1/connections/{made['id']}") == made


def test_a_callback_url_of_ones_own_is_kept(caller: Caller) -> None:
    address = "https://proxy.example/trello"
    assert caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"], "callback_url": address})[
        "callback_url"
    ] == (address)


def test_secrets_are_stored_encrypted_and_never_shown(house: House, caller: Caller) -> None:
    made = caller.post("/v1/connections", {"tool": "trello", "secrets": ["apricot"]})
    (row,) = house.run("SELECT secrets FROM connection")
    assert b"apricot" not in bytes(row["secrets"][0])
    assert house.settings.vault.decrypt(bytes(row["secrets"][0])) == b"apricot"
    assert made["secrets"] == 1
    assert "apricot" not in str(caller.get("/v1/connections"))


def test_rotation_replaces_the_secrets_and_leaves_the_rest(house: House, caller: Caller) -> None:
    made = caller.post("/v1/connections", {"tool": "trello", "secrets": ["old"], "callback_url": "https://a.example/"})
    told = caller.patch(f"/v1/connections/{made['id']}", {"secrets": ["old", "new"]})
    assert (told["secrets"], told["callback_url"]) == (2, "https://a.example/")
    told = caller.patch(f"/v1/connections/{made['id']}", {"callback_url": None})
    assert (told["secrets"], told["callback_url"]) == (2, made["webhook_url"])


def test_a_removed_connection_is_gone_and_its_secrets_forgotten(house: House, caller: Caller) -> None:
    made = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"]})
    caller.delete(f"/v1/connections/{made['id']}")
    caller.get(f"/v1/connections/{made['id']}", 404)
    caller.delete(f"/v1/connections/{made['id']}", 404)
    assert caller.get("/v1/connections") == {"data": [], "next": None}
    assert house.run("SELECT secrets FROM connection") == [{"secrets": []}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"secrets": ["s"]}, "tool"),
        ({"tool": "typewriter", "secrets": ["s"]}, "tool"),
        ({"tool": "../trello", "secrets": ["s"]}, "tool"),
        ({"tool": "trello"}, "secrets"),
        ({"tool": "trello", "secrets": []}, "secrets"),
        ({"tool": "trello", "secrets": [""]}, "secrets.0"),
        ({"tool": "trello", "secrets": ["s"] * 6}, "secrets"),
        ({"tool": "trello", "secrets": "s"}, "secrets"),
        ({"tool": "trello", "secrets": ["s"], "callback_url": "ftp://a.example"}, "callback_url"),
        ({"tool": "trello", "secrets": ["s"], "callback_url": "https://[bad"}, "callback_url"),
        ({"tool": "trello", "secrets": ["s"], "callbackurl": "https://a.example"}, "callbackurl"),
    ],
)
def test_a_wrong_field_is_named(caller: Caller, body: object, field: str) -> None:
    assert field in caller.post("/v1/connections", body, 422)["errors"]


def test_an_unknown_tool_is_told_the_tools_there_are(caller: Caller) -> None:
    told = caller.post("/v1/connections", {"tool": "typewriter", "secrets": ["s"]}, 422)
    assert "standard" in told["detail"]
    assert "trello" in told["detail"]
