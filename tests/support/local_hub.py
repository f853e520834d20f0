"""A small hub on loopback: enough of its HTTP protocol for huggingface_hub's own client, and faults of a real one."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

#: Larger files are LFS: known by their SHA-256 and served, after a redirect, from another path.
LFS_FROM = 1024
GRANTED = "hf_granted"


@dataclass
class Fault:
    """What happens to one request instead of service: a status, a connection cut in the middle, or a damaged body.

    With `stall`, the connection is silent for so many seconds before it is cut.
    """

    status: int | None = None
    cut_after: int | None = None
    damage: bool = False
    stall: float = 0.0


NO_FAULT = Fault()


@dataclass
class Request:
    method: str
    path: str
    range: str | None
    sent: int = 0


@dataclass
class Revision:
    commit: str
    files: dict[str, bytes]


@dataclass
class Repository:
    gated: bool = False
    revisions: list[Revision] = field(default_factory=list)

    def find(self, name: str) -> Revision | None:
        if name == "main":
            return self.revisions[-1]
        return next((item for item in self.revisions if item.commit == name), None)


class LocalHub:
    """The server; a context manager.

    Attributes
    ----------
    endpoint : str
        What HF_ENDPOINT is set to.
    requests : list of Request
        Every request so far, with the bytes of its body that were sent.
    ranges : bool
        Whether it serves parts of files, as the hub does; some mirrors send the whole file.
    xet : bool
        Whether it says that it keeps large files in Xet.
    """

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.faults: list[tuple[str, bool, Fault]] = []
        self.ranges, self.xet = True, False
        self.stopped = threading.Event()
        self._lock = threading.Lock()

    def add(self, repo: str, files: Mapping[str, bytes], *, gated: bool = False, kind: str = "dataset") -> str:
        """Publish a revision of a repository; its commit."""
        listing = sorted((path, hashlib.sha256(content).hexdigest()) for path, content in files.items())
        commit = hashlib.sha1(f"{repo} {listing}".encode()).hexdigest()
        repository = self.repositories.setdefault((f"{kind}s", repo), Repository())
        repository.gated = gated
        repository.revisions.append(Revision(commit, dict(files)))
        self.blobs.update({hashlib.sha256(content).hexdigest(): content for content in files.values()})
        return commit

    def fail(self, part: str, *faults: Fault, whole: bool = False) -> None:
        """Each of the next requests for content whose path holds `part` meets one of the faults, in order.

        With `whole`, requests for a piece from the middle of a file are spared.
        """
        self.faults += [(part, whole, fault) for fault in faults]

    def sent(self, part: str = "") -> int:
        """Bytes of file content sent so far."""
        return sum(item.sent for item in self.requests if part in item.path and "/api/" not in item.path)

    def take_fault(self, request: Request) -> Fault:
        with self._lock:
            for number, (part, whole, fault) in enumerate(self.faults):
                if part in request.path and (not whole or (request.range or "-").endswith("-")):
                    del self.faults[number]
                    return fault
        return NO_FAULT

    def __enter__(self) -> LocalHub:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        # Another host, as for the real hub: its client follows redirects to the same host when it asks for digests.
        self.storage = f"http://localhost:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.request_ = Request(self.command, path, self.headers.get("Range"))
        self.hub.requests.append(self.request_)
        try:
            if match := re.fullmatch(r"/cdn/([0-9a-f]{64})/.*", path):
                self._content(self.hub.blobs[match[1]], {})
            elif match := re.fullmatch(
                r"/api/(datasets|models)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(/.*)?)?", path
            ):
                self._api(match[1], match[2], match[3] or "revision", match[4] or "main", body)
            elif match := re.fullmatch(r"(?:/(datasets))?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self._resolve(match[1] or "models", match[2], match[3], match[4])
            else:
                self._refuse(404, "EntryNotFound")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # The parts of the protocol

    def _revision(self, kind: str, repo: str, name: str, *, content: bool) -> Revision | None:
        repository = self.hub.repositories.get((kind, repo))
        if repository is None:
            self._refuse(401, "RepoNotFound")  # what the real hub says, lest private ones be known
            return None
        if content and repository.gated:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            if token != GRANTED:
                self._refuse(403 if token else 401, "GatedRepo")
                return None
        revision = repository.find(name)
        if revision is None:
            self._refuse(404, "RevisionNotFound")
        return revision

    def _api(self, kind: str, repo: str, what: str, name: str, body: bytes) -> None:
        fault = self.hub.take_fault(self.request_)
        if fault.status:
            return self._refuse(fault.status, "")
        revision = self._revision(kind, repo, name, content=False)
        if revision is None:
            return None
        if what == "revision":
            siblings = [{"rfilename": path} for path in revision.files]
            return self._json({"id": repo, "sha": revision.commit, "siblings": siblings, "private": False, "tags": []})
        wanted = None
        if what == "paths-info":
            text = body.decode()
            wanted = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]
        return self._json(
            [
                _entry(path, data) | ({"xetHash": "0" * 64} if self.hub.xet and len(data) >= LFS_FROM else {})
                for path, data in revision.files.items()
                if wanted is None or path in wanted
            ]
        )

    def _resolve(self, kind: str, repo: str, name: str, path: str) -> None:
        revision = self._revision(kind, repo, name, content=True)
        if revision is None:
            return
        if path not in revision.files:
            return self._refuse(404, "EntryNotFound")
        data, entry = revision.files[path], _entry(path, revision.files[path])
        headers = {"X-Repo-Commit": revision.commit, "ETag": f'"{entry["oid"]}"'}
        if "lfs" in entry:
            digest = entry["lfs"]["oid"]
            headers |= {
                "X-Linked-ETag": f'"{digest}"',
                "X-Linked-Size": str(len(data)),
                "Location": f"{self.hub.storage}/cdn/{digest}/{path}",
            }
            return self._send(302, b"", headers)
        return self._content(data, headers)

    def _content(self, data: bytes, headers: dict[str, str]) -> None:
        fault = self.hub.take_fault(self.request_) if self.command == "GET" else NO_FAULT
        if fault.status:
            return self._refuse(fault.status, "")
        status, start, end = 200, 0, len(data)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if match and self.hub.ranges:
            start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else len(data), len(data))
            if start >= len(data):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status = 206
            headers = headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
        body = data[start:end]
        if fault.damage:
            body = bytes([body[0] ^ 0xFF]) + body[1:]
        return self._send(status, body, {**headers, "Accept-Ranges": "bytes"}, fault=fault)

    # Answers

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
        if status == 429:
            headers["Retry-After"] = "0"
        self._send(status, b"", headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], fault: Fault = NO_FAULT) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        piece = body if fault.cut_after is None else body[: fault.cut_after]
        self.request_.sent += len(piece)  # before it is on its way: who waits for it may look at once
        self.wfile.write(piece)
        if fault.cut_after is not None:
            self.wfile.flush()
            self.hub.stopped.wait(fault.stall)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


def _entry(path: str, data: bytes) -> dict:
    entry: dict = {"type": "file", "path": path, "size": len(data)}
    entry["oid"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    if len(data) >= LFS_FROM:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


@contextmanager
def as_the_hub(hub: LocalHub, monkeypatch) -> Iterator[LocalHub]:
    """Make huggingface_hub, in this process, talk to `hub` and to no other."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "")
    yield hub
