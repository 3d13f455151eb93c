"""Documents over HTTP: settings of issuer and recipient, lists, downloads, mails, receipts on request, check sheets."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Caller, House
from tests.papers.desk import Desk, texts

ACCOUNT = "/v1/accounts/default"


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    made = Desk(house.settings.database_url)
    yield made
    made.database.close()


@pytest.fixture
def owner(house: House) -> Caller:
    """Somebody of the account that the desk bills."""
    return house.caller("default")


def listed(caller: Caller, desk: Desk) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = caller.get(f"/v1/workspaces/{desk.workspace}/documents")["data"]
    return rows


def test_bl_22_listing_the_documents_issues_what_is_due_first(owner: Caller, desk: Desk) -> None:
    charge = desk.charge(211_200)
    (invoice,) = listed(owner, desk)
    assert listed(owner, desk) == [invoice]
    wanted = {
        "kind": "invoice",
        "currency": "JPY",
        "amount": 211_200,
        "tax": 19_200,
        "charge_id": charge,
        "due_on": "2026-04-30",
        "issued_at": "2026-04-20T03:00:00.000Z",
        "language": "ja",
        "original_id": None,
        "sha256": None,
        "mailed_at": None,
    }
    assert {name: invoice[name] for name in wanted} == wanted
    assert invoice["number"].startswith("INV-")
    assert invoice["number"].endswith("-000001")


def test_bl_23_a_document_is_downloaded_as_the_same_pdf_each_time_and_in_both_languages(
    owner: Caller, desk: Desk
) -> None:
    desk.charge(17_600, method="card", status="succeeded")
    (receipt,) = listed(owner, desk)
    path = f"/v1/documents/{receipt['id']}.pdf"
    first, again, english = (owner.call("GET", path + query) for query in ("", "?lang=ja", "?lang=en"))
    assert (first.status_code, first.content_type) == (200, "application/pdf")
    assert first.headers["Content-Disposition"] == f'attachment; filename="{receipt["number"]}.pdf"'
    assert first.data == again.data != english.data
    assert listed(owner, desk)[0]["sha256"] == hashlib.sha256(first.data).hexdigest()
    assert "領収書" in texts(first.data)[0]
    assert "Receipt" in texts(english.data)[0]
    assert "lang" in owner.get(f"{path}?lang=fr", 422)["errors"]


def test_another_accounts_documents_do_not_exist(owner: Caller, stranger: Caller, desk: Desk) -> None:
    charge = desk.charge(17_600, status="succeeded")
    (invoice,) = listed(owner, desk)
    stranger.get(f"/v1/workspaces/{desk.workspace}/documents", 404)
    stranger.get(f"/v1/documents/{invoice['id']}.pdf", 404)
    stranger.post(f"/v1/documents/{invoice['id']}/send", {"by": "mail", "to": "a@b.example"}, 404)
    stranger.post(f"/v1/charges/{charge}/receipt", status=404)
    owner.get("/v1/documents/doc_none.pdf", 404)


def test_a_list_is_told_page_by_page_and_as_it_was_known(owner: Caller, desk: Desk) -> None:
    for month in ("05", "06", "07"):
        desk.charge(100, created=f"2026-{month}-01T00:00")
    desk.advance("2026-08-01T00:00")
    path = f"/v1/workspaces/{desk.workspace}/documents"
    first = owner.get(f"{path}?limit=2")
    rest = owner.get(f"{path}?limit=2&cursor={first['next']}")
    assert (len(first["data"]), len(rest["data"]), rest["next"]) == (2, 1, None)
    assert len(owner.get(f"{path}?as_known_at=2026-06-15T00:00:00Z")["data"]) == 2


def test_bl_24_nothing_is_sent_on_paper(owner: Caller, desk: Desk) -> None:
    desk.charge(17_600)
    (invoice,) = listed(owner, desk)
    told = owner.post(f"/v1/documents/{invoice['id']}/send", {"by": "post"}, 409)
    assert told["rule"] == "BL-24"
    assert desk.rows("mail") == []


def test_a_document_is_mailed_on_request_to_the_contact_or_to_whom_is_said(owner: Caller, desk: Desk) -> None:
    desk.charge(17_600)
    (invoice,) = listed(owner, desk)
    path = f"/v1/documents/{invoice['id']}/send"
    assert "to" in owner.post(path, {"by": "mail"}, 422)["errors"]
    for wrong in ("nobody", "a@b.example\r\nBcc: c@d.example", "a b@c.example"):
        assert "to" in owner.post(path, {"by": "mail", "to": wrong}, 422)["errors"]
    told = owner.post(path, {"by": "mail", "to": "books@suzuran.example"})
    assert (told["to"], told["status"], told["document_id"]) == ("books@suzuran.example", "queued", invoice["id"])
    contact = {"name": "鈴木 蘭", "email": "ran@suzuran.example", "language": "ja"}
    changed = owner.patch(f"/v1/workspaces/{desk.workspace}", {"billing_contact": contact})
    assert changed["billing_contact"] == contact
    assert owner.post(path, {"by": "mail"})["to"] == "ran@suzuran.example"


def test_bl_20_the_contacts_mail_is_queued_with_the_document_and_told_when_it_left(owner: Caller, desk: Desk) -> None:
    contact = {"email": "ran@suzuran.example", "language": "en"}
    owner.patch(f"/v1/workspaces/{desk.workspace}", {"billing_contact": contact})
    desk.charge(17_600)
    (invoice,) = listed(owner, desk)
    assert (invoice["language"], invoice["mailed_at"]) == ("en", None)
    (mail,) = desk.rows("mail")
    assert (mail["recipient"], mail["document_id"]) == ("ran@suzuran.example", invoice["id"])
    desk.run("UPDATE mail SET status = 'sent', sent_at = '2026-04-20T03:01:00Z'")
    assert listed(owner, desk)[0]["mailed_at"] == "2026-04-20T03:01:00.000Z"
    assert owner.patch(f"/v1/workspaces/{desk.workspace}", {"billing_contact": None})["billing_contact"] is None


def test_a_20_a_bank_receipt_is_given_on_request_when_it_is_paid(owner: Caller, desk: Desk) -> None:
    charge = desk.charge(52_800)
    owner.post(f"/v1/charges/{charge}/receipt", status=409)
    desk.status(charge, "succeeded")
    receipt = owner.post(f"/v1/charges/{charge}/receipt")
    assert (receipt["kind"], receipt["amount"], receipt["tax"]) == ("receipt", 52_800, 4_800)
    assert owner.post(f"/v1/charges/{charge}/receipt") == receipt
    assert [row["kind"] for row in listed(owner, desk)] == ["invoice", "receipt"]


def test_b_31_the_admin_says_who_issues_and_who_receives(admin: Caller, owner: Caller, desk: Desk) -> None:
    issuer = {"name": "株式会社みずほ野", "address": "東京都", "registration_number": "T1180301018771"}
    told = admin.patch(ACCOUNT, {"issuer": issuer, "recipient": {"name": "あやめ組"}, "tax_rate": "2/20"})
    assert (told["issuer"], told["recipient"], told["tax_rate"], told["warnings"]) == (
        *(issuer, {"name": "あやめ組"}, "1/10", []),
    )
    assert admin.get(ACCOUNT) == told
    assert admin.patch(ACCOUNT, {"tax_rate": None})["issuer"] == issuer
    owner.get(ACCOUNT, 403)
    owner.patch(ACCOUNT, {"issuer": issuer}, 403)
    admin.get("/v1/accounts/acc_none", 404)
    desk.charge(17_600)
    (invoice,) = listed(owner, desk)
    page = "".join(texts(owner.call("GET", f"/v1/documents/{invoice['id']}.pdf").data)[0].split())
    assert "株式会社みずほ野" in page
    assert "登録番号:T1180301018771" in page
    assert "あやめ組御中" in page


def test_b_32_a_wrong_check_digit_warns_and_a_wrong_number_is_refused(admin: Caller) -> None:
    told = admin.patch(ACCOUNT, {"issuer": {"registration_number": "T2180301018771"}})
    assert len(told["warnings"]) == 1
    for wrong in ("1180301018771", "T118030101877", "T1180301018771 ", ""):
        refused = admin.patch(ACCOUNT, {"issuer": {"registration_number": wrong}}, 422)
        assert "issuer.registration_number" in refused["errors"]
    for rate in ("10", "1", "1/0", "5/00", "20/10", "-1/10", "0.1e1", "x"):
        assert "tax_rate" in admin.patch(ACCOUNT, {"tax_rate": rate}, 422)["errors"]
    assert admin.patch(ACCOUNT, {"tax_rate": "0.08"})["tax_rate"] == "2/25"


def test_bl_27_both_check_sheets_are_one_download_for_anybody_with_a_key(stranger: Caller) -> None:
    answer = stranger.call("GET", "/v1/security-sheets.zip")
    assert (answer.status_code, answer.content_type) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert len(archive.namelist()) == 2
        assert all(archive.read(name).startswith(b"%PDF") for name in archive.namelist())
