"""A Hub for tests, in memory and on the loopback, that answers the requests which `huggingface_hub` makes.

It knows users with rights, private repositories, branches, tags, LFS objects and conflicts, and it goes wrong on
demand: it cuts uploads, damages downloads, and lets somebody else commit first. `huggingface_hub` reads HF_ENDPOINT
when it is imported, so that whoever talks to it is a process of its own; see `tests/hub_processes.py`.

    python tests/hub_stand_in.py     prints its address, and serves until its standard input closes
"""

import base64
import hashlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_contents import LFS_SUFFIXES, USERS, Commit, Contents, Entry, Faults, Repository, git_digest

LFS_BYTES = 10 << 20
CONTROL = "/_stand_in"
_REPOSITORY = r"/([^/]+/[^/]+?)"
_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}


class Answer(Exception):
    """What is sent back."""

    def __init__(self, status: int, body: Any = b"", headers: dict[str, str] | None = None, content: str = "") -> None:
        is_bytes = isinstance(body, bytes)
        self.status, self.body = status, body if is_bytes else json.dumps(body).encode()
        self.headers = {"Content-Type": content or ("application/octet-stream" if is_bytes else "application/json")}
        self.headers |= headers or {}


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    return Answer(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message, **headers})


class Handler(BaseHTTPRequestHandler):
    """One request at a time; every method of `ROUTES` raises its answer."""

    protocol_version = "HTTP/1.1"
    server: "StandIn"

    def log_message(self, *arguments: Any) -> None:
        """Say nothing: `/_stand_in` returns what was asked."""

    def do_GET(self) -> None:
        contents, path = self.server.contents, urlsplit(self.path)
        self.query = parse_qs(path.query)
        with contents.lock:
            contents.requests.append((self.command, path.path))
            try:
                self._dispatch(path.path)
            except Answer as answer:
                self._send(answer)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _dispatch(self, path: str) -> None:
        for method, pattern, name in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and (method == self.command or (method, self.command) == ("GET", "HEAD")):
                getattr(self, name)(*(unquote(part) if part else part for part in found.groups()))
        self._body()
        raise refusal(404, "NotFound", f"the stand-in has no route {self.command} {path}")

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        length = {"Content-Length": str(len(answer.body))}
        for name, value in {**length, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    # Who asks, and for what.

    def _user(self) -> tuple[str, str] | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in USERS:
            raise refusal(401, "Unauthorized", "Invalid credentials in Authorization header")
        return USERS.get(token)

    def _readable(self, kind: str, name: str) -> Repository:
        user, found = self._user(), self.server.contents.repositories.get((_KINDS[kind or "models"], name))
        if found is None or (found.private and (user is None or user[0] != name.split("/")[0])):
            raise refusal(401 if user is None else 404, "RepoNotFound", "Repository not found")
        return found

    def _writable(self, kind: str, name: str) -> Repository:
        self._may_write(name.split("/")[0])
        return self._readable(kind, name)

    def _may_write(self, namespace: str) -> None:
        user = self._user()
        if user is None:
            raise refusal(401, "Unauthorized", "Invalid username or password.")
        if user != (namespace, "write"):
            raise refusal(403, "Forbidden", f"You don't have the rights to write under the namespace {namespace!r}.")

    def _commit(self, repository: Repository, revision: str) -> Commit:
        found = repository.resolve(revision)
        if found is None:
            raise refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    # Routes.

    def control(self) -> None:
        asked = json.loads(self._body() or b"null")
        if asked is not None:
            self.server.contents.faults = Faults(**asked)
            self.server.contents.requests.clear()
        branches = {
            f"{kind}s/{name}": {branch: [one.title for one in commits] for branch, commits in found.branches.items()}
            for (kind, name), found in self.server.contents.repositories.items()
        }
        private = [name for (_, name), found in self.server.contents.repositories.items() if found.private]
        requests = [" ".join(one) for one in self.server.contents.requests]
        raise Answer(200, {"requests": requests, "commits": branches, "private": private})

    def who_am_i(self) -> None:
        user = self._user()
        if user is None:
            raise refusal(401, "Unauthorized", "Invalid username or password.")
        token = {"type": "access_token", "accessToken": {"displayName": "test", "role": user[1]}}
        raise Answer(200, {"type": "user", "id": user[0], "name": user[0], "orgs": [], "auth": token})

    def validate_card(self) -> None:
        self._body()
        raise Answer(200, {"errors": [], "warnings": []})

    def create_repository(self) -> None:
        asked, user = json.loads(self._body()), self._user()
        owner = asked.get("organization") or (user[0] if user else "")
        self._may_write(owner)
        key = (asked.get("type") or "model", f"{owner}/{asked['name']}")
        answer = {"url": self._url(*key), "name": key[1], "id": "0" * 24}
        if key in self.server.contents.repositories:
            raise Answer(409, {"error": "You already created this repo", **answer})
        self.server.contents.create(key, asked.get("visibility") == "private" or bool(asked.get("private")))
        raise Answer(200, answer)

    def repository_info(self, kind: str, name: str, revision: str | None) -> None:
        repository = self._readable(kind, name)
        commit = self._commit(repository, revision or "main")
        files = [
            {"rfilename": path, **({"size": one.size, "blobId": one.blob} if "blobs" in self.query else {})}
            for path, one in sorted(commit.tree.items())
        ]
        about = {"_id": "0" * 24, "id": name, "author": name.split("/")[0], "sha": commit.oid, "siblings": files}
        known = {"private": repository.private, "gated": False, "disabled": False, "tags": [], "downloads": 0}
        raise Answer(200, {**about, **known, "likes": 0, "lastModified": commit.date, "createdAt": commit.date})

    def tree(self, kind: str, name: str, revision: str, folder: str | None) -> None:
        tree = self._commit(self._readable(kind, name), revision).tree
        below = f"{folder}/" if folder else ""
        deep = self.query.get("recursive", ["false"])[0].lower() == "true"
        folders = folders_of(tree)
        if folder and folder not in folders:
            raise refusal(404, "EntryNotFound", f"{folder} does not exist")
        kept = [
            one
            for one in [*folders, *sorted(tree)]
            if one.startswith(below) and (deep or one.count("/") == below.count("/"))
        ]
        raise Answer(200, [described(tree, path) for path in kept])

    def paths_info(self, kind: str, name: str, revision: str) -> None:
        body = self._body()
        tree = self._commit(self._readable(kind, name), revision).tree
        asked = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
        raise Answer(200, [described(tree, path) for path in asked if path in tree or path in folders_of(tree)])

    def refs(self, kind: str, name: str) -> None:
        found = self._readable(kind, name)
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commits[-1].oid}
            for name, commits in found.branches.items()
        ]
        tags = [{"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid} for name, oid in found.tags.items()]
        raise Answer(200, {"branches": branches, "tags": tags, "converts": []})

    def create_branch(self, kind: str, name: str, branch: str) -> None:
        body, found = self._body(), self._writable(kind, name)
        if branch in found.branches:
            raise refusal(409, "Conflict", "Reference already exists")
        start = json.loads(body or b"{}").get("startingPoint", "main")
        found.branches[branch] = [self._commit(found, start)]
        raise Answer(200, {})

    def create_tag(self, kind: str, name: str, revision: str) -> None:
        body, found = self._body(), self._writable(kind, name)
        found.tags[json.loads(body)["tag"]] = self._commit(found, revision).oid
        raise Answer(200, {})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        body, found = self._body(), self._writable(kind, name)
        tree, files = self._commit(found, revision).tree, []
        for one in json.loads(body)["files"]:
            binary = b"\0" in base64.b64decode(one["sample"])
            lfs = binary or one["size"] > LFS_BYTES or one["path"].endswith(LFS_SUFFIXES)
            old = tree[one["path"]].etag if one["path"] in tree else None
            mode = "lfs" if lfs else "regular"
            files.append({"path": one["path"], "uploadMode": mode, "shouldIgnore": False, "oid": old})
        raise Answer(200, {"files": files})

    def lfs_batch(self, kind: str | None, name: str) -> None:
        body = self._body()
        self._writable(kind or "models", name)
        objects = []
        for one in json.loads(body)["objects"]:
            upload = {"upload": {"href": f"{self._base()}/_lfs/{one['oid']}", "header": {}}}
            lacking = one["oid"] not in self.server.contents.blobs
            objects.append({"oid": one["oid"], "size": one["size"], **({"actions": upload} if lacking else {})})
        found = {"transfer": "basic", "objects": objects}
        raise Answer(200, found, content="application/vnd.git-lfs+json")

    def lfs_upload(self, sha256: str) -> None:
        contents, faults = self.server.contents, self.server.contents.faults
        if faults.cut_uploads_after is not None:
            if faults.cut_uploads_after <= 0:
                self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
                self.close_connection = True
                self.connection.close()
                raise ConnectionAbortedError("cut, as was asked for")
            faults.cut_uploads_after -= 1
        body = self._body()
        if hashlib.sha256(body).hexdigest() != sha256:
            raise refusal(400, "BadRequest", "the content has another SHA-256")
        contents.blobs[sha256] = body
        raise Answer(200, b"", {"ETag": f'"{sha256}"'})

    def lfs_download(self, sha256: str, name: str) -> None:
        self._send_content(self.server.contents.blobs[sha256], name, {"ETag": f'"{sha256}"'})

    def commit(self, kind: str, name: str, branch: str) -> None:
        contents, lines = self.server.contents, [json.loads(one) for one in self._body().splitlines() if one.strip()]
        found = self._writable(kind, name)
        self._commit(found, branch)
        if contents.faults.commit_first:
            contents.faults.commit_first = False
            tree = {**found.branches[branch][-1].tree, "THEIRS.md": contents.add(b"theirs")}
            found.branches[branch].append(contents.commit_of("somebody else's", tree))
        parent, head = found.branches[branch][-1], lines[0]["value"]
        if head.get("parentCommit") and not parent.oid.startswith(head["parentCommit"]):
            raise refusal(412, "PreconditionFailed", "A commit has happened since. Please refresh and try again.")
        tree = dict(parent.tree)
        for line in lines[1:]:
            self._change(tree, line["key"], line["value"])
        made = contents.commit_of(head["summary"], tree, parent.oid)
        found.branches[branch].append(made)
        url = f"{self._url(_KINDS[kind], name)}/commit/{made.oid}"
        raise Answer(200, {"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})

    def _change(self, tree: dict[str, Entry], what: str, value: dict[str, Any]) -> None:
        contents, path = self.server.contents, value["path"]
        if what == "file":
            tree[path] = contents.add(base64.b64decode(value["content"]))
        elif what == "lfsFile" and value["oid"] in contents.blobs:
            tree[path] = contents.add_lfs(value["oid"])
        elif what == "deletedFile":
            tree.pop(path, None)
        else:
            raise refusal(400, "BadRequest", f"{what} of {path}: not known, or its object was not uploaded")

    def resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        commit = self._commit(self._readable(kind or "models", name), revision)
        known = {"X-Repo-Commit": commit.oid}
        if path not in commit.tree:
            raise refusal(404, "EntryNotFound", "Entry not found", **known)
        one = commit.tree[path]
        if one.sha256 is None:
            self._send_content(self.server.contents.blobs[one.blob], path, {**known, "ETag": f'"{one.blob}"'})
        linked = {"X-Linked-Size": str(one.size), "X-Linked-ETag": f'"{one.sha256}"'}
        # Under its other name this is another machine, as where the Hub keeps large files.
        elsewhere = self._base().replace("127.0.0.1", "localhost")
        raise Answer(302, b"", {**known, **linked, "Location": f"{elsewhere}/_lfs/{one.sha256}/{path}"})

    def _send_content(self, content: bytes, path: str, headers: dict[str, str]) -> None:
        if path.split("/")[-1] == self.server.contents.faults.damage:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        headers = {**headers, "Accept-Ranges": "bytes"}
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if part is None:
            raise Answer(200, content, headers)
        start, end = int(part[1]), int(part[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        raise Answer(206, content[start : end + 1], headers)

    def _base(self) -> str:
        return f"http://{self.headers['Host']}"

    def _url(self, kind: str, name: str) -> str:
        return f"{self._base()}/{name}" if kind == "model" else f"{self._base()}/{kind}s/{name}"


_API = rf"/api/(models|datasets|spaces){_REPOSITORY}"
_OF_FILES = rf"(?:/(datasets|spaces))?{_REPOSITORY}"
ROUTES = [
    ("GET", CONTROL, "control"),
    ("POST", CONTROL, "control"),
    ("GET", "/api/whoami-v2", "who_am_i"),
    ("POST", "/api/validate-yaml", "validate_card"),
    ("POST", "/api/repos/create", "create_repository"),
    ("POST", rf"{_OF_FILES}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/_lfs/([0-9a-f]{64})", "lfs_upload"),
    ("GET", r"/_lfs/([0-9a-f]{64})/(.+)", "lfs_download"),
    ("GET", rf"{_API}/tree/([^/]+)(?:/(.+))?", "tree"),
    ("POST", rf"{_API}/paths-info/([^/]+)", "paths_info"),
    ("GET", rf"{_API}/refs", "refs"),
    ("POST", rf"{_API}/branch/([^/]+)", "create_branch"),
    ("POST", rf"{_API}/tag/([^/]+)", "create_tag"),
    ("POST", rf"{_API}/preupload/([^/]+)", "preupload"),
    ("POST", rf"{_API}/commit/([^/]+)", "commit"),
    ("GET", rf"{_API}(?:/revision/([^/]+))?", "repository_info"),
    ("GET", rf"{_OF_FILES}/resolve/([^/]+)/(.+)", "resolve"),
]


def folders_of(tree: dict[str, Entry]) -> list[str]:
    """Every folder that holds a file, or a folder."""
    parts = (path.split("/") for path in tree)
    return sorted({"/".join(one[:depth]) for one in parts for depth in range(1, len(one))})


def described(tree: dict[str, Entry], path: str) -> dict[str, Any]:
    if path in tree:
        return tree[path].described(path)
    return {"type": "directory", "oid": git_digest(path.encode()), "size": 0, "path": path}


class StandIn(ThreadingHTTPServer):
    """The server; what is cut on purpose is no error of its own."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents = Contents()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | OSError):
            super().handle_error(request, client_address)


if __name__ == "__main__":
    server = StandIn()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
