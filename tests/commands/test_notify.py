"""An address that is told how a run ended; a real server on this machine."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from batches import INLINE

from pipeline.commands import batch_manifest
from pipeline.commands.notify import notify
from pipeline.errors import ManifestError

MANIFEST = """
output: run
content: [a.png, broken.png]
style: s.png
backbone: lite
settings: {size: 48, steps: 2, scale_start: 0, preset: classic}
"""


@pytest.fixture
def server() -> Iterator[tuple[str, list[Any], dict[str, int]]]:
    """Its address with a secret, what it was sent, and the status that it answers."""
    received: list[Any] = []
    answer = {"status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            received.append((self.path, json.loads(self.rfile.read(size))))
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *given: object) -> None:
            """Nothing."""

    there = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=there.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{there.server_port}/hook/SECRET", received, answer
    there.shutdown()
    there.server_close()


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("a.png"), picture("s.png")
    (tmp_path / "broken.png").write_bytes(picture("b.png").read_bytes()[:500])
    (tmp_path / "m.yaml").write_text(MANIFEST)
    return tmp_path / "m.yaml"


def test_the_summary_is_posted(
    manifest: Path, server: tuple[str, list[Any], dict[str, int]]
) -> None:
    url, received, _ = server
    assert batch_manifest(manifest, INLINE, quiet=True, notify_url=url) == 1
    ((path, event),) = received
    assert path == "/hook/SECRET"
    assert (event["event"], event["jobs"], event["done"], event["failed"]) == ("end", 2, 1, 1)
    assert event["output"] == str(manifest.parent / "run")


def test_an_answer_that_is_none_is_a_warning_without_the_secret(
    manifest: Path,
    server: tuple[str, list[Any], dict[str, int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, _, answer = server
    answer["status"] = 403
    assert batch_manifest(manifest, INLINE, notify_url=url) == 1
    said = "".join(capsys.readouterr())
    assert "127.0.0.1 was not told: it answered 403" in said and "SECRET" not in said
    run = manifest.parent / "run"
    assert json.loads((run / "run.json").read_text())["warnings"]["not_told"] == 1
    (entry,) = [
        entry for entry in (run / "run.log").read_text().splitlines() if "not_told" in entry
    ]
    assert "WARNING not_told: 127.0.0.1 was not told: it answered 403" in entry
    kept = [path for path in run.rglob("*") if path.is_file()]
    assert not any(b"SECRET" in path.read_bytes() for path in kept)


def test_a_server_that_is_not_there_is_said() -> None:
    assert notify("http://127.0.0.1:1/SECRET", {}).startswith("127.0.0.1 was not told: ")


def test_a_user_in_an_address_is_refused_unsaid(manifest: Path) -> None:
    with pytest.raises(ManifestError, match="takes no user and password") as raised:
        batch_manifest(manifest, INLINE, notify_url="http://me:SECRET@127.0.0.1:1/")
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("url", ["ftp://x/y", "hooks.example.org", "http://", "http://[::1"])
def test_what_is_no_address_is_told_before_the_run(manifest: Path, url: str) -> None:
    with pytest.raises(ManifestError, match="an http or https address is needed"):
        batch_manifest(manifest, INLINE, quiet=True, notify_url=url)
    assert not (manifest.parent / "run").exists()
