"""The bytes of a document: rendered once, kept, and the same ever after for download and mail (BL-23)."""

import hashlib

from billing.store import documents
from billing.store.db import Conn, Row
from workers.papers import render


def pdf(connection: Conn, document: Row, language: str | None = None) -> bytes:
    """The PDF of a document (a whole row) in `ja` or `en`, by default in its own language. Raises RenderError."""
    wanted = language or document["language"]
    kept = documents.pdf(connection, document, wanted)
    if kept is not None:
        return kept
    made = render.pdf(document["content"], wanted)
    documents.keep_pdf(connection, document, wanted, hashlib.sha256(made).hexdigest(), made)
    # Somebody may have been first, with another version of this program.
    return documents.pdf(connection, document, wanted) or made
