"""`--shard auto`: one run by several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from batches import INLINE, assert_whole

from pipeline.commands import (
    Options,
    batch_manifest,
    parse_run_options,
    show_status,
)
from pipeline.commands.options import deciding_words
from pipeline.errors import EngineError, ManifestError
from pipeline.manifest import load_manifest
from pipeline.plan import Plan, parse_rules
from pipeline.schedule import RunOptions, shared
from pipeline.store import Owner, Queue, RunFolder, RunLock, Summary, joining
from pipeline.store.queue import _short

SHARED = replace(INLINE, run=RunOptions(engine="inline", shares=True))
Write = Callable[..., Path]


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Write:
    picture("c.png", 1)
    picture("s.png", 2)

    def write(seeds: int = 3, output: str = "run", content: str = "c.png") -> Path:
        (tmp_path / "m.yaml").write_text(
            f"output: {output}\ncontent: {content}\nstyle: s.png\nbackbone: lite\n"
            f"settings: {{size: 48, steps: 2}}\ngrid: {{seed: {list(range(seeds))}}}\n"
        )
        return tmp_path / "m.yaml"

    return write


def test_one_process_alone_does_all(manifest: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = manifest()
    run = path.parent / "run"
    assert batch_manifest(path, SHARED, quiet=True, with_report=False) == 0
    assert_whole(run, 3)
    assert json.loads((run / "run-1-of-auto.json").read_text())["done"] == 3
    assert show_status(run, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["total"] == {"jobs": 3, "done": 3, "warnings": {}}
    assert batch_manifest(path, SHARED, quiet=True, with_report=False) == 0
    show_status(run, as_json=False)
    assert "all shards: 3 of 3 jobs done" in capsys.readouterr().out


def test_what_another_has_taken_is_left_to_it_and_taken_over_when_it_died(
    manifest: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest()
    store = RunFolder(path.parent / "run")
    with joining(store) as part:
        other = RunFolder(store.path, part)
        lock = RunLock(other)
        lock.__enter__()
    seen: list[list[str]] = []

    class Watched(Queue):
        def claim(self, jobs):  # type: ignore[no-untyped-def]
            found = super().claim(jobs)
            seen.append([job.name for job in found])
            return found

        def wait(self, asked, pause_s=2.0):  # type: ignore[no-untyped-def]
            lock._lock.release()  # it dies
            return super().wait(asked, 0.0)

    names = list(Plan(load_manifest(path), lambda s: "", 1).jobs())
    Queue(other).claim(names[:2])
    monkeypatch.setattr(shared, "Queue", Watched)
    assert batch_manifest(path, SHARED, quiet=True, with_report=False) == 0
    assert_whole(store.path, 3)
    assert sorted(map(sorted, filter(None, seen))) == sorted(
        [["c.png__s__seed-0", "c.png__s__seed-1"], ["c.png__s__seed-2"]]
    )


def test_what_cannot_be_planned_fails_in_one_process_alone(
    manifest: Write, picture: Callable[..., Path]
) -> None:
    path = manifest(1)
    picture("sub/a.png", 3)
    (path.parent / "sub/b.png").write_bytes(b"no picture")
    (path.parent / "sub/c.png").write_bytes(b"no picture either")
    path = manifest(1, content="sub")
    store = RunFolder(path.parent / "run")
    with joining(store) as part:
        other = RunFolder(store.path, part)
        lock = RunLock(other)
        lock.__enter__()
    jobs = list(Plan(load_manifest(path), lambda s: "", 1).jobs())
    Queue(other).claim([jobs[1]])
    Queue(other).wait(lambda: True)
    assert batch_manifest(path, SHARED, quiet=True, with_report=False) == 1
    lock.__exit__(None, None, None)
    found = json.loads((store.path / "run-2-of-auto.json").read_text())
    assert (found["done"], found["failed"]) == (1, 1)
    assert [failure["name"] for failure in found["failures"]] == ["c.png__s__seed-0"]


def test_a_part_that_joins_a_redo_leaves_what_another_has_made_anew(manifest: Write) -> None:
    path = manifest()
    assert batch_manifest(path, INLINE, quiet=True, with_report=False) == 0
    run = path.parent / "run"
    with joining(RunFolder(run)) as part:
        other = RunFolder(run, part)
        lock = RunLock(other)
        lock.__enter__()
    jobs = list(Plan(load_manifest(path), lambda s: "", 1).jobs())
    before = {file: file.stat().st_mtime_ns for file in (run / "images").glob("*.json")}
    with other.inside.writable(run / ".nst/queue/1-of-auto.claims").open("ab") as claims:
        claims.write(_short(jobs[0]))  # which it has made by now
    Queue(other).wait(lambda: True)
    redo = replace(SHARED.run, redo=parse_rules("--redo", ["style=s"]))
    assert batch_manifest(path, replace(SHARED, run=redo), quiet=True, with_report=False) == 0
    lock.__exit__(None, None, None)
    assert_whole(run, 3)
    anew = run / "images" / f"{jobs[0].name}.json"
    assert [file for file in before if file.stat().st_mtime_ns == before[file]] == [anew]


def test_failures_are_counted_once_when_another_part_died(
    manifest: Write, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves is looked for in another pass, in which failed jobs stand as they are."""
    picture("sub/a.png", 3)
    whole = picture("sub/b.png", 4).read_bytes()
    path = manifest(1, content="sub")
    (path.parent / "sub/b.png").write_bytes(whole[: len(whole) // 2])
    (path.parent / "sub/c.png").write_bytes(b"no picture")
    run = path.parent / "run"

    class Watched(Queue):
        def wait(self, asked, pause_s=2.0):  # type: ignore[no-untyped-def]
            (run / ".nst/queue/9-of-auto.claims").touch()  # as a killed part leaves it
            return super().wait(asked, 0.0)

    monkeypatch.setattr(shared, "Queue", Watched)
    assert batch_manifest(path, SHARED, quiet=True, with_report=False) == 1
    found = json.loads((run / "run-1-of-auto.json").read_text())
    assert (found["jobs"], found["done"], found["failed"]) == (3, 1, 2)
    lines = (run / "failures-1-of-auto.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["name"] for line in lines) == [
        "b.png__s__seed-0", "c.png__s__seed-0"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("output", "said"),
    [("{path: run, format: webdataset}", "format webdataset"), ("run", "clips")],
)
def test_what_cannot_be_shared_is_told(
    manifest: Write, picture: Callable[..., Path], output: str, said: str
) -> None:
    for number in range(2):
        picture(f"f_{number}.png", number)
    path = manifest(1, output, "f_%d.png" if said == "clips" else "c.png")
    with pytest.raises(ManifestError, match=f"--shard auto does not go with {said}"):
        batch_manifest(path, SHARED, quiet=True)


def test_words_of_it() -> None:
    words = {
        "engine": "local", "address": None, "workers": None, "retries": 1, "timeout_s": 0.0,
        "stall_s": 0.0, "fail_fast": False, "failed_only": False, "log_format": "text",
    }  # fmt: skip
    options = parse_run_options(shard="auto", **words)
    assert options.shares and options.partial and options.shard is None
    assert deciding_words(Options("cpu", run=options))[:2] == ["--shard", "auto"]
    with pytest.raises(EngineError, match="dask shares jobs out itself"):
        parse_run_options(shard="auto", **{**words, "engine": "dask"})
    with pytest.raises(ManifestError, match="or auto"):
        parse_run_options(shard="all", **words)


def test_the_last_part_to_end_writes_the_table(manifest: Write) -> None:
    path = manifest()
    run = path.parent / "run"
    with joining(RunFolder(run)) as part:
        other = RunFolder(run, part)
        lock = RunLock(other)
        lock.__enter__()
    other.write_summary(Summary(jobs=3))
    Queue(other).wait(lambda: True)  # is idle
    assert batch_manifest(path, SHARED, quiet=True) == 0
    tables = [run / "metadata.parquet", run / "metadata.csv", run / "report.html"]
    assert not any(table.exists() for table in tables)
    lock.__exit__(None, None, None)
    (run / "images").rename(run / "gone")
    (run / "metadata.csv").write_text("of an earlier state")
    assert batch_manifest(path, SHARED, quiet=True) == 0
    assert (run / "metadata.parquet").exists() and not (run / "metadata.csv").exists()
    assert (run / "report.html").exists()


@pytest.mark.long
def test_processes_share_a_run_and_a_killed_ones_jobs_are_made(manifest: Write) -> None:
    path = manifest(2)
    sizes = "{size: [48, 56, 64, 72, 80, 88], seed: [0, 1]}"  # a batch each
    path.write_text(path.read_text().replace("{seed: [0, 1]}", sizes))
    run = path.parent / "run"
    words = [sys.executable, "-m", "cli", "batch", str(path), "--shard", "auto", "--no-report"]
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    both = [subprocess.Popen([*words, "--devices", "cpu", "-q"], env=environment) for _ in range(2)]
    claims = [run / f".nst/queue/{number}-of-auto.claims" for number in (1, 2)]
    while not all(path.exists() and path.stat().st_size for path in claims):
        time.sleep(0.05)
    both[0].send_signal(signal.SIGKILL)
    assert both[1].wait(600) == 0
    assert_whole(run, 12)


@pytest.mark.parametrize(("host", "made"), [("elsewhere", True), (socket.gethostname(), False)])
def test_a_part_that_may_have_died_elsewhere_keeps_no_report_back(
    manifest: Write, host: str, made: bool
) -> None:
    """Whether it lives cannot be seen; if it does, it writes the report once more."""
    path = manifest(8)
    run = path.parent / "run"
    other = RunFolder(run, "1-of-2")
    other.write_summary(Summary(jobs=2))
    owner = Owner(host=host, pid=os.getpid(), since="2026")
    other.write(run / ".nst/owner-1-of-2.json", json.dumps(owner.plain()).encode())
    second = replace(INLINE, run=RunOptions(engine="inline", shard=(2, 2)))
    assert batch_manifest(path, second, quiet=True) == 0
    assert (run / "report.html").exists() == (run / "metadata.parquet").exists() == made


def test_a_last_part_without_jobs_of_its_own_writes_the_report(manifest: Write) -> None:
    path = manifest(1)  # one of the parts has no job
    run = path.parent / "run"
    parts = [replace(INLINE, run=RunOptions(engine="inline", shard=(k, 2))) for k in (1, 2)]
    for each in parts:
        assert batch_manifest(path, each, quiet=True, with_report=False) == 0
    (run / "metadata.parquet").unlink()
    idle = next(
        k for k in (1, 2) if not json.loads((run / f"run-{k}-of-2.json").read_text())["jobs"]
    )
    assert batch_manifest(path, parts[idle - 1], quiet=True) == 0
    assert (run / "metadata.parquet").exists() and (run / "report.html").exists()
