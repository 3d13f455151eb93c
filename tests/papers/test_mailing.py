"""Mails leave by a real mail server, once for each row, with the bytes that are downloaded; what fails is told."""

import hashlib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from billing.settings import Settings
from billing.store import mail
from tests.papers.desk import Desk
from tests.papers.mailroom import Mailroom
from workers import documents, mailing
from workers.mailing import Mailer, MailServerError, Smtp, send_due
from workers.papers import kept, render

RAN = "ran@suzuran.example"


@pytest.fixture
def room() -> Iterator[Mailroom]:
    made = Mailroom()
    made.open()
    yield made
    made.close()


def queued(desk: Desk, key: str = "notice:1", to: str = RAN, document: str | None = None) -> str:
    with desk.database.transaction("test") as connection:
        return mailing.queue(connection, desk.workspace, "notice", "お知らせ", "本文\n", to, document, key=key)


def due_again(desk: Desk) -> None:
    desk.run("UPDATE mail SET due_at = now() WHERE due_at IS NOT NULL")


def test_bl_20_one_charge_is_one_pdf_is_one_mail_to_the_billing_contact(desk: Desk, room: Mailroom) -> None:
    desk.contact(RAN)
    desk.charge(17_600)
    (invoice,) = desk.issue()
    assert send_due(desk.database, room.address()) == 1
    assert send_due(desk.database, room.address()) == 0
    desk.issue()
    assert send_due(desk.database, room.address()) == 0
    (message,) = room.arrived
    assert room.to == [RAN]
    assert message["From"] == "billing@hidamari.example"
    assert message["Subject"] == f"請求書 {invoice['number']}(株式会社ひだまり商店)"
    body = message.get_body(("plain",))
    assert body is not None
    assert "鈴木 蘭 様" in body.get_content()
    assert "お支払期限: 2026年4月30日" in body.get_content()
    (attached,) = message.iter_attachments()
    assert attached.get_content_type() == "application/pdf"
    assert attached.get_filename() == f"{invoice['number']}.pdf"
    (row,) = desk.rows("mail")
    assert (row["status"], row["sent_at"] is not None, row["due_at"]) == ("sent", True, None)


def test_bl_23_the_mailed_bytes_are_those_of_the_download(desk: Desk, room: Mailroom) -> None:
    desk.contact(RAN, "en")
    charge = desk.charge(17_600, method="card", status="succeeded")
    (receipt,) = desk.issue()
    send_due(desk.database, room.address())
    (attached,) = room.arrived[0].iter_attachments()
    mailed = attached.get_content()
    with desk.database.transaction("test") as connection:
        assert hashlib.sha256(mailed).digest() == hashlib.sha256(kept.pdf(connection, receipt)).digest()
    assert mailed == render.pdf(receipt["content"], "en")
    assert room.arrived[0]["Subject"] == f"Receipt {receipt['number']} from 株式会社ひだまり商店"
    assert receipt["charge_id"] == charge


def test_without_a_billing_contact_no_mail_is_queued(desk: Desk) -> None:
    desk.charge(17_600)
    desk.issue()
    assert desk.rows("mail") == []


def test_without_a_mail_server_mails_wait_and_nothing_fails(desk: Desk) -> None:
    queued(desk)
    assert send_due(desk.database, None) == 0
    assert Mailer(desk.database, None).run() is None
    (row,) = desk.rows("mail")
    assert (row["status"], row["tries"]) == ("queued", 0)


def test_the_same_key_is_one_mail(desk: Desk) -> None:
    assert queued(desk, "dunning:1") == queued(desk, "dunning:1") != queued(desk, "dunning:2")
    assert len(desk.rows("mail")) == 2


def test_a_server_that_was_down_gets_the_same_mail_when_it_is_up(desk: Desk, room: Mailroom) -> None:
    desk.contact(RAN)
    desk.charge(17_600)
    desk.issue()
    room.close()
    for _ in range(3):
        with pytest.raises(MailServerError):
            send_due(desk.database, room.address())
        due_again(desk)
    (row,) = desk.rows("mail")
    assert (row["status"], row["tries"]) == ("queued", 3)
    assert str(room.port) in row["detail"]
    room.open()
    assert send_due(desk.database, room.address()) == 1
    (message,) = room.arrived
    assert message["Message-ID"] == f"<{row['id']}@mail.sekisu>"


def test_a_mail_that_may_have_left_is_sent_again_with_the_same_bytes(desk: Desk, room: Mailroom) -> None:
    desk.contact(RAN)
    desk.charge(17_600)
    desk.issue()
    send_due(desk.database, room.address())
    desk.run("UPDATE mail SET status = 'queued', due_at = now()")  # the sender died before it wrote it down
    send_due(desk.database, room.address())
    first, second = room.arrived
    assert first.as_bytes() == second.as_bytes()


def test_a_refused_recipient_is_a_persons_and_the_next_mail_goes(desk: Desk, room: Mailroom) -> None:
    room.refuse["nobody@suzuran.example"] = "550 5.1.1 no such mailbox"
    lost = queued(desk, "1", "nobody@suzuran.example")
    kept_one = queued(desk, "2")
    assert send_due(desk.database, room.address()) == 1
    rows = {row["id"]: row for row in desk.rows("mail")}
    assert (rows[lost]["status"], rows[lost]["due_at"]) == ("failed", None)
    assert "no such mailbox" in rows[lost]["detail"]
    assert rows[kept_one]["status"] == "sent"
    (alarm,) = desk.rows("alarm")
    assert (alarm["kind"], alarm["workspace_id"]) == ("mail_failed", desk.workspace)
    assert lost in alarm["detail"]
    assert "suzuran" not in alarm["detail"]


@pytest.mark.parametrize("answer", ["451 greylisted", "452 mailbox full"])
def test_a_server_that_says_later_is_asked_later(desk: Desk, room: Mailroom, answer: str) -> None:
    room.refuse[RAN] = answer
    queued(desk)
    assert send_due(desk.database, room.address()) == 0
    (row,) = desk.rows("mail")
    assert row["status"] == "queued"
    assert timedelta(seconds=20) < row["due_at"] - datetime.now(UTC) < timedelta(seconds=60)
    room.refuse.clear()
    due_again(desk)
    assert send_due(desk.database, room.address()) == 1


def test_a_mail_that_the_server_will_not_have_fails_and_one_tried_for_days_too(desk: Desk, room: Mailroom) -> None:
    queued(desk)
    room.full = "552 too large"
    send_due(desk.database, room.address())
    assert desk.rows("mail")[0]["status"] == "failed"
    patient = queued(desk, "2")
    desk.run("UPDATE mail SET tries = %s WHERE id = %s", mailing.MOST_TRIES - 1, patient)
    room.full = "451 not now"
    send_due(desk.database, room.address())
    assert {row["status"] for row in desk.rows("mail")} == {"failed"}


def test_waits_double_up_to_four_hours_and_last_about_three_days() -> None:
    waits = [mailing.backoff_s(tries, lambda: 0.0) for tries in range(1, mailing.MOST_TRIES)]
    assert waits[:3] == [30, 60, 120]
    assert max(waits) == 14_400
    assert 2 < sum(waits) / 86_400 < 4


def test_two_senders_never_take_the_same_mail_and_an_old_one_writes_nothing(desk: Desk) -> None:
    queued(desk)
    with desk.database.transaction("test") as connection:
        (first,) = mail.lease(connection, 10, 60)
    with desk.database.transaction("test") as connection:
        assert mail.lease(connection, 10, 60) == []
    due_again(desk)
    with desk.database.transaction("test") as connection:
        (second,) = mail.lease(connection, 10, 60)
        mail.book(connection, first, "failed", "too late")
        assert mail.get(connection, first["id"])["status"] == "queued"
        mail.book(connection, second, "sent")
        assert mail.get(connection, first["id"])["status"] == "sent"
    assert desk.rows("alarm") == []


def test_the_mailer_works_beside_and_leaves_a_silent_server_alone(desk: Desk, room: Mailroom) -> None:
    queued(desk)
    mailer = Mailer(desk.database, room.address())
    thread = mailer.run()
    assert thread is not None
    thread.join(10)
    assert len(room.arrived) == 1
    room.close()
    queued(desk, "2")
    thread = mailer.run()
    assert thread is not None
    thread.join(10)
    assert mailer.run() is None


def test_a_line_break_in_a_subject_makes_no_header(desk: Desk, room: Mailroom) -> None:
    with desk.database.transaction("test") as connection:
        mailing.queue(connection, desk.workspace, "notice", "a\r\nBcc: x@y.example", "b", RAN, key="1")
    send_due(desk.database, room.address())
    assert room.arrived[0]["Bcc"] is None
    assert room.to == [RAN]


@pytest.mark.parametrize(
    ("url", "sender", "wanted"),
    [
        ("", "", None),
        ("smtp://mail.example", "", Smtp("mail.example", 25, "sekisu@mail.example")),
        (
            "smtps://u%40a.example:p%20w@mail.example",
            "",
            Smtp("mail.example", 465, "u@a.example", "u@a.example", "p w", True),
        ),
        ("smtp://u:p@mail.example:587", "b@c.example", Smtp("mail.example", 587, "b@c.example", "u", "p")),
    ],
)
def test_the_mail_server_is_read_from_its_address(tmp_path: Path, url: str, sender: str, wanted: Smtp | None) -> None:
    settings = Settings(data_dir=tmp_path, smtp_url=url, mail_from=sender)
    assert Smtp.of(settings) == wanted
    assert "p w" not in repr(wanted)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_a_server_that_offers_encryption_is_used_with_it_and_only_with_a_good_certificate(
    desk: Desk, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    room = Mailroom(context=context)
    room.open()
    secure = Smtp("localhost", room.port, "billing@hidamari.example", "billing", "open sesame")
    queued(desk)
    with pytest.raises(MailServerError, match=r"(?i)certificate"):
        send_due(desk.database, secure)
    assert room.arrived == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    due_again(desk)
    assert send_due(desk.database, secure) == 1
    assert (room.tls, room.users) == ([True], ["billing"])
    room.close()


def test_a_password_is_not_sent_in_the_clear_to_another_machine(
    room: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailing, "_LOOPBACK", ())
    with pytest.raises(MailServerError, match="no encryption"), room.address(user="u", password="p").session():
        pass
    assert room.users == []


def test_a_document_can_be_mailed_once_more(desk: Desk, room: Mailroom) -> None:
    desk.charge(17_600)
    (invoice,) = desk.issue()
    with desk.database.transaction("test") as connection:
        documents.send(connection, invoice, "send:1", {"email": RAN})
        documents.send(connection, invoice, "send:2", {"email": RAN})
    assert send_due(desk.database, room.address()) == 2
    assert room.arrived[0]["Message-ID"] != room.arrived[1]["Message-ID"]
