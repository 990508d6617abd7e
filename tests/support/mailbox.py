"""A real SMTP server that keeps what it is sent."""

import asyncio
import warnings
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.support.background import Background


class Mailbox:
    """What was delivered, and what the next deliveries are answered instead."""

    def __init__(self, background: Background, *, needs_password: bool = False) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: list[str] = []
        self.logins: list[bytes] = []
        self._background = background
        self._needs_password = needs_password
        self._server = background.run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._connection, "127.0.0.1", 0)

    def _connection(self) -> SMTP:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # it warns of passwords without TLS
            return SMTP(
                self,
                auth_required=self._needs_password,
                auth_require_tls=False,
                authenticator=self._authenticate,
                loop=asyncio.get_running_loop(),
            )

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox"
        if address.startswith("later"):
            return "450 busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
        self.recipients += envelope.rcpt_tos
        return "250 kept"

    def _authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, data: LoginPassword) -> AuthResult:
        self.logins.append(data.login)
        return AuthResult(success=data.password == b"pa:ss", handled=False)

    def close(self) -> None:
        self._background.loop.call_soon_threadsafe(self._server.close)

    async def wait(self, count: int) -> list[EmailMessage]:
        """The messages, once there are COUNT."""
        async with asyncio.timeout(60):
            while len(self.messages) < count:
                await asyncio.sleep(0.01)
        return self.messages


@pytest.fixture
def mailbox(background: Background) -> Iterator[Mailbox]:
    """A mail server without passwords."""
    running = Mailbox(background)
    yield running
    running.close()
