"""Every limit on a request at its edge, over real HTTP: the last value that is taken, the first that is refused."""

from __future__ import annotations

import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from sightline.testing.live_server import LiveServer
from support import bombs
from support.bodies import CHAT, chat, image, raw, text
from support.failures import assert_error, assert_error_body
from support.pictures import FORMATS, encoded, picture, quarters
from support.watching import MemoryWatch

pytestmark = pytest.mark.e2e

URL = "messages.[0].content.[0].image_url.url"
LIMIT_BYTES = 1_048_576
REMEDY = "sightline fit"


@pytest.fixture(scope="module")
def scripted() -> Iterator[LiveServer]:
    """A service whose engine takes 20 ms a word, so that it can be kept busy."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "limits.toml"
        config.write_text('[[engines]]\nkind = "scripted"\noptions = {step_s = 0.02}\n')
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SIGHTLINE_LIMITS_MAX_RUNNING", "none")  # a service of one's own takes no settings from here
            with LiveServer("--config", str(config)) as service:
                yield service


@pytest.fixture
def http(scripted: LiveServer) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {scripted.api_key}"}
    with httpx2.Client(base_url=scripted.url, headers=headers, timeout=60) as client:
        yield client


def by_address(url: str) -> dict[str, Any]:
    return chat({"type": "image_url", "image_url": {"url": url}})


def test_address_of_an_image_is_refused_and_nothing_is_fetched(http: httpx2.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}/cat.png"
        schemes = ("http://", "https://", "HTTP://", "ftp://", "//", "http:\\\\", " http://", "blob:http://", "file://")
        others = ("/etc/passwd", "cat.png", "javascript:alert(1)", "data:image/png,abc", "data:text/plain;x=1,a", "")
        for url in [*(scheme + place for scheme in schemes), *others]:
            error = assert_error(http.post(CHAT, json=by_address(url)), 400, "image_url_not_supported", URL)
            assert error["message"].startswith("image 1 is ")
            assert "data:image/png;base64,…" in error["message"]
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize("kind", FORMATS)
def test_format_is_what_the_bytes_are_whatever_the_label(http: httpx2.Client, kind: str) -> None:
    labels = {f"image/{kind}": True, f"IMAGE/{kind.upper()}": True, f"image/{kind};charset=x;q=1": True}
    labels |= {"image/jpg": kind == "jpeg", "image/svg+xml": False, "": False}
    for label, is_right in labels.items():
        answer = http.post(CHAT, json=chat(image(picture(kind), label), max_tokens=1))

        assert answer.status_code == 200, answer.text
        [receipt] = answer.json()["sightline"]["images"]
        assert receipt["type"] == f"image/{kind}"
        noted = [action for action in receipt["actions"] if action.startswith("labelled ")]
        declared = label.partition(";")[0].lower()
        assert noted == ([] if is_right else [f"labelled {declared or 'nothing'}, is image/{kind}"])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "svg"),
        (encoded(quarters(), "bmp"), "bmp"),
        (encoded(quarters(), "tiff"), "tiff"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "avif"),
        (b"%PDF-1.7\n", "pdf"),
        (encoded(quarters(), "ico"), "ico"),
        (b"8BPS\0\1", "psd"),
        (b"\xff\x0a\xfa\x7f", "jpeg xl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jpeg xl"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "eps"),
        (b"a cat on a mat", "text"),
        (b"", "empty"),
    ],
)
def test_other_format_is_refused_by_name(http: httpx2.Client, data: bytes, name: str) -> None:
    answer = http.post(CHAT, json=chat(image(data)))

    error = assert_error(answer, 400, "unsupported_image_format", URL)
    assert error["message"] == (
        f"image 1 is {name}; supported are png, jpeg, webp and gif. Convert it to one of these."
    )


def of_size(size: int) -> bytes:
    body = raw("hello", max_tokens=1)
    return body[:-1] + b" " * (size - len(body)) + body[-1:]


def connection(service: LiveServer, header: str) -> socket.socket:
    where = urlsplit(service.url)
    connected = socket.create_connection((where.hostname, where.port), timeout=20)
    lines = [f"POST {CHAT} HTTP/1.1", "host: x", f"authorization: Bearer {service.api_key}", header, "", ""]
    connected.sendall("\r\n".join(lines).encode())
    return connected


def answer_on(connected: socket.socket) -> tuple[int, Any]:
    """The answer, read until the service closes the connection."""
    data = b""
    while piece := connected.recv(65_536):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def assert_too_large(status: int, body: Any, size: str) -> None:
    error = assert_error_body(body, status, "request_too_large")
    assert status == 413
    assert error["message"].startswith(f"The body is {size}")
    assert "less than 1,048,576" in error["message"]
    assert REMEDY in error["message"]


def test_largest_body_is_taken(http: httpx2.Client) -> None:
    assert http.post(CHAT, content=of_size(LIMIT_BYTES - 1)).status_code == 200


def test_first_body_too_large_is_refused_before_it_is_sent(scripted: LiveServer) -> None:
    with connection(scripted, f"content-length: {LIMIT_BYTES}") as connected:
        assert_too_large(*answer_on(connected), size="1,048,576 bytes")


def test_body_of_no_declared_size_is_read_to_the_limit_and_no_further(scripted: LiveServer) -> None:
    largest = of_size(LIMIT_BYTES - 1)
    for body, taken in ((largest, True), (largest + b" ", False)):
        with connection(scripted, "transfer-encoding: chunked\r\nconnection: close") as connected:
            connected.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            status, answer = answer_on(connected)
        if taken:
            assert status == 200
        else:
            assert_too_large(status, answer, size="1,048,576 or more bytes")


def test_body_too_large_that_is_still_sent_takes_its_answer_from_nobody(scripted: LiveServer) -> None:
    """Closed at once, the connection would be reset, and the answer lost to many a client."""
    with connection(scripted, "content-length: 3000000") as connected:
        connected.sendall(b" " * 400_000)
        time.sleep(0.3)
        told = b""
        while piece := connected.recv(65_536):
            told += piece

    assert told.startswith(b"HTTP/1.1 413 ")
    assert b"request_too_large" in told


def send_for_ever(connected: socket.socket, chunk: bytes) -> None:
    while True:
        connected.sendall(chunk)


def test_endless_body_is_cut_off_and_not_held(scripted: LiveServer) -> None:
    assert scripted.process is not None
    with (
        MemoryWatch(scripted.process.pid) as watch,
        connection(scripted, "transfer-encoding: chunked") as connected,
        pytest.raises(ConnectionError),
    ):
        send_for_ever(connected, b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    assert watch.growth_bytes < 20_000_000


def test_number_of_images_counts_over_all_messages(http: httpx2.Client) -> None:
    def spread(*counts: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": [text("a"), *[image()] * count]} for count in counts]
        return {**chat(), "messages": messages}

    for counts in ((2,), (1, 1)):
        answer = http.post(CHAT, json=spread(*counts))
        assert answer.status_code == 200
        assert len(answer.json()["sightline"]["images"]) == 2
    for counts, sent in (((3,), 3), ((2, 1), 3), ((1, 1, 1), 3), ((4, 3), 7)):
        error = assert_error(http.post(CHAT, json=spread(*counts)), 400, "too_many_images", "messages")
        assert error["message"] == f"The request has {sent} images, the limit is 2; send fewer a request."


def test_pixels_are_judged_by_the_header_alone(http: httpx2.Client) -> None:
    taken = http.post(CHAT, json=chat(image(bombs.webp(5000, 5000)), max_tokens=1))
    more = http.post(CHAT, json=chat(image(bombs.png_claim(5000, 5001))))

    assert taken.status_code == 200, taken.text
    assert_error(more, 400, "image_too_large", URL)
    assert more.json()["error"]["message"] == (
        "image 1 is 5,000 × 5,001, 25.005 megapixels, the limit is 25; resize it to 4,999 × 5,000 or less, "
        "or run `sightline fit`."
    )


def test_side_is_limited_to_what_two_bytes_say(http: httpx2.Client) -> None:
    taken = http.post(CHAT, json=chat(image(bombs.png(1, 65_535)), max_tokens=1))
    more = http.post(CHAT, json=chat(image(bombs.png(1, 65_536))))

    assert taken.status_code == 200, taken.text
    assert "the limit of a side is 65,535" in assert_error(more, 400, "image_too_large", URL)["message"]


def test_scans_of_a_jpeg_are_limited(http: httpx2.Client) -> None:
    taken = http.post(CHAT, json=chat(image(bombs.jpeg_of_scans(100), "image/jpeg"), max_tokens=1))
    more = http.post(CHAT, json=chat(image(bombs.jpeg_of_scans(101), "image/jpeg")))

    assert taken.status_code == 200, taken.text
    error = assert_error(more, 400, "image_too_large", URL)
    assert error["message"] == (
        "image 1 is a JPEG of 101 scans, the limit is 100; save it again as a baseline JPEG, or run `sightline fit`."
    )


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
def test_image_outside_a_user_message_is_refused(http: httpx2.Client, role: str) -> None:
    message = {"role": role, "content": [image()]} | ({"tool_call_id": "a"} if role == "tool" else {})
    messages = [message, {"role": "user", "content": "a"}]

    answer = http.post(CHAT, json={**chat(), "messages": messages})

    error = assert_error(answer, 400, "invalid_image_role", "messages.[0].content.[0].type")
    a_role = "an assistant" if role == "assistant" else f"a {role}"
    assert error["message"] == f"image 1 is in {a_role} message; images go in user messages only."


def test_refusals_do_not_wait_for_a_busy_engine(scripted: LiveServer, http: httpx2.Client) -> None:
    """However noisy the machine is, all of them come before any of the streams has ended."""
    bodies = [
        json.dumps(by_address("http://x/cat.png")).encode(),
        *(raw(image(data)) for data in (b"BM", bombs.png_claim(5000, 5001), bombs.jpeg_of_scans(101), b"\x89PNG")),
        raw(*[image()] * 3),
        of_size(LIMIT_BYTES),
        raw("a", logit_bias={}),
        b'{"model": ',
    ]
    done = threading.Event()
    ended: list[str] = []

    def keep_busy() -> None:
        with http.stream("POST", CHAT, json=chat("word " * 2_000, stream=True)) as stream:
            for _ in stream.iter_bytes():
                if done.is_set():
                    return
        if not done.is_set():
            ended.append("a stream")

    streams = [threading.Thread(target=keep_busy) for _ in range(6)]
    for stream in streams:
        stream.start()
    times = []
    for at in range(207):
        began = time.perf_counter()
        answer = http.post(CHAT, content=bodies[at % len(bodies)])
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code in (400, 413)
    done.set()
    for stream in streams:
        stream.join()

    percentiles = statistics.quantiles(times, n=100)
    print(f"refusals with six streams running: median {percentiles[49]:.1f} ms, p99 {percentiles[98]:.1f} ms")
    assert not ended
