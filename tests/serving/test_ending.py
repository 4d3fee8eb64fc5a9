"""The end of a server whose source never answers: it comes in bounded time, and so does that of the process."""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

BOUND = 60
"""Until when the process has to be gone, however slow the machine [s]; a source that never answers takes for ever."""
OPTIONS = ("--storage-options", '{"http://": {"deadline": 3}}')
DOCUMENT = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [2],
    "data_type": "int8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0,
    "codecs": [{"name": "bytes"}],
}
SERVE = """
import sys, threading, time, urllib.request
import lazyzarr as lz

server = lz.serve(lz.open(sys.argv[1], storage_options={"http://": {"deadline": 3}}))
asked = threading.Thread(target=lambda: urllib.request.urlopen(server.url + "/c/0"), daemon=True)
asked.start()
sys.stdin.readline()
try:
    server.close()
    print("closed", flush=True)
except RuntimeError as error:
    print("refused", error, flush=True)
"""


class Silent:
    """A web server that has metadata, and never answers to anything else."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.ended = threading.Event()
        silent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                if "/c/" in self.path:
                    silent.asked.set()
                    silent.ended.wait()
                    return
                found = self.path.endswith("/zarr.json")
                body = json.dumps(DOCUMENT).encode() if found else b""
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing is told."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/a.zarr"

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    found = Silent()
    yield found
    found.close()


def test_closing_does_not_wait_for_a_source_for_ever(silent: Silent) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, silent.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert silent.asked.wait(BOUND), "the source was never asked"
        start = time.monotonic()
        told, errors = process.communicate("\n", timeout=BOUND)
        assert told.startswith("closed"), (told, errors)
        assert process.returncode == 0, errors
        assert time.monotonic() - start < BOUND
    finally:
        process.kill()
        process.wait()


def test_the_verb_ends_when_it_is_interrupted(silent: Silent) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lazyzarr", "serve", silent.url, "--port", "0", "--json", *OPTIONS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
        ask = f"import urllib.request; urllib.request.urlopen({url!r} + '/c/0')"
        client = subprocess.Popen([sys.executable, "-c", ask], stderr=subprocess.DEVNULL)
        assert silent.asked.wait(BOUND), "the source was never asked"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=BOUND)
        client.wait(timeout=BOUND)
        assert client.returncode != 0
    finally:
        process.kill()
        process.wait()
