"""A small real hub on this machine: the requests of huggingface_hub for an upload, over HTTP."""

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.support.listening import listening

SHA = "0" * 40
LARGE = (".safetensors", ".bin")
Answer = tuple[int, dict[str, Any] | list[dict[str, str]]]


@dataclass
class Repo:
    """A repository: who sees it, its files, and the number of its commits."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0


@dataclass
class Hub:
    """The hub's state. Only requests with `token` are served, and only for names of `owner`."""

    token: str = "hf_secret"
    owner: str = "lab"
    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """The variables by which a command publishes here."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": self.token,
            **more,
        }

    def download(self, repo: str, folder: Path) -> Path:
        """The files of a repository in a folder."""
        folder.mkdir(parents=True)
        for name, content in self.repos[repo].files.items():
            (folder / name).write_bytes(content)
        return folder

    def answer(self, path: str, body: bytes, token: str | None) -> Answer:
        """Status and content for a request of the API."""
        if token != f"Bearer {self.token}":
            return 401, {"error": "Invalid username or password."}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._validate(json.loads(body)["content"])
        if found := re.fullmatch(r"/(.+)\.git/info/lfs/objects/batch", path):
            return 200, {"transfer": "basic", "objects": self._batch(json.loads(body))}
        found = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(?:/(\w+)/main.*)?", path)
        if not found or found[1] not in self.repos:
            return 404, {"error": "Repository not found"}
        repo = self.repos[found[1]]
        if found[2] == "preupload":
            return 200, {"files": [_mode(one["path"]) for one in json.loads(body)["files"]]}
        if found[2] == "commit":
            return self._commit(found[1], [json.loads(line) for line in body.splitlines()])
        if found[2] == "tree":
            return 200, [{"type": "file", "path": n, "oid": SHA, "size": "1"} for n in repo.files]
        return 200, {"id": found[1], "sha": SHA, "private": repo.private, "siblings": []}

    def _create(self, asked: dict[str, Any]) -> Answer:
        repo = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] != self.owner:
            return 403, {"error": "You don't have the rights to create a model under this name."}
        if repo in self.repos:
            return 409, {"error": "exists", "url": f"{self.url}/{repo}"}
        self.repos[repo] = Repo(private=asked.get("visibility") == "private")
        return 200, {"url": f"{self.url}/{repo}"}

    def _validate(self, card: str) -> Answer:
        _, head, _ = card.split("---\n", 2)
        fields = yaml.safe_load(head)
        unknown = "license" not in fields
        return (400 if unknown else 200), {"errors": [{"message": "license"}] if unknown else []}

    def _batch(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {**one, "actions": {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}}
            for one in asked["objects"]
        ]

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> Answer:
        repo = self.repos[name]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = self.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
        repo.commits += 1
        return 200, {"commitUrl": f"{self.url}/{name}/commit/{SHA}", "commitOid": SHA}


def _mode(path: str) -> dict[str, Any]:
    mode = "lfs" if path.endswith(LARGE) else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}


@contextlib.contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """The hub at an address of this machine; its thread ends with the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self._body()
            path = self.path.partition("?")[0]
            if self.command == "PUT" and path.startswith("/lfs/"):
                hub.large[hashlib.sha256(body).hexdigest()] = body
                self._send(200, {})
                return
            self._send(*hub.answer(path, body, self.headers["Authorization"]))

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _send(self, status: int, content: Any) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_HEAD = _serve

        def log_message(self, *_: object) -> None:
            pass

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as hub.url:
        yield hub
