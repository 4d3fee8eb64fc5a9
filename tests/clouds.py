"""Servers of other clouds than S3, on loopback: Google's XML interface in this process, and Azure's Azurite.

`GcsServer` is what Google's documentation says of objects: ranges, ``If-Match``, generations, preconditions on them,
and listing; so far as obstore asks for it. No server that installs from a registry answers what obstore sends when it
writes: fake-gcs-server reads and lists alike and does not take its PUT. `azurite` starts Microsoft's own emulator.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any, ClassVar, override
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.programs import node
from tests.servers import RangeServer, Request, _Handler

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What Azurite has been documented to accept."""
_SECONDS = 30.0


class _Gcs(_Handler):
    server_of: GcsServer

    @override
    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if "list-type" in query:
            self.server_of._due(Request(self.command, self.path, dict(self.headers)), parts.path)
            self._listed(parts.path.rstrip("/") + "/", query)
            return
        self.path = unquote(parts.path)
        bucket = "/".join(self.path.split("/")[:2]) + "/"
        if not any(path.startswith(bucket) for path in self.server_of.objects):
            text = b"<?xml version='1.0'?><Error><Code>NoSuchBucket</Code></Error>"
            self.send_response(404)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        super()._answer()

    @override
    def _content(self, content: bytes, headers: dict[str, str], due: dict[Any, object]) -> None:
        generation = self.server_of.generations.get(self.path, 1)
        super()._content(content, {**headers, "x-goog-generation": str(generation)}, due)

    def do_PUT(self) -> None:
        path, owner = unquote(urlsplit(self.path).path), self.server_of
        body = self.rfile.read(int(self.headers["Content-Length"]))
        due = owner._due(Request(self.command, path, dict(self.headers)), path)
        if "status" in due:
            self._plain(int(str(due["status"])), {})
            return
        with owner._writing:
            there = owner.generations.get(path, 1) if path in owner.objects else 0
            if self.headers.get("x-goog-if-generation-match", str(there)) != str(there):
                self._plain(412, {})
                return
            owner.last += 1
            owner.objects[path], owner.generations[path] = body, owner.last
        tag = hashlib.md5(body).hexdigest()
        self._plain(200, {"ETag": f'"{tag}"', "x-goog-generation": str(owner.last)})

    def do_DELETE(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self._plain(404 if self.server_of.objects.pop(path, None) is None else 204, {})

    def _listed(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        below = {path[len(bucket) :]: body for path, body in self.server_of.objects.items() if path.startswith(bucket)}
        keys = sorted(key for key in below if key.startswith(prefix))
        deeper = {key for key in keys if delimiter and delimiter in key[len(prefix) :]}
        common = sorted({prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter for key in deeper})
        lines = [
            f"<Contents><Key>{escape(key)}</Key><Size>{len(below[key])}</Size><ETag>x</ETag>"
            "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for key in keys
            if key not in deeper
        ]
        lines += [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in common]
        text = f"<?xml version='1.0'?><ListBucketResult>{''.join(lines)}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@dataclass
class GcsServer(RangeServer):
    """Serves buckets: the first part of each path of ``objects``. It can be written to, too."""

    generations: dict[str, int] = field(default_factory=dict[str, int])
    last: int = 1
    handler: ClassVar[type[_Handler] | None] = _Gcs

    def options(self) -> dict[str, Any]:
        """What obstore needs to find it, as the key file of an account that needs no token."""
        account = {"gcs_base_url": self.url, "disable_oauth": True}
        account |= {"client_email": "", "private_key": "", "private_key_id": ""}
        return {"service_account_key": json.dumps(account), "client_options": {"allow_http": True}}


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """The address of an emulator of Azure's blobs, running while the ``with`` lasts; ``folder`` has its package files."""
    runner = node(folder)
    with socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    main = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    command = [runner, str(main), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder)
    try:
        yield _answering(running, f"http://127.0.0.1:{port}/{ACCOUNT}")
    finally:
        running.terminate()
        running.communicate()


def _answering(running: subprocess.Popen[bytes], address: str) -> str:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=5)
        except urllib.error.HTTPError:
            return address  # it wants a signature
        except OSError:
            if running.poll() is not None:
                break
            time.sleep(0.05)
    running.kill()
    raise AssertionError(f"azurite does not answer: {running.communicate()[0]!r}")


def container(address: str, name: str) -> None:
    """Make a container; obstore can fill one and not make one."""
    now = datetime.datetime.now(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": now, "x-ms-version": "2024-11-04"}
    told = "".join(f"{key}:{value}\n" for key, value in headers.items())
    text = f"PUT{chr(10) * 12}{told}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signed = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
    headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signed}", "Content-Length": "0"}
    urllib.request.urlopen(urllib.request.Request(f"{address}/{name}?restype=container", method="PUT", headers=headers))
