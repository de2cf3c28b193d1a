"""A hub on loopback: one data set repository with the answers huggingface_hub asks for, range requests included."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "EleutherAI/pile-deduped-pythia-preshuffled"


class Handler(BaseHTTPRequestHandler):
    """Serves `files`. `log` keeps (method, file, range); `cut` closes connections after so many bytes."""

    files: ClassVar[dict[str, bytes]] = {}
    log: ClassVar[list[tuple[str, str, str | None]]] = []
    cut: ClassVar[int | None] = None
    ranges = True

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, *, body: bool) -> None:
        if self.path.startswith("/api/datasets/"):
            siblings = [
                {"rfilename": name, "size": len(content), "lfs": {"sha256": sha(content), "size": len(content),
                 "pointerSize": 134}, "blobId": "0" * 40}
                for name, content in self.files.items()
            ]  # fmt: skip
            self.send(200, json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}).encode(), {}, body)
            return
        match = re.fullmatch(rf"/datasets/{REPOSITORY}/resolve/[^/]+/([^/?]+).*", self.path)
        if match is None or match[1] not in self.files:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
            return
        content, asked = self.files[match[1]], self.headers.get("Range")
        self.log.append((self.command, match[1], asked))
        headers = {"ETag": f'"{sha(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if asked and self.ranges:
            first, last = (int(word or len(content) - 1) for word in asked.removeprefix("bytes=").split("-"))
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self.send(206, content[first : last + 1], headers, body)
        else:
            self.send(200, content, headers, body)

    def send(self, status: int, content: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[: self.cut] if self.cut is not None and status == 206 else content)
            if self.cut is not None and status == 206 and len(content) > self.cut:
                self.close_connection = True


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def hub(files: dict[str, bytes], *, cut: int | None = None, ranges: bool = True) -> Iterator[tuple[str, list]]:
    """(endpoint, log of file requests)."""
    log: list[tuple[str, str, str | None]] = []
    handler = type("Own", (Handler,), {"files": files, "log": log, "cut": cut, "ranges": ranges})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", log
    finally:
        server.shutdown()
        server.server_close()


def environment(endpoint: str, home: Path) -> dict[str, str]:
    """What makes huggingface_hub talk to it."""
    return {
        "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
