"""A model hub on this machine, which the hub's own client talks to: repositories are folders."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


def commit_of(folder: Path) -> str:
    """Return 40 hexadecimal digits over the content of a repository."""
    content = [file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()]
    return hashlib.sha1(b"".join(content)).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    root: Path
    asked: list[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name
        pass

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.asked.append(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and (self.root / "/".join(parts[2:4])).is_dir():
            self._send(self._described("/".join(parts[2:4]), parts[4:]), body)
            return
        if len(parts) > 4 and parts[2] == "resolve":
            file = self.root.joinpath(*parts[:2], *parts[4:])
            if file.is_file():
                commit = commit_of(self.root.joinpath(*parts[:2]))
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                self._send(file.read_bytes(), body, {"X-Repo-Commit": commit, "ETag": f'"{digest}"'})
                return
            self._send(b"", body, {"X-Error-Code": "EntryNotFound"}, 404)
            return
        self._send(b"", body, {"X-Error-Code": "RepoNotFound"}, 404)

    def _described(self, repository: str, rest: list[str]) -> bytes:
        folder = self.root / repository
        names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        if rest[:1] == ["tree"]:
            entries = [
                {"type": "file", "path": name, "size": (folder / name).stat().st_size, "oid": "0" * 40}
                for name in names
            ]
            return json.dumps(entries).encode()
        siblings = [{"rfilename": name} for name in names]
        return json.dumps({"id": repository, "sha": commit_of(folder), "siblings": siblings}).encode()

    def _send(
        self, content: bytes, body: bool, headers: dict[str, str] | None = None, status: int = 200
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def local_hub(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve the repositories in root/owner/name; yield the address and the paths that were asked for."""
    asked: list[str] = []
    handler = type("Answers", (_Answers,), {"root": root, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
