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


def test_a_credential_for_full_lists_is_sealed_never_shown_and_forgotten_with_the_connection(
    house: House, caller: Caller
) -> None:
    credential = {"key": "quince", "token": "apricot"}
    made = caller.post("/v1/connections", {"tool": "trello", "secrets": ["s"], "credential": credential})
    assert made["has_credential"]
    assert "apricot" not in str(made) + str(caller.get("/v1/connections"))
    (row,) = house.run("SELECT credential FROM connection")
    assert b"apricot" not in bytes(row["credential"])
    assert b"apricot" in house.settings.vault.decrypt(bytes(row["credential"]))
    assert caller.patch(f"/v1/connections/{made['id']}", {"callback_url": None})["has_credential"]
    assert not caller.patch(f"/v1/connections/{made['id']}", {"credential": None})["has_credential"]
    caller.patch(f"/v1/connections/{made['id']}", {"credential": credential})
    caller.delete(f"/v1/connections/{made['id']}")
    assert house.run("SELECT credential FROM connection") == [{"credential": None}]


def test_an_api_url_of_ones_own_is_kept_and_shown(caller: Caller) -> None:
    address = "https://kobo.backlog.example/api/v2"
    made = caller.post("/v1/connections", {"tool": "backlog", "api_url": address, "credential": {"key": "k"}})
    assert made["api_url"] == address
    assert caller.patch(f"/v1/connections/{made['id']}", {"api_url": None})["api_url"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tool": "trello", "secrets": ["s"], "credential": {"key": "k"}}, "credential"),
        ({"tool": "trello", "secrets": ["s"], "credential": {"key": "k", "token": "t", "x": "y"}}, "credential"),
        ({"tool": "standard", "secrets": ["s"], "credential": {"key": "k"}}, "credential"),
        ({"tool": "backlog", "api_url": "http://kobo.backlog.example/api/v2"}, "api_url"),
        ({"tool": "backlog", "api_url": "https://127.0.0.1/api/v2"}, "api_url"),
        ({"tool": "backlog", "api_url": "https://localhost/api/v2"}, "api_url"),
        ({"tool": "backlog", "api_url": "https://[fd00::1]/api/v2"}, "api_url"),
    ],
)
def test_a_wrong_credential_or_an_address_inside_a_network_is_refused(caller: Caller, body: object, field: str) -> None:
    assert field in caller.post("/v1/connections", body, 422)["errors"]
