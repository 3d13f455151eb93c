"""Mails: queued as rows, sent by SMTP outside any transaction. One row is one mail, however often it is tried.

Without a mail server (`SEKISU_SMTP_URL`) rows wait. A refused recipient fails at once, everything else is tried again
for days; what failed raises an alarm and is a person's.
"""

import contextlib
import logging
import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from random import random
from typing import Any
from urllib.parse import unquote, urlsplit

from billing import crash
from billing.core.errors import SekisuError
from billing.core.money import written
from billing.settings import Settings
from billing.store import documents, mail
from billing.store.db import Conn, Database, Row
from workers.papers import kept, words

_LOG = logging.getLogger("sekisu.mailing")
BATCH = 10
#: Seconds for each step of the talk with a mail server.
TIMEOUT_S = 10.0
#: Longer than a batch can take, so that two senders never overlap by plan.
LEASE_S = 600.0
#: Tries of one mail, about three days of them; then a person decides.
MOST_TRIES = 24
#: Seconds to leave a mail server alone that did not answer.
REST_S = 30.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class MailServerError(SekisuError):
    """The mail server does not answer, or not as it should; every mail may go later."""

    code = "mail_server"
    retry = True


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server, and whom its mails are from. `password` is never in the repr."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Smtp | None":
        """The mail server of the settings; None when none is set."""
        if not settings.smtp_url:
            return None
        url = urlsplit(settings.smtp_url)
        tls, user = url.scheme == "smtps", unquote(url.username or "")
        host = url.hostname or "127.0.0.1"
        sender = settings.mail_from or (user if "@" in user else f"sekisu@{host}")
        return cls(host, url.port or (465 if tls else 25), sender, user, unquote(url.password or ""), tls)

    @contextlib.contextmanager
    def session(self) -> Iterator[smtplib.SMTP]:
        """A talk with the server, encrypted where it offers that. Raises MailServerError."""
        try:
            with self._connect() as server:
                yield server
        except (OSError, smtplib.SMTPException) as fault:  # SMTPException is an OSError; said for the reader
            raise MailServerError(f"the mail server {self.host}:{self.port} does not serve: {fault}") from fault

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        try:
            server.ehlo()
            if not self.tls and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif self.user and not self.tls and self.host not in _LOOPBACK:
                raise smtplib.SMTPException("it offers no encryption, so the password is not sent to it")
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server


def queue(
    connection: Conn,
    workspace_id: str,
    kind: str,
    subject: str,
    body: str,
    to: str,
    attachment_document: str | None = None,
    *,
    key: str,
) -> str:
    """Queue a mail in the caller's transaction, once for each `key` of the workspace; answers its id.

    `attachment_document` is the id of a document whose PDF goes along, in the document's own language.
    """
    line = " ".join(subject.split())
    return mail.queue(connection, workspace_id, key, kind, to, line, body, attachment_document)


def send_due(database: Database, smtp: Smtp | None) -> int:
    """Send every mail that is due; answers how many left. Without a server nothing is tried.

    Raises MailServerError (what was leased is tried again later) and UnavailableError.
    """
    sent = 0
    while smtp is not None:
        with database.transaction("mail.lease") as connection:
            leased = mail.lease(connection, BATCH, LEASE_S)
        if not leased:
            break
        sent += _send(database, smtp, leased)
    return sent


def _send(database: Database, smtp: Smtp, leased: list[Row]) -> int:
    left, sent = list(leased), 0
    try:
        with smtp.session() as server:
            while left:
                message = _message(database, left[0], smtp.sender)
                refusal = _post(server, message, smtp.sender, left[0]["recipient"])
                row = left.pop(0)
                sent += refusal is None
                with database.transaction("mail.book") as connection:
                    _book(connection, row, refusal)
    except MailServerError as fault:
        with database.transaction("mail.back") as connection:
            for row in left:
                _book(connection, row, (False, str(fault)))
        raise
    return sent


def _post(server: smtplib.SMTP, message: EmailMessage | None, sender: str, to: str) -> tuple[bool, str] | None:
    """Send one mail; None when it left, else (whether for good, why). Raises SMTPException when the talk is over."""
    if message is None:
        return True, "its document cannot be set"
    try:
        with crash.around("mail.send"):
            server.send_message(message, sender, [to])
    except smtplib.SMTPRecipientsRefused as fault:
        code, said = next(iter(fault.recipients.values()))
        return code >= 500, f"{code} {_text(said)}"
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as fault:
        return fault.smtp_code >= 500, f"{fault.smtp_code} {_text(fault.smtp_error)}"
    return None


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


def _book(connection: Conn, row: Row, refusal: tuple[bool, str] | None) -> None:
    if refusal is None:
        mail.book(connection, row, "sent")
        return
    for_good, why = refusal
    if for_good or row["tries"] >= MOST_TRIES:
        mail.book(connection, row, "failed", why)
    else:
        mail.book(connection, row, "queued", why, backoff_s(row["tries"], random))


def backoff_s(tries: int, roll: Callable[[], float]) -> float:
    """Seconds to wait after so many tries: doubling from 30 s to 4 h, with up to a quarter of jitter (`roll` 0..1)."""
    return float(min(30 * 2 ** min(tries - 1, 10), 14_400)) * (1 + roll() / 4)


def _message(database: Database, row: Row, sender: str) -> EmailMessage | None:
    """The mail of a row: the same bytes each time it is tried. None when its document cannot be set."""
    message = EmailMessage(policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, row["recipient"], row["subject"]
    message["Date"] = format_datetime(row["created_at"])
    message["Message-ID"] = f"<{row['id']}@mail.sekisu>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(row["body"], cte="base64")
    if row["document_id"] is not None:
        try:
            with database.transaction("mail.compose") as connection:
                document = documents.get(connection, None, row["document_id"])
                content = kept.pdf(connection, document)
        except SekisuError as fault:
            if fault.retry:
                raise
            _LOG.exception("mail %s: its document cannot be set", row["id"])
            return None
        message.add_attachment(content, "application", "pdf", filename=f"{document['number']}.pdf")
        message.set_boundary(row["id"])
    return message


def letter(content: Mapping[str, Any], contact: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and body of the mail that carries a document, in the document's language."""
    language, number = content["language"], content["number"]
    title, issuer = words.title(content, language), content["issuer"]["name"]
    amount, due = written(content["amount"], content["currency"]), content["due_on"]
    name = contact.get("name") or content["recipient"].get("name") or ""
    if language == "ja":
        until = f"お支払期限: {words.day(due, language)}\n" if due else ""
        body = f"{name} 様\n\n{title}をPDFでお送りします。\n\n番号: {number}\n金額: {amount}\n{until}\n{issuer}\n"
        return f"{title} {number}({issuer})", body
    until = f"Due on: {due}\n" if due else ""
    body = f"Dear {name},\n\nplease find the document attached as PDF.\n\n"
    return f"{title} {number} from {issuer}", f"{body}Number: {number}\nAmount: {amount}\n{until}\n{issuer}\n"


class Mailer:
    """Sends due mails in a thread of its own: a mail server that is silent must not hold up anything else."""

    def __init__(self, database: Database, smtp: Smtp | None) -> None:
        self._database = database
        self._smtp = smtp
        self._busy = threading.Lock()
        self._rested = 0.0

    def run(self) -> threading.Thread | None:
        """Start sending, unless there is no server, one is sending, or the server was silent just now."""
        if self._smtp is None or time.monotonic() < self._rested or not self._busy.acquire(blocking=False):
            return None
        thread = threading.Thread(target=self._work, name="mail", daemon=True)
        thread.start()
        return thread

    def _work(self) -> None:
        try:
            send_due(self._database, self._smtp)
        except MailServerError as fault:
            self._rested = time.monotonic() + REST_S
            _LOG.warning("%s; mails wait", fault)
        except Exception:  # noqa: BLE001 - the row stays due, and the next sweep starts another thread
            _LOG.exception("mails are not sent; they stay due")
        finally:
            self._busy.release()
