"""A server of chat completions on this machine: it answers as a test says, and keeps what it was sent."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

import barcode

#: A reply that is no reply: the connection is closed.
DROPPED = None


@dataclass(frozen=True)
class Said:
    """An HTTP reply; `raw` takes over the connection in its place."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    raw: Callable[[socket.socket], None] | None = None


@dataclass(frozen=True)
class Heard:
    """An HTTP request; header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The parts of the first message."""
        return self.body["messages"][0]["content"]

    @property
    def text(self) -> str:
        """The texts of the first message."""
        content = self.body["messages"][0]["content"]
        return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def completion(text: str | None, finish: str = "stop", read: int = 100, written: int = 3) -> Said:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return Said(200, {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})


def refusal(status: int, message: str = "no", headers: dict[str, str] | None = None, **details: Any) -> Said:
    return Said(status, {"error": {"message": message, **details}}, headers or {})


class ChatServer:
    """To be used in a ``with`` statement.

    Parameters
    ----------
    answer : callable
        Makes a `Said` of each `Heard`, or `DROPPED`. Called by one thread a request.

    Attributes
    ----------
    heard : list of Heard
    """

    def __init__(self, answer: Callable[[Heard], Said | None]) -> None:
        self.answer = answer
        self.heard: list[Heard] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> ChatServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                heard = Heard(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                with server._lock:
                    server.heard.append(heard)
                said = server.answer(heard)
                if said is DROPPED:
                    self.close_connection = True
                    return
                if said.raw:
                    self.close_connection = True
                    with suppress(OSError):  # the client may hang up in the middle
                        said.raw(self.connection)
                    return
                content = said.body.encode() if isinstance(said.body, str) else json.dumps(said.body).encode()
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def in_turn(*said: Said | None) -> Callable[[Heard], Said | None]:
    """Answers one after another; more requests than these are an error that the test sees as a dropped connection."""
    left = list(said)
    return lambda heard: left.pop(0) if left else DROPPED


def pictures(heard: Heard) -> list[np.ndarray]:
    """The pictures of a request in their order, decoded: uint8 RGB, shape (height, width, 3)."""
    encoded: list[str] = []
    for part in heard.parts:
        if part["type"] == "image_url":
            encoded.append(part["image_url"]["url"].split(",")[1])
        elif part["type"] == "video_url":
            encoded += part["video_url"]["url"].split(",")[1:]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one, validate=True)))) for one in encoded]


def indices(heard: Heard) -> list[int]:
    """The indices that the pictures of a request carry (see `barcode`)."""
    return barcode.read_indices([picture.transpose(2, 0, 1) for picture in pictures(heard)])
