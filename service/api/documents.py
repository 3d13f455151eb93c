"""Invoices, receipts and return invoices: listed, downloaded, mailed; never on paper (BL-24), never changed (XX-13)."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields

from billing.core.documents import LANGUAGES
from billing.core.errors import RefusedError
from billing.store import books, mail, views
from billing.store import documents as store
from billing.store.ids import new_id
from service.api import here, paging
from service.api.faults import FieldsError
from service.api.fields import Day, Instant, mail_address, one_of, page_of
from service.api.resource import Resource
from workers import documents
from workers.papers import kept, sheets

DOCUMENTS = Resource("documents", "Invoices, receipts, return invoices, and the sheets that anybody may ask for.")
_PDF, _ZIP = "application/pdf", "application/zip"


class Document(Schema):
    """A document. The amounts of a return invoice are negative; `tax` is within `amount`.

    `sha256` is of the PDF in the document's own language, from when it was first downloaded or mailed.
    """

    id = fields.String(required=True)
    kind = fields.String(required=True, metadata={"enum": ["invoice", "receipt", "return_invoice"]})
    number = fields.String(required=True)
    issued_at = Instant(required=True)
    currency = fields.String(required=True)
    amount = fields.Integer(required=True)
    tax = fields.Integer(required=True)
    charge_id = fields.String(required=True)
    original_id = fields.String(required=True, allow_none=True)
    due_on = Day(required=True, allow_none=True)
    language = fields.String(required=True, metadata={"enum": list(LANGUAGES)})
    sha256 = fields.String(required=True, allow_none=True)
    mailed_at = Instant(required=True, allow_none=True)


class LanguageQuery(Schema):
    """In which language; by default the document's own."""

    lang = one_of(*LANGUAGES)


class SheetsQuery(Schema):
    """In which language; by default Japanese."""

    lang = one_of(*LANGUAGES, load_default="ja")


class Sending(Schema):
    """How to send a document; without `to` it goes to the workspace's billing contact."""

    by = one_of("mail", "post", required=True)
    to = mail_address()


class Mail(Schema):
    """A mail on its way: queued, sent, or failed for good (`detail` says why)."""

    id = fields.String(required=True)
    document_id = fields.String(required=True)
    to = fields.String(required=True, attribute="recipient")
    status = fields.String(required=True, metadata={"enum": ["queued", "sent", "failed"]})
    detail = fields.String(required=True, allow_none=True)
    sent_at = Instant(required=True, allow_none=True)


@DOCUMENTS.get("/workspaces/<workspace_id>/documents", page_of(Document), paging.KnownQuery)
def get_documents(query: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """The documents of a workspace, the newest last; what is due is issued first, so that none is missed."""
    connection = here.connection()
    views.require(connection, here.scope(), workspace_id)
    (after,) = paging.after(query, "documents", str) or (None,)
    documents.issue_due(connection, workspace_id)
    found = store.page(connection, workspace_id, query.get("as_known_at"), after, query["limit"] + 1)
    return paging.page(found, query, "documents", paging.by_id)


@DOCUMENTS.get_file("/documents/<document_id>.pdf", _PDF, LanguageQuery)
def get_document(query: dict[str, Any], document_id: str) -> Response:
    """One document as PDF: the same bytes each time, and the same as were mailed (BL-23)."""
    document = store.get(here.connection(), here.scope(), document_id)
    content = kept.pdf(here.connection(), document, query.get("lang"))
    return _file(content, _PDF, f"{document['number']}.pdf")


@DOCUMENTS.post("/documents/<document_id>/send", Mail, Sending)
def send_document(body: dict[str, Any], document_id: str) -> dict[str, Any]:
    """Mail a document once more; nothing is sent on paper (BL-24)."""
    connection = here.connection()
    document = store.get(connection, here.scope(), document_id)
    if body["by"] == "post":
        raise RefusedError("BL-24", "documents are mailed or downloaded; none is sent on paper")
    contact = views.require(connection, here.scope(), document["workspace_id"])["billing_contact"] or {}
    to = body.get("to") or contact.get("email")
    if to is None:
        raise FieldsError({"to": ["The workspace has no billing contact; say where to."]})
    mail_id = documents.send(connection, document, f"send:{new_id('snd')}", {**contact, "email": to})
    return mail.get(connection, mail_id)


@DOCUMENTS.post("/charges/<charge_id>/receipt", Document)
def ask_for_receipt(charge_id: str) -> dict[str, Any]:
    """The receipt of a paid charge; that of a bank transfer is issued when it is asked for (A-20)."""
    connection = here.connection()
    books.charge(connection, here.scope(), charge_id)
    return store.shown(connection, documents.receipt(connection, here.scope(), charge_id))


@DOCUMENTS.get_file("/security-sheets.zip", _ZIP, SheetsQuery)
def get_security_sheets(query: dict[str, Any]) -> Response:
    """Both security check sheets in one download, for nothing and without a registration (BL-27)."""
    folder = here.house().settings.data_dir / "security-sheets"
    return _file(sheets.bundle(folder, query["lang"]), _ZIP, "security-sheets.zip")


def _file(content: bytes, content_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(content, content_type=content_type, headers=headers)
