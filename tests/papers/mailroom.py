"""A real mail server on a port of this machine, which may be down, slow to take, or refuse somebody."""

import ssl
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port
from workers.mailing import Smtp


@dataclass
class Mailroom:
    """What arrived, and how the server treats it."""

    refuse: dict[str, str] = field(default_factory=dict)
    full: str = ""
    arrived: list[EmailMessage] = field(default_factory=list)
    to: list[str] = field(default_factory=list)
    tls: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    port: int = 0
    context: ssl.SSLContext | None = None
    controller: Controller | None = None

    def open(self) -> Smtp:
        """Start serving, on the same port each time."""
        self.port = self.port or free_port()
        more: dict[str, Any] = {"tls_context": self.context, "authenticator": self.authenticate} if self.context else {}
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **more)
        self.controller.start()
        return self.address()

    def address(self, **more: Any) -> Smtp:
        return Smtp("127.0.0.1", self.port, "billing@hidamari.example", **more)

    def close(self) -> None:
        if self.controller is not None:
            self.controller.stop()
            self.controller = None

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: Any) -> AuthResult:
        good = isinstance(given, LoginPassword) and given.password == b"open sesame"
        if good:
            self.users.append(given.login.decode())
        return AuthResult(success=good)

    async def handle_RCPT(  # noqa: N802 - the server's own name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.full:
            return self.full
        raw = envelope.original_content or b""
        self.arrived.append(message_from_bytes(raw, policy=policy.default))
        self.to += envelope.rcpt_tos
        self.tls.append(session.ssl is not None)
        return "250 taken"
