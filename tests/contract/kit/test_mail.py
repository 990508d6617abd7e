"""Mail over a real SMTP server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.background import Background
from tests.support.mailbox import Mailbox

from hypereal.kit import mail, settings
from hypereal.kit.mail import Mail, Postponed, Refused, compose, send, server_of
from hypereal.kit.settings import BadSettings, MailSection

ADA = Mail(to="ada@example.com", subject="Budget", text="80 % is used.\n.\nÄ", html="<p>80 % is used.</p>")


def section(url: str | None, sender: str = "Hypereal <hypereal@example.com>") -> MailSection:
    return MailSection.model_validate({"smtp_url": url, "from": sender})


@pytest.fixture
def guarded(background: Background) -> Iterator[Mailbox]:
    running = Mailbox(background, needs_password=True)
    yield running
    running.close()


async def test_a_message_arrives_as_it_was_written(mailbox: Mailbox):
    await send(section(mailbox.url), ADA, "job_1")
    [message] = mailbox.messages
    assert mailbox.recipients == ["ada@example.com"]
    assert message["From"] == "Hypereal <hypereal@example.com>"
    assert (message["Subject"], message["Message-ID"]) == ("Budget", "<job_1@hypereal>")
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert text.get_content().splitlines() == ADA.text.splitlines()
    assert html is not None
    assert html.get_content().strip() == ADA.html


async def test_no_header_can_be_smuggled_in(mailbox: Mailbox):
    evil = Mail(to="ada@example.com", subject="a\r\nBcc: eve@example.com\r\n\r\nbody", text="x")
    await send(section(mailbox.url), evil, "job_1")
    [message] = mailbox.messages
    assert message["Bcc"] is None
    assert message["Subject"] == "a Bcc: eve@example.com body"
    assert mailbox.recipients == ["ada@example.com"]


@pytest.mark.parametrize(
    "to", ["", "ada", "a@b, c@d", "a@b\r\nBcc: c@d", "a b@c", "@b", "a@", "<a@b>\n", "a@b>\r\nRCPT TO:<c@d"]
)
async def test_what_is_no_address_is_refused_for_good(to: str, mailbox: Mailbox):
    with pytest.raises(Refused):
        await send(section(mailbox.url), Mail(to=to, subject="x", text="x"), "job_1")
    assert mailbox.messages == []


async def test_a_refusal_for_good_differs_from_one_for_now(mailbox: Mailbox):
    with pytest.raises(Refused, match="no such mailbox"):
        await send(section(mailbox.url), Mail(to="nobody@example.com", subject="x", text="x"), "job_1")
    mailbox.answers = ["451 later", "554 never"]
    with pytest.raises(Postponed, match="451 later"):
        await send(section(mailbox.url), ADA, "job_1")
    with pytest.raises(Refused, match="never"):
        await send(section(mailbox.url), ADA, "job_1")


async def test_a_server_that_is_away_may_be_there_later():
    with pytest.raises(Postponed, match=r"127\.0\.0\.1 cannot be reached"):
        await send(section("smtp://127.0.0.1:9"), ADA, "job_1")
    with pytest.raises(Postponed, match="cannot be reached"):
        await send(section("smtp://nowhere.invalid"), ADA, "job_1")


async def test_an_address_that_is_not_taken_now_may_be_later(mailbox: Mailbox):
    with pytest.raises(Postponed, match="450 busy"):
        await send(section(mailbox.url), Mail(to="later@example.com", subject="x", text="x"), "job_1")


@pytest.mark.filterwarnings("ignore:Session.login_data is deprecated")  # by the mail server
async def test_the_password_of_the_url_is_used(guarded: Mailbox):
    await send(section(f"smtp://ada%40x:pa%3Ass@127.0.0.1:{guarded.port}"), ADA, "job_1")
    assert (len(guarded.messages), guarded.logins) == (1, [b"ada@x"])
    with pytest.raises(Postponed, match="password") as postponed:
        await send(section(f"smtp://ada:wrong@127.0.0.1:{guarded.port}"), ADA, "job_1")
    assert "wrong" not in str(postponed.value)


def test_a_password_never_crosses_a_network_in_the_clear():
    assert mail._starts_tls(server_of("smtp://a:b@mail.example.com")) is True
    assert mail._starts_tls(server_of("smtp://mail.example.com")) is None
    assert server_of("smtps://mail.example.com").is_tls
    assert (server_of("smtps://mail.example.com").port, server_of("smtp://mail.example.com").port) == (465, 587)
    assert "b" not in repr(server_of("smtp://a:b@host")).replace("Server", "")


async def test_without_a_server_it_is_logged_that_it_was_not_sent(capsys: pytest.CaptureFixture[str]):
    await send(section(None), ADA, "job_1")
    told = capsys.readouterr()
    assert "not sent: no [mail] smtp_url" in told.err + told.out
    assert "ada@example.com" not in told.err + told.out


@pytest.mark.parametrize("sender", ["x", "a@b\r\nBcc: c@d", "a@b, c@d"])
def test_a_sender_that_is_none_is_a_wrong_setting(sender: str, tmp_path: Path):
    with pytest.raises(BadSettings, match=r"mail\.from"):
        settings.load(overrides={"server": {"data_dir": str(tmp_path)}, "mail": {"from": sender}})


@pytest.mark.parametrize("url", ["mail.example.com", "http://x", "smtp://", "smtp://h:99999"])
def test_an_address_of_no_mail_server_is_a_wrong_setting(url: str, tmp_path: Path):
    with pytest.raises(BadSettings, match=r"mail\.smtp_url"):
        settings.load(overrides={"server": {"data_dir": str(tmp_path)}, "mail": {"smtp_url": url}})


def test_the_sender_can_be_set_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYPEREAL_MAIL__FROM", "ops@example.com")
    read = settings.load(overrides={"server": {"data_dir": str(tmp_path)}})
    assert read.mail.sender_address == "ops@example.com"


def test_lines_of_a_message_end_as_they_must():
    assert b"Subject: Budget" in compose(ADA, "Hypereal <hypereal@example.com>", "job_1").as_bytes()
