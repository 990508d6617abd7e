"""Mail to people, over SMTP. Only jobs send it: a mail server that is away is tried again, and nobody waits for it.

Addresses and subjects may come from anybody, so they reach a message by `EmailMessage` alone, which folds and encodes;
what would break a line is refused before.
"""

import ipaddress
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib
import msgspec

from hypereal.kit import log
from hypereal.kit.clock import utc_now
from hypereal.kit.settings import MailSection

SEND_S_MAX = 60.0
PORTS = {"smtp": 587, "smtps": 465}
SUBJECT_LENGTH_MAX = 200


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one person."""

    to: str
    subject: str
    text: str
    html: str | None = None
    """The same, for those who can show it."""


class Refused(Exception):
    """The message can never be delivered: sending it again cannot help."""


class Postponed(Exception):
    """It was not delivered now and may be later: the server is away, is busy (4xx), or does not take the password."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server, from `smtp://user:password@host:587` (TLS once connected) or `smtps://…` (TLS from the start)."""

    host: str
    port: int
    user: str | None
    password: str | None
    is_tls: bool

    @property
    def is_near(self) -> bool:
        """On this machine: nobody reads what goes there, and its certificate is rarely more than a placeholder."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __repr__(self) -> str:
        return f"Server({self.host}:{self.port})"


def server_of(smtp_url: str) -> Server:
    """The server that a setting names. The settings have checked its shape."""
    url = urlsplit(smtp_url)
    return Server(
        host=url.hostname or "",
        port=url.port or PORTS[url.scheme],
        user=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        is_tls=url.scheme == "smtps",
    )


async def send(settings: MailSection, mail: Mail, message_id: str) -> None:
    """Send MAIL. MESSAGE_ID is the same for every try, so that a mailbox shows one message.

    Raises Refused where the address or the server's answer says that it never will be, Postponed where it may be later.
    Without a server it is logged that it was not sent.
    """
    if settings.smtp_url is None:
        log.get("mail").warning("not sent: no [mail] smtp_url", subject=mail.subject, id=message_id)
        return
    server = server_of(settings.smtp_url)
    message = compose(mail, settings.sender, message_id)
    try:
        await aiosmtplib.send(
            message,
            sender=settings.sender_address,
            recipients=[message["To"].addresses[0].addr_spec],
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.is_tls,
            start_tls=False if server.is_tls else _starts_tls(server),
            validate_certs=not server.is_near,
            timeout=SEND_S_MAX,
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        first = error.recipients[0]
        why = f"{server.host} refuses the address: {first.code} {first.message}"
        raise Refused(why) if all(refused.code >= 500 for refused in error.recipients) else Postponed(why) from None
    except aiosmtplib.SMTPAuthenticationError as error:  # which can be mended
        raise Postponed(
            f"{server.host} refuses the password of [mail] smtp_url: {error.code} {error.message}"
        ) from None
    except aiosmtplib.SMTPResponseException as error:
        why = f"{server.host} refuses the message: {error.code} {error.message}"
        raise Refused(why) if error.code >= 500 else Postponed(why) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise Postponed(f"{server.host} cannot be reached: {error or type(error).__name__}") from None


def compose(mail: Mail, sender: str, message_id: str) -> EmailMessage:
    """MAIL as it goes over the wire. Raises Refused for an address that is none."""
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = Address(addr_spec=mail.to)
        message["Subject"] = " ".join(mail.subject.split())[:SUBJECT_LENGTH_MAX]
    except (ValueError, IndexError, MessageError):  # the parser of addresses raises all three
        raise Refused("That is not an e-mail address, or not a subject.") from None
    message["Date"] = format_datetime(utc_now())
    message["Message-ID"] = f"<{message_id}@hypereal>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: out-of-office replies stay away
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    return message


def _starts_tls(server: Server) -> bool | None:
    """Where it is offered (None); always where a password would else cross the network in the clear."""
    return True if server.user is not None and not server.is_near else None
