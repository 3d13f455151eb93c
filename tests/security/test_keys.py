"""What a key may do is what its scopes say, and no more."""

import pytest

from tests.security.place import Place


def test_the_metrics_are_for_an_admin_key_of_their_own_that_opens_nothing_else(own_place: Place) -> None:
    scraper = own_place.caller(None, "metrics")
    assert scraper.call("GET", "/metrics").status_code == 200
    assert own_place.caller(None).call("GET", "/metrics").status_code == 200
    for method, path in (("GET", "/v1/workspaces"), ("GET", "/v1/keys"), ("POST", "/v1/keys"), ("GET", "/v1/audit")):
        assert scraper.call(method, path, {} if method == "POST" else None).status_code == 403


def test_a_key_of_one_account_cannot_be_given_the_metrics_of_all(own_place: Place) -> None:
    body = {"account_id": "default", "scopes": ["read", "metrics"]}
    answer = own_place.admin.call("POST", "/v1/keys", body)
    assert (answer.status_code, list(answer.get_json(force=True)["errors"])) == (422, ["scopes"])


@pytest.mark.parametrize("scope", ["admin", "*", "", "READ", "read write"])
def test_there_is_no_scope_that_is_not_named(own_place: Place, scope: str) -> None:
    assert own_place.admin.call("POST", "/v1/keys", {"scopes": [scope]}).status_code == 422


def test_an_admin_key_that_may_only_read_makes_no_key_for_itself(own_place: Place) -> None:
    reader = own_place.callers["admin, read"]
    assert reader.call("GET", "/v1/keys").status_code == 200
    assert reader.call("POST", "/v1/keys", {"account_id": None}).status_code == 403
    assert reader.call("DELETE", f"/v1/keys/{own_place.ids['key_id']}").status_code == 403


def test_a_revoked_key_is_refused_by_the_next_request(own_place: Place) -> None:
    key = own_place.callers["own"]
    assert key.call("GET", "/v1/workspaces").status_code == 200
    own_place.admin.told("DELETE", f"/v1/keys/{key.id}")
    assert key.call("GET", "/v1/workspaces").status_code == 401
