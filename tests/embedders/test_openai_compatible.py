"""The HTTP embedder against a server of this test: what it sends, what it makes of answers, what it keeps to itself."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentbreaker import ConfigError, Embedder, Guard, Message, Policy
from agentbreaker.embedders import OpenAICompatibleEmbedder
from agentbreaker.embedding import EmbeddingError
from tests.fake_embedder import letters, vector_of

KEY = "sk-do-not-tell-4711"


class Server(ThreadingHTTPServer):
    """A server that answers as it is told.

    Attributes:
        mode: What it does with a request.
        requests: Path, headers and body of each.
        release: Ends the silence of a slow server.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mode = "good"
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.release = threading.Event()

    @property
    def url(self) -> str:
        """Base URL, as a client takes it."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    def do_POST(self) -> None:
        """Answer in the way of the day."""
        server = self.server
        assert isinstance(server, Server)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.requests.append((self.path, dict(self.headers), body))
        texts = body["input"]
        rows = [{"index": index, "embedding": vector_of(text)} for index, text in enumerate(texts)]
        status, answer = 200, json.dumps({"data": rows[::-1]}).encode()
        if server.mode == "slow":
            server.release.wait(60.0)
        elif server.mode == "status 500":
            status, answer = 500, b"boom " + KEY.encode()
        elif server.mode == "redirect":
            self.send_response(307)
            self.send_header("Location", f"{server.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        elif server.mode == "not JSON":
            answer = b"<html>" + KEY.encode()
        elif server.mode == "other JSON":
            answer = b'{"data": {"a": 1}}'
        elif server.mode == "deep JSON":
            answer = b"[" * 200_000
        elif server.mode == "too few":
            answer = json.dumps({"data": rows[:-1]}).encode()
        elif server.mode == "too many":
            answer = json.dumps({"data": [*rows, {"index": len(rows), "embedding": [1.0]}]}).encode()
        elif server.mode == "no numbers":
            answer = json.dumps({"data": [{"index": row["index"], "embedding": ["x"]} for row in rows]}).encode()
        elif server.mode == "other dimension":
            answer = json.dumps(
                {"data": [{"index": row["index"], "embedding": [1.0, 2.0, 3.0]} for row in rows]}
            ).encode()
        elif server.mode == "not a number":
            answer = json.dumps(
                {"data": [{"index": row["index"], "embedding": [float("nan")] * 34} for row in rows]}
            ).encode()
        elif server.mode == "hang up":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        elif server.mode == "not HTTP":
            self.wfile.write(b"\x00\x01 nonsense\r\n\r\n")
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test alone."""
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.release.set()
        one.shutdown()
        thread.join()


def test_asks_as_the_protocol_says(server: Server) -> None:
    """One request for all texts, with model and key; the vectors come back in the order of the texts."""
    embedder = OpenAICompatibleEmbedder(server.url + "/", "small", KEY)
    assert isinstance(embedder, Embedder)
    texts = ["first", "second \ud800", "谢谢"]
    assert embedder.embed(texts) == [pytest.approx(vector_of(text)) for text in texts]
    path, headers, body = server.requests[0]
    assert path == "/v1/embeddings"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {"model": "small", "input": texts, "encoding_format": "float"}


def test_without_a_key_none_is_sent(server: Server) -> None:
    """A local server needs none."""
    OpenAICompatibleEmbedder(server.url, "small").embed(["text"])
    assert "Authorization" not in server.requests[0][1]


BROKEN = {
    "status 500": "status 500",
    "redirect": "status 307",
    "not JSON": "not a list of vectors",
    "other JSON": "not a list of vectors",
    "deep JSON": "not a list of vectors",
    "too few": "not a list of vectors",
    "too many": "3 vectors for 2 texts",
    "no numbers": "not a list of vectors",
    "not HTTP": "does not speak HTTP",
}


@pytest.mark.parametrize("mode", BROKEN)
def test_a_bad_answer_is_an_error_that_tells_nothing(server: Server, mode: str) -> None:
    """The error says what is wrong, and holds neither key, text nor what the server wrote; nothing is followed."""
    server.mode = mode
    embedder = OpenAICompatibleEmbedder(server.url, "small", KEY)
    with pytest.raises(EmbeddingError, match=BROKEN[mode]) as caught:
        embedder.embed(["private words", "more of them"])
    told = f"{caught.value!r} {caught.value.__cause__!r}"
    assert KEY not in told
    assert "private" not in told
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_an_error() -> None:
    """A refused connection is raised as it is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        OpenAICompatibleEmbedder(f"http://127.0.0.1:{port}", "small").embed(["text"])


def test_a_silent_server_is_given_up(server: Server) -> None:
    """After its own limit the embedder raises, so that the worker is not lost for ever."""
    server.mode = "slow"
    with pytest.raises(TimeoutError):
        OpenAICompatibleEmbedder(server.url, "small", timeout_seconds=0.05).embed(["text"])


@pytest.mark.parametrize(
    ("mode", "condition"),
    [
        ("status 500", "embedder_answer"),
        ("not JSON", "embedder_answer"),
        ("too few", "embedder_answer"),
        ("not a number", "embedder_answer"),
        ("hang up", "embedder_error"),
        ("slow", "embedder_error"),
    ],
)
def test_behind_a_guard_its_failures_are_contained(
    server: Server, mode: str, condition: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The agents go on, the failures are counted, and the log holds neither key nor text."""
    server.mode = mode
    embedder = OpenAICompatibleEmbedder(server.url, "small", KEY, timeout_seconds=0.05 if mode == "slow" else 10.0)
    guard = Guard(Policy(semantic={"timeout_seconds": 60.0}), embedder=embedder)
    with caplog.at_level(logging.DEBUG):
        for number in range(8):
            assert guard.observe(message(number)).allowed
    assert guard.telemetry.failures == {condition: 3}
    assert condition in str([vars(record) for record in caplog.records])
    assert KEY not in str([vars(record) for record in caplog.records])
    assert "Splendid" not in str([vars(record) for record in caplog.records])


def test_behind_a_guard_another_dimension_is_refused(server: Server) -> None:
    """The server swaps its model: counted, and the lexical result stands."""
    guard = Guard(Policy(semantic={"timeout_seconds": 60.0}), embedder=OpenAICompatibleEmbedder(server.url, "small"))
    for number in range(5):
        guard.observe(message(number))
    server.mode = "other dimension"
    assert guard.observe(message(5)).allowed
    assert guard.telemetry.failures == {"embedder_answer": 1}


def test_behind_a_guard_it_halts_a_loop(server: Server) -> None:
    """The whole way: over HTTP to the halt."""
    guard = Guard(
        Policy(semantic={"timeout_seconds": 60.0}), embedder=OpenAICompatibleEmbedder(server.url, "small", KEY)
    )
    decisions = [guard.observe(message(number)) for number in range(8)]
    assert (decisions[-1].allowed, decisions[-1].code) == (False, "AB303")


def test_the_key_shows_nowhere(server: Server) -> None:
    """Neither the representation nor the name holds it."""
    embedder = OpenAICompatibleEmbedder(server.url, "small", KEY)
    assert KEY not in repr(embedder)
    assert KEY not in str(embedder)
    assert KEY not in embedder.name
    assert "***" in repr(embedder)
    assert "None" in repr(OpenAICompatibleEmbedder(server.url, "small"))


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("localhost:11434", "base_url"),
        ("file:///etc/passwd", "base_url"),
        ("http://", "base_url"),
        ("http://user:secret@host/v1", "base_url"),
        ("http://host/v1?key=secret", "base_url"),
        ("http://host:port/v1", "base_url"),
        ("http://[::1/v1", "base_url"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str, field: str) -> None:
    """By name, and without repeating what may hold a secret."""
    with pytest.raises(ConfigError) as caught:
        OpenAICompatibleEmbedder(url, "small")
    assert caught.value.field == field
    assert "secret" not in str(caught.value)


def test_a_key_that_no_header_carries_is_refused() -> None:
    """A line end in a key would be another header; the error does not repeat it."""
    for key in ("sk\r\nX-Other: 1", "sk-ü", " sk"):
        with pytest.raises(ConfigError) as caught:
            OpenAICompatibleEmbedder("http://localhost/v1", "small", key)
        assert caught.value.field == "api_key"
        assert key not in str(caught.value)
    with pytest.raises(ConfigError, match="timeout_seconds"):
        OpenAICompatibleEmbedder("http://localhost/v1", "small", timeout_seconds=0)


def message(number: int) -> Message:
    """A message in new words, of two agents in turn."""
    a, b = ("ann", "bob") if number % 2 == 0 else ("bob", "ann")
    words = " ".join(letters(number * 8 + part) for part in range(8))
    return Message("c", a, b, content=f"Splendid {words}.")
