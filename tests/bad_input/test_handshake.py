"""Bad requests: what comes before a WebSocket, or instead of one."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from tests.bad_input.attack import MIB, PATIENCE, Attack, Case, Cases, Client, attacking, in_rows
from tests.bad_input.conftest import ServerFor
from tests.server.builders import KEY, client_close, client_frame, client_header, client_text, upgrade

CASES: Cases = []
HASTY = {"handshake_timeout": 0.4, "close_timeout": 0.4}
SMUGGLED = b"GET /path HTTP/1.1\r\nHost: example.com\r\n\r\n"


def refused(status: int, row: str, *request: bytes, field: str = "connection: close", **options: Any) -> None:
    """These bytes get one response with this status and this field, nothing else, and then the connection ends."""

    def run(attack: Attack) -> None:
        client = attack.connect()
        client.send(*request)
        answer, fields, _ = client.response()
        assert answer == status
        assert any(f"{name}: {value}".startswith(field) for name, value in fields.items())
        client.ends()

    in_rows(CASES, row, outcome=f"refused {status}", **options)(run)


def accepted(row: str, *request: bytes) -> None:
    """These bytes are a handshake after all."""

    def run(attack: Attack) -> None:
        client = attack.connect()
        client.send(*request)
        assert client.response()[0] == 101
        client.echo()
        client.close()

    in_rows(CASES, row, outcome="closed 1000")(run)


EXTENSIONS = b"Sec-WebSocket-Extensions: "
PROTOCOL = b"Sec-WebSocket-Protocol: "
VERSION = "sec-websocket-version: 13"

refused(400, "H1 subprotocol that is not ASCII", upgrade(PROTOCOL + b"\x80\xff"))
refused(400, "H2 extension that is not ASCII", upgrade(EXTENSIONS + b"\x80"))
refused(400, "H3 connection that is not ASCII", upgrade(connection=b"Upgrade, \xff"))
refused(400, "H6 spaces in a subprotocol", upgrade(PROTOCOL + b"b" + b" " * 15_000 + b"x"))
refused(400, "H9 body with a length", upgrade(b"Content-Length: 5"), b"hello")
refused(400, "H9 body in chunks", upgrade(b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n0\r\n\r\n")
refused(400, "H9 body that is a request", upgrade(b"Content-Length: %d" % len(SMUGGLED)), SMUGGLED)
refused(426, "H11 version 8 and another request", upgrade(sec_websocket_version=b"8"), SMUGGLED)
refused(400, "H11 no key and another upgrade", upgrade(sec_websocket_key=None), upgrade())
refused(400, "H12 lines that end with LF", upgrade().replace(b"\r\n", b"\n"))
refused(400, "H12 one line that ends with LF", upgrade(b"X-A: b\nX-B: c"))
refused(400, "H12 CR in a line", upgrade(b"X-A: b\rX-B: c"))
refused(400, "H12 folded line", upgrade(b"X-A: b\r\n c"))
refused(400, "H12 space in a name", upgrade(b"Content Length: 5"))
refused(400, "H12 space behind a name", upgrade(b"Content-Length : 5"))
refused(400, "H12 NUL in a value", upgrade(b"X-A: b\0c"))
refused(400, "H12 no name", upgrade(b": b"))
refused(400, "H12 no colon", upgrade(b"X-A"))
refused(400, "H13 two lengths", upgrade(b"Content-Length: 0", b"Content-Length: 5"))
refused(400, "H13 two lengths in one", upgrade(b"Content-Length: 0, 5"))
refused(400, "H13 length and chunks", upgrade(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
refused(400, "H13 negative length", upgrade(b"Content-Length: -1"))
refused(400, "H15 no host", upgrade(host=None))
refused(400, "H15 two hosts", upgrade(b"Host: other.example"))
refused(400, "H15 no host over HTTP", b"GET /path HTTP/1.1\r\n\r\n")
refused(400, "H17 userinfo", upgrade(target=b"@evil.com/echo"))
refused(400, "H17 absolute", upgrade(target=b"http://evil.com/echo"))
for target in (b"@evil.com/path", b"http://evil.com/path", b"http://example.com@evil.com/path", b"*", b"evil.com:80"):
    refused(400, f"H17 {target.decode()} over HTTP", b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\n\r\n")
accepted("H17 absolute and the same host", upgrade(target=b"http://example.com/echo?x"))
refused(400, "H17 asterisk", upgrade(target=b"*"))
refused(404, "H17 two slashes", upgrade(target=b"//evil/echo"))
refused(400, "H18 no key", upgrade(sec_websocket_key=None))
refused(400, "H18 key of three bytes", upgrade(sec_websocket_key=b"AAAA"))
refused(400, "H18 key that is not base64", upgrade(sec_websocket_key=b"dGhlIHNhbXBsZSBub25j!!=="))
refused(400, "H18 two keys", upgrade(b"Sec-WebSocket-Key: " + KEY))
refused(400, "H18 empty key", upgrade(sec_websocket_key=b""))
refused(426, "H19 version 8", upgrade(sec_websocket_version=b"8"), field=VERSION)
refused(426, "H19 no version", upgrade(sec_websocket_version=None), field=VERSION)
refused(426, "H19 two versions", upgrade(b"Sec-WebSocket-Version: 13"), field=VERSION)
refused(426, "H19 versions in one", upgrade(sec_websocket_version=b"13, 8"), field=VERSION)
refused(405, "H20 POST", upgrade(method=b"POST"), field="allow: GET")
refused(426, "H20 HTTP 1.0", upgrade(version=b"1.0"), field="upgrade: websocket")
refused(431, "H23 URL of 64 KiB", upgrade(target=b"/" + b"a" * 65_536))
refused(431, "H26 one name 1,000 times", upgrade(*[b"X-Same: y"] * 1000))
refused(431, "H26 129 fields", upgrade(*[b"X-%d: y" % at for at in range(124)]))
accepted("H26 128 fields", upgrade(*[b"X-%d: y" % at for at in range(123)], target=b"/echo"))
accepted("H26 cookie of backslashes", upgrade(b'Cookie: a="' + rb"\"" * 7500 + b'"', target=b"/echo"))
accepted("N1 connection with more words", upgrade(connection=b"keep-alive, , UPGRADE", target=b"/echo"))
accepted("N1 connection in two fields", upgrade(b"Connection: keep-alive", target=b"/echo"))
accepted("N2 key with space around it", upgrade(sec_websocket_key=b" \t" + KEY + b" \t", target=b"/echo"))
accepted("N3 value that is not ASCII", upgrade(b"X-Name: \xe4\xff", target=b"/echo"))
accepted("N4 length of nothing", upgrade(b"Content-Length: 0", target=b"/echo"))
accepted("N5 query of 8 KiB", upgrade(target=b"/echo?" + b"q" * 8000))
refused(400, "N6 two protocols to upgrade to", upgrade(upgrade=b"websocket, h2c"))
refused(400, "N6 two upgrades", upgrade(b"Upgrade: h2c"))
refused(400, "N6 upgrade that the connection does not name", upgrade(connection=b"keep-alive"))
refused(400, "N6 upgrade without a connection", upgrade(connection=None))
refused(400, "N7 path that is no UTF-8", upgrade(target=b"/%ff"))
refused(404, "N7 path with NUL", upgrade(target=b"/echo%00"))
refused(404, "N7 path with a slash that is escaped", upgrade(target=b"/mounted%2f..%2fecho/"))
refused(400, "N7 target with a byte of 0x80", upgrade(target=b"/\x80"))
refused(400, "N7 target with a space", upgrade(target=b"/ /echo"))
refused(400, "N7 empty target", upgrade(target=b""))
refused(400, "N7 authority as target", upgrade(target=b"example.com:80"))
refused(400, "N8 escape in a value", upgrade(b"X-A: \x1b[31mred"))
refused(505, "N9 unknown version", upgrade(version=b"1.2"))
refused(400, "N9 HTTP 0.9", b"GET /\r\n\r\n")
refused(400, "N9 method with a control character", upgrade(method=b"G\x01T"))
refused(405, "N9 method in small letters", upgrade(method=b"get"))
refused(501, "N10 unknown transfer coding", upgrade(b"Transfer-Encoding: gzip, chunked"))
refused(400, "N11 chunk extension of 100 KiB", upgrade(b"Transfer-Encoding: chunked"), b"5;" + b"x" * 100_000)
refused(400, "N12 subprotocol with a quote", upgrade(PROTOCOL + b'"chat"'))
refused(400, "N12 subprotocols of commas", upgrade(PROTOCOL + b"," * 15_000))
refused(408, "N13 head that stops", b"GET / HTTP/1.1\r\nHost: exam", limits=HASTY)
refused(400, "H40 TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", bytes(range(256)) * 2)
refused(400, "H40 4 KiB of zeros", bytes(4096))
refused(400, "H40 4 KiB of noise", bytes(at * 73 % 251 | 0x80 for at in range(4096)))
refused(400, "H40 noise that begins with a letter", b"Q" + bytes(at * 73 % 251 for at in range(4095)))


@in_rows(CASES, "H7 byte behind the request", outcome="closed 1002")
def byte_behind(attack: Attack) -> None:
    """It is the beginning of a frame, and a wrong one."""
    client = attack.connect()
    client.send(upgrade(target=b"/echo"), b"xx")
    assert client.response()[0] == 101
    assert client.close_code() == 1002
    client.ends()


def not_yet_answered(attack: Attack, *behind: bytes) -> Client:
    """A client whose request the application has, and will answer when the server is told to release it."""
    client = attack.connect()
    client.send(upgrade(target=b"/late"), *behind)
    attack.wait_until(lambda report: "not yet" in report.notes)
    return client


@in_rows(CASES, "H8 frame behind the request", outcome="closed 1000")
def frame_behind(attack: Attack) -> None:
    client = not_yet_answered(attack, client_text("early"), client_close(1000))
    attack.report(release=True)
    assert client.response()[0] == 101
    assert client.frame() == (1, b"early")
    assert client.close_code() == 1000
    client.ends()


@in_rows(CASES, "H8 many frames before the endpoint accepts", outcome="closed 1000")
def many_frames_behind(attack: Attack) -> None:
    """They wait, and are all delivered."""
    client = not_yet_answered(attack, client_frame(2, bytes(1000), mask=bytes(4)) * 200, client_close(1000))
    attack.report(release=True)
    assert client.response()[0] == 101
    for _ in range(200):
        assert client.frame() == (2, bytes(1000))
    assert client.close_code() == 1000
    client.ends()


@in_rows(CASES, "N14 everything in single bytes", outcome="closed 1000")
def single_bytes(attack: Attack) -> None:
    client = attack.connect()
    client.dribble(upgrade(target=b"/echo") + client_text("hello") + client_close(1000, "bye"))
    assert client.response()[0] == 101
    assert client.frame() == (1, b"hello")
    assert client.close_code() == 1000
    client.ends()


# What is no upgrade, and goes to the HTTP side


def over_http(statuses: set[int], row: str, *request: bytes, **options: Any) -> None:
    """The HTTP side answers these bytes with one of these, and never with 101."""

    def run(attack: Attack) -> None:
        client = attack.connect()
        client.send(*request)
        assert client.response()[0] in statuses
        client.leave()

    in_rows(CASES, row, outcome="http", **options)(run)


H2C = upgrade(b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", upgrade=b"h2c", connection=b"Upgrade, HTTP2-Settings")

over_http({200}, "N15 HTTP", b"GET /path HTTP/1.1\r\nHost: example.com\r\n\r\n")
over_http({200, 400, 404}, "H21 upgrade to h2c", H2C.replace(b"GET / ", b"GET /path "))
refused(405, "H22 CONNECT", b"CONNECT victim.com:443 HTTP/1.1\r\nHost: victim.com:443\r\n\r\n")
for name, path in {
    "dots that are escaped": b"..%2f..%2fetc/passwd",
    "secret beside the folder": b"..%2fsecret.txt",
    "two slashes": b"/etc/passwd",
    "NUL": b"page.txt%00",
    "link out of the folder": b"link.txt",
    "backslashes": b"..%5c..%5cetc%5cpasswd",
    "dots that are not escaped": b"../secret.txt",
}.items():
    over_http({404}, f"H38 {name}", b"GET /static/" + path + b" HTTP/1.1\r\nHost: example.com\r\n\r\n")


@in_rows(CASES, "N16 Expect with an upgrade", outcome="closed 1000")
def expect(attack: Attack) -> None:
    """There is no body to go on with: it is answered with 101, and not with 100 before."""
    client = attack.connect()
    client.send(upgrade(b"Expect: 100-continue", target=b"/echo"))
    assert client.response()[0] == 101
    client.close()


@in_rows(CASES, "N17 request and then an upgrade", outcome="http")
def request_and_upgrade(attack: Attack) -> None:
    """An upgrade on a connection that was kept has our limits too, and not those of the HTTP side."""
    client = attack.connect()
    client.send(SMUGGLED, upgrade(target=b"/echo"))
    assert client.response()[0] == 200
    assert client.response()[0] == 101
    client.echo()
    client.send(client_header(2, 2 * MIB))
    assert client.close_code() == 1009
    client.ends()


@in_rows(CASES, "H17 absolute over HTTP", outcome="http")
def absolute_over_http(attack: Attack) -> None:
    """A target may be a whole URL, also when the connection was kept; the application sees its path."""
    client = attack.connect()
    for target in (b"http://example.com/path", b"HTTPS://EXAMPLE.com/path?x", b"/path"):
        client.send(b"GET " + target + b" HTTP/1.1\r\nHost: example.com\r\n\r\n")
        status, _, body = client.response()
        assert (status, body) == (200, b"GET /path 0")
    client.leave()


# Heads that never end


@in_rows(CASES, "H25 8 MiB without an end at full speed", outcome="refused 431", memory=2 * MIB)
def endless_at_full_speed(attack: Attack) -> None:
    client = attack.connect()
    busy = attack.server.busy()
    client.send(b"GET / HTTP/1.1\r\nX: ", b"a" * 8 * MIB)
    assert client.response()[0] == 431
    spent = attack.server.busy() - busy
    assert spent < 0.25, f"{spent:.3f} s of CPU time"


@in_rows(CASES, "H25 head up to the limit in single bytes", outcome="refused 431")
def endless_dribbled(attack: Attack) -> None:
    """Every byte is looked at once, not once for each that follows."""
    client = attack.connect()
    client.dribble(b"GET / HTTP/1.1\r\nX: ", size=5)
    busy = attack.server.busy()
    client.dribble(b"\r\n\r" * 5500)
    assert client.response()[0] in (400, 431)
    spent = attack.server.busy() - busy
    assert spent < 1.0, f"{spent:.3f} s of CPU time"


@in_rows(CASES, "H27 a byte of the head now and then", outcome="refused 408", limits=HASTY)
def slowloris(attack: Attack) -> None:
    """The deadline is for the whole head; it is not renewed by every byte."""
    begin = time.monotonic()
    client = attack.connect()
    for byte in upgrade(b"X: " + b"a" * 1000):
        client.send(bytes((byte,)))
        time.sleep(0.02)
        if attack.report().outcomes["refused 408"] > attack.before.outcomes["refused 408"]:
            break
    assert HASTY["handshake_timeout"] * 0.9 < time.monotonic() - begin < PATIENCE
    assert client.response()[0] == 408
    client.ends()


@in_rows(CASES, "H28 silence", outcome="lost", limits=HASTY)
def silence(attack: Attack) -> None:
    """Who says nothing is answered nothing."""
    begin = time.monotonic()
    client = attack.connect()
    client.ends()
    assert HASTY["handshake_timeout"] * 0.9 < time.monotonic() - begin < PATIENCE


@in_rows(CASES, "N18 refused client that does not go", outcome="refused 400", limits=HASTY)
def refused_and_stays(attack: Attack) -> None:
    """It may read its answer for as long as a closing handshake takes; then its socket is closed."""
    client = attack.connect()
    client.send(upgrade(host=None))
    assert client.response()[0] == 400
    attack.wait_until_over()


@in_rows(CASES, "N19 client that leaves in the middle of the head", outcome="lost")
def leaves_early(attack: Attack) -> None:
    client = attack.connect()
    client.send(upgrade()[:50])
    client.leave()


@in_rows(CASES, "N19 client that resets in the middle of the head", outcome="lost")
def resets_early(attack: Attack) -> None:
    client = attack.connect()
    client.send(upgrade()[:50])
    client.reset()


@in_rows(CASES, "N19 half-close behind the head", outcome="lost")
def half_close(attack: Attack) -> None:
    """Who ends its side before it is answered has left: a WebSocket needs both directions."""
    client = not_yet_answered(attack)
    client.socket.shutdown(socket.SHUT_WR)
    attack.report(release=True)
    client.rest()


@in_rows(CASES, "N19 reset between the head and the answer", outcome="lost")
def reset_before_accept(attack: Attack) -> None:
    not_yet_answered(attack).reset()
    attack.report(release=True)


@in_rows(CASES, "N20 200 clients that connect and reset", outcomes={"lost": 200})
def connect_and_reset(attack: Attack) -> None:
    for _ in range(200):
        attack.connect().reset()


@in_rows(CASES, "N21 500 heads that wait", outcomes={"lost": 500})
def many_heads(attack: Attack) -> None:
    """A client whose request head is not whole costs a socket and its few bytes."""
    for _ in range(500):
        attack.connect().send(upgrade()[:-2])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_handshake(case: Case, server_for: ServerFor) -> None:
    """The row says what the client does; what must hold is the same for all of them."""
    with attacking(server_for(case.limits), case) as attack:
        case.run(attack)
