"""What is no decent HTTP, over a real socket: refused dully or the connection closed; never a 5xx, never a trace."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from support.bodies import CHAT, raw
from support.failures import assert_error_body
from support.running import Running
from support.sockets import RawClient, answers, head

pytestmark = pytest.mark.e2e

BODY = raw("hello", max_tokens=1)
GET = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer KEY\r\n"
CLOSE = b"connection: close\r\n"
H2C = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
WELL = (200, None)
BAD = (400, "invalid_http")
LARGE = (431, "request_head_too_large")
NO_KEY = (401, "invalid_api_key")
LATE = (408, "request_timeout")
NO_ROUTE = (404, "not_found")

CASES: dict[str, tuple[bytes, list[tuple[int, str | None]]]] = {
    "length and chunked": (POST + LENGTH + CHUNKED + b"\r\n" + CHUNKS + b"\r\n", [BAD]),
    "chunked and length": (POST + CHUNKED + LENGTH + b"\r\n" + CHUNKS + b"\r\n", [BAD]),
    "two lengths": (POST + LENGTH + b"content-length: 5\r\n\r\n" + BODY, [BAD]),
    "length twice": (POST + LENGTH + LENGTH + b"\r\n" + BODY, [BAD]),
    "length with a sign": (POST + b"content-length: +5\r\n\r\nhello", [BAD]),
    "negative length": (POST + b"content-length: -5\r\n\r\nhello", [BAD]),
    "hexadecimal length": (POST + b"content-length: 0x5\r\n\r\nhello", [BAD]),
    "list of lengths": (POST + b"content-length: 5, 5\r\n\r\nhello", [BAD]),
    "length over 64 bits": (POST + b"content-length: 99999999999999999999\r\n\r\nhello", [BAD]),
    "empty length": (POST + b"content-length: \r\n\r\nhello", [BAD]),
    "chunked misspelt": (POST + b"transfer-encoding: xchunked\r\n\r\n" + CHUNKS + b"\r\n", [BAD]),
    "chunked and then not": (POST + b"transfer-encoding: chunked, identity\r\n\r\n" + CHUNKS + b"\r\n", [BAD]),
    "space before the colon": (POST + b"content-length : 5\r\n\r\nhello", [BAD]),
    "folded header": (POST + LENGTH + b"x: a\r\n b\r\n" + CLOSE + b"\r\n" + BODY, [BAD]),
    "bare carriage return": (GET + b"x: a\rb\r\n\r\n", [BAD]),
    "null in a header": (GET + b"x: a\0b\r\n\r\n", [BAD]),
    "header without a colon": (GET + b"header\r\n\r\n", [BAD]),
    "chunk size not a number": (POST + CHUNKED + b"\r\nzz\r\nhello\r\n0\r\n\r\n", [BAD]),
    "chunk size too large": (POST + CHUNKED + b"\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n", [BAD]),
    "negative chunk size": (POST + CHUNKED + b"\r\n-5\r\nhello\r\n0\r\n\r\n", [BAD]),
    "chunk longer than it says": (POST + CHUNKED + b"\r\n3\r\nhello\r\n0\r\n\r\n", [BAD]),
    "endless chunk extension": (POST + CHUNKED + b"\r\n5;" + b"x" * 300_000, [LARGE]),
    "endless trailer": (POST + CHUNKED + b"\r\n" + CHUNKS + b"x: " + b"y" * 300_000, [LARGE]),
    "many trailers": (POST + CHUNKED + b"\r\n" + CHUNKS + b"x: y\r\n" * 3000 + b"\r\n", [LARGE]),
    "trailer": (POST + CHUNKED + CLOSE + b"\r\n" + CHUNKS + b"authorization: no\r\n\r\n", [WELL]),
    "body in chunks": (POST + CHUNKED + CLOSE + b"\r\n" + CHUNKS + b"\r\n", [WELL]),
    "body longer than its length": (POST + LENGTH + b"\r\n" + BODY + b"}}}}", [WELL]),
    "line break behind the body": (POST + LENGTH + b"\r\n" + BODY + b"\r\n" + GET + CLOSE + b"\r\n", [WELL, NO_KEY]),
    "two requests": (GET + b"\r\n" + GET + CLOSE + b"\r\n", [NO_KEY, NO_KEY]),
    "hundred requests at once": ((GET + b"\r\n") * 100, [NO_KEY]),
    "100 KB path": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", [LARGE]),
    "100 KB header": (GET + b"x: " + b"a" * 100_000 + b"\r\n\r\n", [LARGE]),
    "1 MB header": (GET + b"x: " + b"a" * 1_000_000 + b"\r\n\r\n", [LARGE]),
    "many headers": (GET + b"x: y\r\n" * 500 + b"\r\n", [LARGE]),
    "very many headers": (GET + b"x:y\r\n" * 50_000 + b"\r\n", [LARGE]),
    "long head": (GET + CLOSE + b"x: " + b"a" * 15_000 + b"\r\n\r\n", [NO_KEY]),
    "null in the path": (b"GET /v1/\0models HTTP/1.1\r\nhost: x\r\n\r\n", [BAD]),
    "escaped null in the path": (b"GET /v1/%00models HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", [NO_ROUTE]),
    "bytes over 127 in the path": (b"GET /v1/\xff\xfe HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", [BAD]),
    "escapes that are no text": (b"GET /v1/%ff%fe%zz HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", [NO_ROUTE]),
    "dots in the path": (b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", [NO_ROUTE]),
    "absolute form": (b"GET http://x/v1/models HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", [NO_KEY]),
    "absolute form without a path": (b"GET http://x HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", [BAD]),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", [NO_ROUTE]),
    "connect": (b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n", [BAD]),
    "trace": (b"TRACE /v1/models HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", [(405, "method_not_allowed")]),
    "unknown method": (b"BREW /v1/models HTTP/1.1\r\nhost: x\r\n\r\n", [BAD]),
    "websocket": (GET + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\n\r\n", [NO_KEY]),
    "http/2 by upgrade": (GET + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n" + GET, [NO_KEY]),
    "http/2 by upgrade, with a body": (POST + H2C + LENGTH + b"\r\n" + BODY, [WELL]),
    "http/2 by upgrade, body in chunks": (POST + H2C + CHUNKED + b"\r\n" + CHUNKS + b"\r\n", [WELL]),
    "http/2 by upgrade, bytes behind the body": (POST + H2C + LENGTH + b"\r\n" + BODY + GET + b"\r\n", [WELL]),
    "http/2 by upgrade, empty body": (POST + H2C + b"content-length: 0\r\n\r\n", [(400, "invalid_json")]),
    "http/2 by upgrade, chunk size not a number": (POST + H2C + CHUNKED + b"\r\nzz\r\n", [BAD]),
    "http/2 by upgrade, endless trailer": (
        POST + H2C + CHUNKED + b"\r\n" + CHUNKS + b"x: " + b"y" * 300_000,
        [LARGE],
    ),
    "websocket, with a body": (
        POST + b"connection: upgrade\r\nupgrade: websocket\r\n" + LENGTH + b"\r\n" + BODY,
        [WELL],
    ),
    "http/2 by upgrade, with half a body": (POST + LENGTH + H2C + b"\r\n" + BODY[:9], [LATE]),
    "http/2 by upgrade, as the second": (GET + b"\r\n" + POST + LENGTH + H2C + b"\r\n" + BODY, [NO_KEY, WELL]),
    "http/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [BAD]),
    "http/1.0": (b"GET /v1/models HTTP/1.0\r\n\r\n", [NO_KEY]),
    "http/0.9": (b"GET /v1/models\r\n", [(408, "request_timeout")]),
    "http/9.9": (b"GET /v1/models HTTP/9.9\r\nhost: x\r\n\r\n", [BAD]),
    "expect": (POST + LENGTH + CLOSE + b"expect: 100-continue\r\n\r\n" + BODY, [WELL]),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xab" * 500, [BAD]),
    "noise": (bytes(range(256)) * 40, [BAD]),
    "zeros": (b"\0" * 10_000, [BAD]),
    "line breaks": (b"\r\n" * 50_000, [LARGE]),
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    toml = "[server]\nheader_timeout_s = 1.0\nbody_timeout_s = 2.0\nkeep_alive_timeout_s = 0.5\n"
    with Running(tmp_path_factory.mktemp("rude"), toml=toml) as service:
        yield service


@pytest.fixture
def key(service: Running) -> str:
    return service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")


@pytest.mark.parametrize("name", CASES)
def test_each_is_answered_dully(service: Running, key: str, name: str) -> None:
    sent, expected = CASES[name]

    with RawClient(service.url) as client:
        client.send(sent.replace(b"KEY", key.encode()))
        received = client.until_closed()

    got = answers(received)
    for status, body in got:
        assert status < 500
        if status != 200:
            assert_error_body(body, status, body["error"]["code"])
    short = [(status, body["error"]["code"] if status != 200 else None) for status, body in got]
    assert short[: len(expected)] == expected, received[:300]


def test_log_has_no_trace_and_no_line_of_the_library(service: Running) -> None:
    assert "Traceback" not in service.said
    assert "error" not in service.said
    assert "Invalid HTTP" not in service.said
    assert "upgrade" not in service.said


def test_body_behind_an_offer_of_another_protocol_may_come_later(service: Running, key: str) -> None:
    with RawClient(service.url) as client:
        client.send((POST + LENGTH + H2C + b"\r\n").replace(b"KEY", key.encode()))
        for at in range(0, len(BODY), 9):
            time.sleep(0.02)
            client.send(BODY[at : at + 9])
        received = client.until_closed()

    assert [status for status, _ in answers(received)] == [200]


def test_client_that_expects_100_is_told_to_go_on(service: Running, key: str) -> None:
    with RawClient(service.url) as client:
        client.send(head(key, f"content-length: {len(BODY)}", "expect: 100-continue", "connection: close"))
        told = client.socket.recv(100)
        client.send(BODY)
        received = client.until_closed()

    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answers(received)[0][0] == 200


def test_client_that_expects_100_is_refused_before_it_sends(service: Running) -> None:
    with RawClient(service.url) as client:
        client.send(head("sk-sl-wrong", "content-length: 900000", "expect: 100-continue", "connection: close"))
        received = client.until_closed()

    assert answers(received)[0][0] == 401
    assert b"100 Continue" not in received


@pytest.mark.parametrize("stream", [True, False])
def test_client_that_leaves_with_a_request_in_waiting_frees_its_place(
    tmp_path_factory: pytest.TempPathFactory, stream: bool
) -> None:
    """uvicorn tells only the latest request of a connection that the client has left, and reads no more to see it."""
    toml = "[limits]\nmax_in_flight = 1\n"
    with Running(tmp_path_factory.mktemp("leaving"), step_s=0.2, toml=toml) as service:
        key = service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")
        long = raw("word " * 300, stream=stream)
        with RawClient(service.url) as client:
            client.send(head(key, f"content-length: {len(long)}") + long)
            if stream:
                assert client.socket.recv(100)
            else:
                time.sleep(0.5)
            client.send(GET + b"\r\n")
            time.sleep(0.2)
        service.wait_for(f'"path":"{CHAT}","status":{200 if stream else 499}', timeout_s=20)
        with RawClient(service.url) as client:
            client.send(head(key, f"content-length: {len(BODY)}", "connection: close") + BODY)
            received = client.until_closed()

    assert answers(received)[0][0] == 200


@pytest.mark.parametrize("size_bytes", [300_000, 1_000_000, 6_000_000])
def test_connection_goes_on_behind_a_body_that_was_refused_unread(service: Running, size_bytes: int) -> None:
    """What is read of it on the way is nobody's, and must not keep the connection from being read."""
    with RawClient(service.url) as client:
        client.socket.settimeout(5)
        client.socket.sendall(head("sk-sl-" + "x" * 40, f"content-length: {size_bytes}") + b"x" * size_bytes)
        client.socket.sendall(GET + CLOSE + b"\r\n")
        received = client.until_closed()

    assert [status for status, _ in answers(received)] == [401, 401]


def test_client_that_sends_no_more_has_its_answer_beside_other_requests(service: Running, key: str) -> None:
    """An answer that waits for the end of the loop's turn must be out before the connection is closed."""
    with RawClient(service.url) as other:
        other.send(head(key, "content-length: 1000") + b"{")
        time.sleep(0.1)
        got = []
        for _ in range(20):
            with RawClient(service.url) as client:
                client.send(GET + b"\r\n")
                client.socket.shutdown(socket.SHUT_WR)
                got += [status for status, _ in answers(client.until_closed())]

    assert got == [401] * 20


def test_bad_chunk_where_100_is_expected_is_refused_without_a_trace(service: Running, key: str) -> None:
    with RawClient(service.url) as client:
        client.send(head(key, "transfer-encoding: chunked", "expect: 100-continue") + b"zz\r\n")
        received = client.until_closed()

    time.sleep(0.2)  # until it is written
    assert [status for status, _ in answers(received)] == [400]
    assert "Traceback" not in service.said
    assert "unexpected_error" not in service.said
