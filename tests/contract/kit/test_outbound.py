"""Fetching from strangers, on real sockets. 127.0.0.2 plays the world, 127.0.0.1 what is inside."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.certificate import Certificate
from tests.support.sites import PNG, Names, Site, answer, site_at

from hypereal.kit.errors import UnusableUrl
from hypereal.kit.outbound import Outbound, Wanted, bodies, outbound, read_allowed

WORLD, INSIDE = "127.0.0.2", "127.0.0.1"
ANY = Wanted(bytes_max=1_000_000)
IMAGE = Wanted(bytes_max=1_000_000, types=("image/",))
OPEN = read_allowed([f"{WORLD}/32"])


@pytest_asyncio.fixture
async def world() -> AsyncIterator[Site]:
    async with site_at(WORLD) as site:
        yield site


@pytest_asyncio.fixture
async def inside(world: Site) -> AsyncIterator[Site]:
    """On the same port as the world."""
    async with site_at(INSIDE, world.port) as site:
        site.says("/", b"secret", "text/plain")
        site.says("/a.png", PNG)
        yield site


@pytest.fixture
def names() -> Names:
    return Names(world_example=[[WORLD]], inside_example=[[INSIDE]], both_example=[[WORLD, INSIDE]])


@pytest_asyncio.fixture
async def client(names: Names) -> AsyncIterator[Outbound]:
    opened = Outbound(OPEN, resolve=names)
    yield opened
    await opened.close()


async def refused(client: Outbound, url: str, wanted: Wanted = ANY) -> UnusableUrl:
    with pytest.raises(UnusableUrl) as error:
        await client.fetch(url, "image_url", wanted)
    assert error.value.param == "image_url"
    assert error.value.message.startswith("image_url: ")
    assert "secret" not in str(error.value)
    return error.value


async def test_what_is_there_comes_with_its_type(client: Outbound, world: Site):
    world.says("/a.png", PNG, "application/octet-stream")
    fetched = await client.fetch(f"http://world.example:{world.port}/a.png", "image_url", IMAGE)
    assert (fetched.body, fetched.content_type) == (PNG, "image/png")
    head = world.heads[0].decode().lower()
    assert f"host: world.example:{world.port}\r\n" in head
    assert "accept-encoding: identity" in head
    for name in ("cookie", "authorization", "referer"):
        assert name not in head


async def test_a_connection_is_used_again(client: Outbound, world: Site):
    world.says("/a.png", PNG)
    for _ in range(3):
        await client.fetch(f"http://world.example:{world.port}/a.png", "image_url", IMAGE)
    assert (len(world.heads), world.connections) == (3, 1)


@pytest.mark.parametrize(
    "host",
    [
        "inside.example",
        "both.example",
        "INSIDE.example.",
        "nowhere.example",
        "127.0.0.1",
        "127.0.0.3",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "0",
        "localhost",
        "world.example@127.0.0.1",
        "world.example\\@127.0.0.1",
        "169.254.169.254",
    ],
)
async def test_nothing_inside_is_ever_connected_to(host: str, client: Outbound, inside: Site):
    error = await refused(client, f"http://{host}:{inside.port}/")
    assert (inside.connections, inside.heads) == (0, [])
    assert not error.is_temporary


async def test_a_private_name_is_told_like_one_that_does_not_exist(client: Outbound, inside: Site):
    private = await refused(client, f"http://inside.example:{inside.port}/")
    unknown = await refused(client, f"http://nowhere.example:{inside.port}/")
    assert private.message == unknown.message


async def test_names_that_change_their_answer_are_asked_once_a_connection(world: Site, inside: Site):
    world.says("/a.png", PNG, connection="close")
    names = Names(turning_example=[[WORLD], [INSIDE]])
    client = Outbound(OPEN, resolve=names)
    url = f"http://turning.example:{world.port}/a.png"
    assert (await client.fetch(url, "image_url", IMAGE)).body == PNG
    assert names.asked == ["turning.example"]
    await refused(client, url)
    assert inside.connections == 0
    await client.close()


async def test_an_answer_that_turns_between_check_and_fetch_is_caught(world: Site, inside: Site):
    names = Names(turning_example=[[WORLD], [INSIDE]])
    client = Outbound(OPEN, resolve=names)
    url = f"http://turning.example:{world.port}/a.png"
    await client.check(url, "image_url")
    await refused(client, url)
    assert inside.connections == 0
    await client.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "http://inside.example:{port}/a.png",
        "//127.0.0.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0x7f.1:{port}/",
        "http://x@127.0.0.1:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "/again",
    ],
)
async def test_a_redirect_inside_is_not_followed(
    location: str, status: int, client: Outbound, world: Site, inside: Site
):
    world.redirects("/again", location.format(port=inside.port), status)
    world.redirects("/a.png", "/again", status)
    await refused(client, f"http://world.example:{world.port}/a.png")
    assert inside.connections == 0


async def test_a_redirect_outside_is(client: Outbound, world: Site):
    world.redirects("/a.png", f"//world.example:{world.port}/b.png")
    world.redirects("/b.png", "c.png", 307)
    world.says("/c.png", PNG)
    assert (await client.fetch(f"http://{WORLD}:{world.port}/a.png", "image_url", IMAGE)).body == PNG


async def test_redirects_end(client: Outbound, world: Site):
    world.redirects("/a.png", "/a.png")
    error = await refused(client, f"http://world.example:{world.port}/a.png")
    assert "more than 5 times" in error.message
    assert len(world.heads) == 6


async def test_plain_http_is_refused_where_https_is_wanted(client: Outbound, world: Site):
    wanted = Wanted(bytes_max=100, https_only=True)
    await refused(client, f"http://world.example:{world.port}/a.png", wanted)
    assert world.connections == 0


def endless(content_type: str) -> Callable[[asyncio.StreamWriter, bytes], object]:
    async def write(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n" % content_type.encode() + PNG)
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    return write


async def test_an_endless_body_ends_at_the_bound(client: Outbound, world: Site):
    world.answers["/a.png"] = endless("image/png")
    error = await refused(client, f"http://world.example:{world.port}/a.png", IMAGE)
    assert "over 1000000 bytes" in error.message


async def test_a_length_over_the_bound_is_refused_before_the_body(client: Outbound, world: Site):
    world.answers["/a.png"] = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"
    assert "over 1000000 bytes" in (await refused(client, f"http://world.example:{world.port}/a.png", IMAGE)).message


async def test_a_gzip_bomb_is_counted_unpacked(client: Outbound, world: Site):
    bomb = gzip.compress(PNG + bytes(100_000_000))
    assert len(bomb) < 200_000
    world.says("/a.png", bomb, content_encoding="gzip")
    assert "over 1000000 bytes" in (await refused(client, f"http://world.example:{world.port}/a.png", IMAGE)).message


async def test_an_honest_gzip_is_unpacked(client: Outbound, world: Site):
    world.says("/a.png", gzip.compress(PNG), content_encoding="gzip")
    assert (await client.fetch(f"http://{WORLD}:{world.port}/a.png", "image_url", IMAGE)).body == PNG


async def test_what_follows_a_gzip_for_ever_ends_too(client: Outbound, world: Site):
    async def write(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(PNG))
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    world.answers["/a.png"] = write
    assert "over 1000000 bytes" in (await refused(client, f"http://world.example:{world.port}/a.png", IMAGE)).message


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + PNG[:5]]
)
async def test_a_silent_site_is_given_up(said: bytes, client: Outbound, world: Site):
    def write(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(said)

    world.answers["/a.png"] = write
    wanted = Wanted(bytes_max=1000, total_s=0.2)
    error = await refused(client, f"http://world.example:{world.port}/a.png", wanted)
    assert "in time" in error.message
    assert error.is_temporary


async def test_a_head_that_drips_is_given_up(client: Outbound, world: Site):
    async def write(writer: asyncio.StreamWriter, _: bytes) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    world.answers["/a.png"] = write
    assert (
        "in time"
        in (await refused(client, f"http://{WORLD}:{world.port}/a.png", Wanted(bytes_max=9, total_s=0.3))).message
    )


async def test_a_body_that_drips_is_given_up(client: Outbound, world: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bodies, "DRIP_S", 0.2)

    async def write(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for byte in PNG:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    world.answers["/a.png"] = write
    assert "too slowly" in (await refused(client, f"http://{WORLD}:{world.port}/a.png")).message


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html><script>", "image/png"),
        (b"<svg onload=x>", "text/plain"),
        (b"plain", "image/png"),
        (b"plain", "image/x-new"),
        (b"", "image/png"),
        (b"\x7fELF", "image/png"),
        (b"\0\0\0\x18ftypisom", "image/png"),
    ],
)
async def test_the_wrong_type_is_refused(body: bytes, content_type: str, client: Outbound, world: Site):
    world.says("/a.png", body, content_type)
    error = await refused(client, f"http://world.example:{world.port}/a.png", Wanted(bytes_max=99, types=("image/p",)))
    assert "not image" in error.message


@pytest.mark.parametrize(
    ("status", "is_temporary"), [(404, False), (403, False), (500, True), (429, True), (206, False)]
)
async def test_a_refusal_of_the_site_is_told(status: int, is_temporary: bool, client: Outbound, world: Site):
    world.says("/a.png", b"secret", status=status)
    error = await refused(client, f"http://world.example:{world.port}/a.png")
    assert f"status {status}" in error.message
    assert error.is_temporary == is_temporary


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"\0\0\0", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
async def test_what_is_no_http_is_refused(said: bytes, client: Outbound, world: Site):
    def write(writer: asyncio.StreamWriter, _: bytes) -> None:
        writer.write(said)
        writer.close()

    world.answers["/a.png"] = write
    assert "HTTP" in (await refused(client, f"http://world.example:{world.port}/a.png")).message


async def test_a_closed_port_is_told(client: Outbound, world: Site):
    async with site_at(WORLD) as gone:
        port = gone.port
    assert "reached" in (await refused(client, f"http://world.example:{port}/")).message


async def test_of_several_addresses_the_one_that_answers_is_used(world: Site):
    world.says("/a.png", PNG)
    client = Outbound(read_allowed(["127.0.0.2/31"]), resolve=Names(two_example=[["127.0.0.3", WORLD]]))
    assert (await client.fetch(f"http://two.example:{world.port}/a.png", "image_url", IMAGE)).body == PNG
    await client.close()


async def test_tls_goes_by_the_name_and_not_by_the_address(tmp_path: Path):
    certificate = Certificate(tmp_path, "world.example")
    trust = ssl.create_default_context(cafile=str(certificate.file))
    names = Names(world_example=[[WORLD]], other_example=[[WORLD]])
    client = Outbound(OPEN, resolve=names, tls=trust)
    async with site_at(WORLD, tls=certificate.server_context()) as site:
        site.says("/a.png", PNG)
        fetched = await client.fetch(f"https://world.example:{site.port}/a.png", "image_url", IMAGE)
        assert fetched.body == PNG
        assert "reached" in (await refused(client, f"https://other.example:{site.port}/a.png")).message
        assert len(site.heads) == 1
    await client.close()


async def test_the_rest_of_a_file_is_asked_for_by_its_etag(client: Outbound, world: Site):
    rest = {"content_range": f"bytes 100-{len(PNG) - 1}/{len(PNG)}", "etag": '"1"'}
    world.says("/a.png", PNG[100:], status=206, **rest)
    async with client.open(f"http://{WORLD}:{world.port}/a.png", "url", ANY, offset=100, etag='"1"') as incoming:
        assert (incoming.offset, incoming.size_bytes, incoming.etag) == (100, len(PNG), '"1"')
        assert b"".join([piece async for piece in incoming]) == PNG[100:]
    assert b'range: bytes=100-\r\nif-range: "1"' in world.heads[0].lower()


async def test_a_file_that_has_changed_comes_from_its_beginning(client: Outbound, world: Site):
    world.says("/a.png", PNG)
    async with client.open(f"http://{WORLD}:{world.port}/a.png", "url", ANY, offset=100, etag='"1"') as incoming:
        assert incoming.offset == 0
        assert b"".join([piece async for piece in incoming]) == PNG


async def test_a_part_that_was_not_asked_for_is_refused(client: Outbound, world: Site):
    world.says("/a.png", PNG[50:], status=206, content_range=f"bytes 50-{len(PNG) - 1}/{len(PNG)}")
    with pytest.raises(UnusableUrl, match="another part"):
        async with client.open(f"http://{WORLD}:{world.port}/a.png", "url", ANY, offset=100, etag='"1"'):
            pass


async def test_who_reads_may_fail_with_its_own_errors(client: Outbound, world: Site):
    world.says("/a.png", PNG)
    for error in (TimeoutError("the database"), OSError("the disk"), ValueError("x")):
        with pytest.raises(type(error), match=str(error)):
            async with client.open(f"http://{WORLD}:{world.port}/a.png", "url", ANY):
                raise error


async def test_a_post_is_sent_whole_and_its_answer_told(client: Outbound, world: Site):
    world.says("/hook", b"thanks", status=503, retry_after="7")
    posted = await client.post(f"http://world.example:{world.port}/hook", "url", b"body", {"x-a": "b"}, 5.0)
    assert (posted.status, posted.retry_after_s, world.bodies) == (503, 7.0, [b"body"])
    assert b"\r\nx-a: b\r\n" in world.heads[0]


async def test_a_post_does_not_follow(client: Outbound, world: Site, inside: Site):
    world.redirects("/hook", f"http://inside.example:{inside.port}/", 307)
    assert (await client.post(f"http://world.example:{world.port}/hook", "url", b"body", {}, 5.0)).status == 307
    assert inside.connections == 0


async def test_a_post_is_no_way_inside(client: Outbound, inside: Site):
    with pytest.raises(UnusableUrl, match="webhook_url: its host has no public address"):
        await client.post(f"http://inside.example:{inside.port}/", "webhook_url", b"x", {}, 5.0)
    assert inside.connections == 0


async def test_an_endless_answer_to_a_post_is_not_read(client: Outbound, world: Site):
    world.answers["/hook"] = endless("text/plain")
    assert (await client.post(f"http://{WORLD}:{world.port}/hook", "url", b"x", {}, 5.0)).status == 200


async def test_proxies_of_the_environment_are_not_used(world: Site, inside: Site, monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    world.says("/a.png", PNG)
    client = Outbound(OPEN)
    assert (await client.fetch(f"http://{WORLD}:{world.port}/a.png", "image_url", IMAGE)).body == PNG
    assert inside.connections == 0
    await client.close()


async def test_names_of_the_machine_are_resolved_and_checked(inside: Site):
    client = Outbound()
    await refused(client, f"http://localhost:{inside.port}/")
    allowed = Outbound(read_allowed(["localhost"]))
    assert (await allowed.fetch(f"http://localhost:{inside.port}/a.png", "image_url", IMAGE)).body == PNG
    await client.close()
    await allowed.close()


async def test_connections_are_bounded(world: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbound, "CONNECTIONS_MAX", 2)
    open_now, most = 0, 0

    async def write(writer: asyncio.StreamWriter, _: bytes) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.05)
        open_now -= 1
        writer.write(answer(PNG, "image/png"))

    world.answers["/a.png"] = write
    client = Outbound(OPEN)
    url = f"http://{WORLD}:{world.port}/a.png"
    await asyncio.gather(*(client.fetch(url, "image_url", IMAGE) for _ in range(8)))
    assert most == 2
    await client.close()
