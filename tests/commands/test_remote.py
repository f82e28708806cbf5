"""Runs from and into remote storage, of a real S3 server, killed and gone on with."""

import functools
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from buckets import KEY, SECRET, keys_in, s3_client, s3_server, upload

from pipeline.address import Address, as_path
from pipeline.commands import (
    Changes,
    Options,
    batch_manifest,
    make_again,
    show_plan,
    show_status,
    stop_run,
    write_report,
    write_sheet,
)
from pipeline.commands.detach import start_detached
from pipeline.errors import ImageError, ManifestError, RunFolderError
from pipeline.library import records, stylize_pair
from pipeline.pictures import opened
from pipeline.remote import downloads, get, put
from pipeline.report import build_report
from pipeline.schedule import RunOptions, run_plan
from pipeline.store import RunFolder, bucket, sample_of

HOME = Path(__file__).parents[2]
INLINE = Options("cpu", None, run=RunOptions(engine="inline"))
COUNT = 3
DATA = "memory://data"
THUMBS = as_path("memory://runs/one/report/thumbs")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server("data", "runs") as address:
        yield address


@pytest.fixture
def pictures(tmp_path: Path, picture: Callable[..., Path], server: str) -> Path:
    """Contents and a style, the same on this disk and in the bucket."""
    for number in range(COUNT):
        picture(f"in/photos/{number}.png", number, (64, 64))
    picture("in/style.png", 9, (64, 64))
    upload(tmp_path / "in", "s3://data")
    return tmp_path / "in"


def write(path: Path, output: object, source: object, **settings: Any) -> Path:
    manifest = {
        "output": str(output), "content": f"{source}/photos", "style": f"{source}/style.png",
        "backbone": "lite", "settings": {"size": 64, "steps": 3, "scale_start": 0, **settings},
    }  # fmt: skip
    path.write_text(json.dumps(manifest))
    return path


def command(*words: object, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *map(str, words)], cwd=HOME,
        env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def store(address: str, data: bytes) -> None:
    put(as_path(address), data)  # type: ignore[arg-type]


def read(address: str) -> bytes:
    return get(as_path(address), 2**24)  # type: ignore[arg-type]


def facts(run: object) -> dict[str, tuple[str, float]]:
    """Each job's key and last loss."""
    return {r["name"]: (r["record"]["key"], r["loss.total"]) for r in records(str(run))}


def test_a_killed_run_goes_on_elsewhere_and_is_the_one_of_a_disk(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"s3://{KEY}:{SECRET}@data"
    manifest = write(tmp_path / "m.json.yaml", f"s3://{KEY}:{SECRET}@runs/killed", source)
    slow = write(tmp_path / "slow.yaml", "s3://runs/killed", source)
    process = command("batch", slow, "--engine", "inline", "--devices", "cpu", "--no-report")
    deadline = time.monotonic() + 300
    while not keys_in("runs", "killed/images/"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert os.environ["NST_CACHE_DIR"].startswith(str(tmp_path))
    os.environ["NST_CACHE_DIR"] = str(tmp_path / "another machine")  # put back by the fixture
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    assert batch_manifest(manifest, INLINE) == 0
    said = capsys.readouterr()
    assert f"{COUNT} of {COUNT} jobs are done in s3://runs/killed" in said.out
    assert SECRET not in said.out + said.err

    images = keys_in("runs", "killed/images/")
    names = [f"killed/images/{n}.png__style{suffix}" for n in range(COUNT)
             for suffix in (".json", ".png")]  # fmt: skip
    assert images == names
    assert not keys_in("runs", "killed/.nst")
    local = write(tmp_path / "local.yaml", tmp_path / "out", pictures)
    assert batch_manifest(local, INLINE, quiet=True) == 0
    there, here = facts("s3://runs/killed"), facts(tmp_path / "out")
    assert {name: key for name, (key, _) in there.items()} == {n: k for n, (k, _) in here.items()}
    for name, (_, loss) in there.items():
        assert loss == pytest.approx(here[name][1], rel=1e-3)

    found = next(records("s3://runs/killed"))
    assert found["content"].startswith("s3://data/photos/")
    assert found["image"].startswith("s3://runs/killed/images/")
    client = s3_client()
    for key in keys_in("runs"):
        body = client.get_object(Bucket="runs", Key=key)["Body"].read()
        assert SECRET.encode() not in body and KEY.encode() not in body, key
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix != ".yaml":
            assert SECRET.encode() not in path.read_bytes(), path
    assert not list(HOME.glob("s3*"))


@pytest.mark.long
def test_workers_reach_storage_with_the_secrets_of_the_manifest(
    pictures: Path, tmp_path: Path
) -> None:
    manifest = write(tmp_path / "m.yaml", f"s3://{KEY}:{SECRET}@runs/workers",
                     f"s3://{KEY}:{SECRET}@data", steps=1)  # fmt: skip
    plain = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    process = command("batch", manifest, "--devices", "cpu", "-q", "--no-report", **plain)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert len(keys_in("runs", "workers/images/")) == 2 * COUNT
    assert SECRET.encode() not in said


# -- in this process's memory --


@pytest.fixture
def memory(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """A manifest of one job, from memory to memory."""
    for name, seed in (("photos/cat.png", 1), ("style.png", 2)):
        store(f"{DATA}/{name}", picture(name, seed, (64, 64)).read_bytes())
    return write(tmp_path / "m.yaml", "memory://runs/one", "memory://data", steps=1)


@pytest.mark.parametrize(("form", "suffix"), [("webdataset", "tar"), ("parquet", "parquet")])
def test_a_run_in_shards_goes_there_too(
    memory: Path, picture: Callable[..., Path], tmp_path: Path, form: str, suffix: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for number in range(2):
        data = picture("more.png", number + 5, (64, 64)).read_bytes()
        store(f"{DATA}/photos/{number}.png", data)
    shards(memory, form, 2)
    for _ in range(2):
        assert batch_manifest(memory, INLINE) == 0
    assert "no report" not in (said := capsys.readouterr()).out + said.err
    run = as_path("memory://runs/one")
    inside = RunFolder(run).inside
    assert sorted(inside.walk(run / "shards")) == [
        "000000.json", f"000000.{suffix}", "000001.json", f"000001.{suffix}"
    ]  # fmt: skip
    assert not list(inside.walk(run / "images"))
    assert len(list(records("memory://runs/one"))) == 3
    names = [f"{name}.png__style" for name in ("0", "1", "cat")]
    assert sorted(inside.walk(run / "sample/images")) == [
        f"{name}.{kind}" for name in names for kind in ("json", "png")
    ]
    sample = RunFolder(run / "sample")
    for record in sample.records():
        made = inside.read(run / "sample" / record.output.path)
        assert hashlib.sha256(made).hexdigest() == record.output.sha256
    assert write_report(run) == 0
    assert b"cat.png" in read(f"{run}/sample/report.html")
    sheet = tmp_path / "sheet.png"
    assert write_sheet(run, "content", "style", sheet, 64, None) == 0 and sheet.is_file()


def shards(manifest: Path, form: str, size: int) -> None:
    """Has a manifest write shards."""
    data = json.loads(manifest.read_text())
    data["output"] = {"path": "memory://runs/one", "format": form, "shard_size": size}
    manifest.write_text(json.dumps(data))


@pytest.mark.parametrize("form", ["webdataset", "parquet"])
def test_of_a_sample_that_breaks_off_nothing_stays(
    memory: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    shards(memory, form, 1)
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    run = RunFolder(as_path("memory://runs/one"))
    plain = RunFolder.write

    def breaks(self: RunFolder, path: Path, data: bytes) -> None:
        if path.suffix == ".json" and path.parent.name == "images":
            raise RunFolderError("no space")
        plain(self, path, data)

    with monkeypatch.context() as patch, pytest.raises(RunFolderError, match="no space"):
        patch.setattr(RunFolder, "write", breaks)
        sample_of(run)
    assert not list(run.inside.walk(run.path / "sample"))
    (shard,) = run.shard_files()
    store(str(shard), read(str(shard))[:200])
    with pytest.raises(RunFolderError, match=r"000000\.\w+: damaged shard"):
        sample_of(RunFolder(run.path))
    assert not list(run.inside.walk(run.path / "sample"))


def test_every_command_knows_a_remote_run(
    memory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline import commands

    run = as_path("memory://runs/one")
    assert batch_manifest(memory, INLINE) == 0
    assert "all at a glance: memory://runs/one/report.html" in capsys.readouterr().out
    assert show_status(run, as_json=False) == 0
    assert "1 of 1 job done; ended" in capsys.readouterr().out
    assert commands.write_report(run) == 0
    assert b"cat.png" in read(f"{run}/report.html")
    assert commands.write_sheet(run, "content", "style", tmp_path / "sheet.png", 64, None) == 0
    assert commands.write_table_of(run, None) == 0
    assert commands.write_table_of(run, tmp_path / "jobs.csv") == 0
    assert "memory://data/photos/cat.png" in (tmp_path / "jobs.csv").read_text()
    capsys.readouterr()
    picture = run / "images" / "cat.png__style.png"
    assert commands.show_picture(picture, as_json=False) == 0
    assert "content     memory://data/photos/cat.png" in capsys.readouterr().out
    assert commands.rank_run(run, 3.0, None, 5, as_json=False) == 0
    assert b"memory://data/photos/cat.png" in read(f"{run}/best.yaml")
    commands.clean_run(run)
    assert commands.show_plan(memory, INLINE, as_json=False, measured=False) == 0
    assert stop_run(run) == 0
    assert not Path("memory:").exists()


def test_a_picture_of_a_remote_run_is_made_again_from_local_copies(
    memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    picture = as_path("memory://runs/one/images/cat.png__style.png")
    again = tmp_path / "again.png"
    assert make_again(picture, again, Changes(), INLINE, quiet=True) == 0
    with opened(picture) as first, opened(again) as second:
        assert np.array_equal(np.asarray(first), np.asarray(second))
    record = json.loads(again.with_suffix(".json").read_text())
    assert record["content"]["path"] == "memory://data/photos/cat.png"
    monkeypatch.setenv("NST_CACHE_DIR", str(tmp_path / "empty"))
    with pytest.raises(ManifestError, match=r"memory://data/photos/cat.png .* is not found"):
        make_again(picture, tmp_path / "more.png", Changes(), INLINE, quiet=True)


def test_a_page_of_a_run_that_goes_on_leaves_its_inputs_what_they_are_now(
    memory: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    new = picture("new.png", 77, (64, 64)).read_bytes()
    store(f"{DATA}/photos/cat.png", new)

    def page_then_run(*arguments: Any, **named: Any) -> Any:
        build_report(RunFolder(as_path("memory://runs/one")), live=True)
        return run_plan(*arguments, **named)

    monkeypatch.setattr("pipeline.commands.run.run_plan", page_then_run)
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    assert len(list(RunFolder(as_path("memory://runs/one")).inside.walk(THUMBS))) == 3
    record = json.loads(read("memory://runs/one/images/cat.png__style.json"))
    assert record["content"]["sha256"] == hashlib.sha256(new).hexdigest()


def test_of_remote_contents_a_picture_made_again_fetches_its_own_alone(
    memory: Path, tmp_path: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        data = picture(f"{number}.png", number, (64, 64)).read_bytes()
        store(f"{DATA}/photos/{number}.png", data)
    manifest = write(tmp_path / "m.yaml", tmp_path / "out", DATA, steps=1)
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    downloads.clear_downloads()
    fetched: list[str] = []
    plain = downloads.download

    def counted(address: Any, *rest: Any) -> None:
        fetched.append(str(address))
        plain(address, *rest)

    monkeypatch.setattr(downloads, "download", counted)
    made = tmp_path / "out/images/cat.png__style.png"
    assert make_again(made, tmp_path / "again.png", Changes(), INLINE, quiet=True) == 0
    assert sorted(fetched) == [f"{DATA}/photos/cat.png", f"{DATA}/style.png"]


def test_pictures_of_renamed_inputs_are_taken_along_and_stale_ones_put_aside(
    memory: Path, tmp_path: Path
) -> None:
    from pipeline.commands import move_stale

    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    data = json.loads(memory.read_text())
    put(
        as_path("memory://data/photos/dog.png"), get(as_path("memory://data/photos/cat.png"), 2**20)
    )  # type: ignore[arg-type]
    data["content"] = "memory://data/photos/dog.png"
    memory.write_text(json.dumps(data))
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    run = as_path("memory://runs/one")
    assert [r["name"] for r in records("memory://runs/one")] == ["dog.png__style"]
    data["settings"]["size"] = 48
    data["content"] = "memory://data/photos/cat.png"
    memory.write_text(json.dumps(data))
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) in (0, 1)
    move_stale(run)
    found = sorted(RunFolder(run).inside.walk(run / "stale"))
    assert found == ["images/dog.png__style.json", "images/dog.png__style.png"]


@pytest.mark.parametrize("broken", ["pipe_file", "find", "_open"])
def test_a_storage_that_goes_away_ends_the_run_in_order_and_it_goes_on(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    from pipeline.remote import steady

    monkeypatch.setattr(steady.time, "sleep", lambda _: None)
    at = "pipeline.commands.run.run_plan"

    def break_then_run(*arguments: Any, **named: Any) -> Any:
        def fail(*_: Any, **__: Any) -> None:
            raise ConnectionError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(MemoryFileSystem, broken, fail)
            return run_plan(*arguments, **named)

    monkeypatch.setattr(at, break_then_run)
    try:
        code = batch_manifest(memory, INLINE)
    except RunFolderError as error:
        code, said = 2, str(error)
    else:
        said = capsys.readouterr().out
    assert code in (1, 2) and "not reached in 4 tries: gone" in said
    monkeypatch.setattr(at, run_plan)
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    assert len(list(records("memory://runs/one"))) == 1


def test_memory_is_of_one_process(memory: Path) -> None:
    with pytest.raises(RunFolderError, match="no worker sees; choose the engine inline"):
        batch_manifest(memory, Options("cpu", None), quiet=True)


@pytest.mark.parametrize(
    ("option", "given"),
    [("--tensorboard", {"tensorboard": True}),
     ("--log-to tensorboard", {"trackers": ["tensorboard"]})],
)  # fmt: skip
def test_tensorboard_is_refused_before_the_run(
    memory: Path, option: str, given: dict[str, Any]
) -> None:
    with pytest.raises(RunFolderError, match=f"to local folders alone; leave {option} out"):
        batch_manifest(memory, INLINE, quiet=True, **given)
    assert not RunFolder(as_path("memory://runs/one")).inside.is_file(
        as_path("memory://runs/one/plan.json")
    )


def test_of_a_remote_runs_disk_no_free_space_is_told(
    memory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = write(tmp_path / "local.yaml", tmp_path / "out", DATA, steps=1)
    for manifest, told in ((memory, False), (local, True)):
        assert show_plan(manifest, INLINE, as_json=False, measured=True) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "of disk" in said and ("are free" in said) == told


def test_of_a_shard_its_own_records_are_fetched_alone(
    memory: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        data = picture(f"{number}.png", number + 20, (64, 64)).read_bytes()
        store(f"{DATA}/photos/{number}.png", data)
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    fetched: list[str] = []
    folders: list[RunFolder] = []
    plain = RunFolder.look_ahead

    def counted(self: RunFolder, name: str) -> None:
        fetched.append(name)
        folders.append(self)
        plain(self, name)

    monkeypatch.setattr(RunFolder, "look_ahead", counted)
    shares = []
    for number in (1, 2):
        fetched.clear()
        part = replace(INLINE, run=replace(INLINE.run, shard=(number, 2)))
        assert batch_manifest(memory, part, quiet=True, with_report=False) == 0
        shares.append(set(fetched))
    assert not shares[0] & shares[1] and len(shares[0] | shares[1]) == 6
    fetched.clear()
    failed = replace(INLINE, run=replace(INLINE.run, failed_only=True))
    assert batch_manifest(memory, failed, quiet=True, with_report=False) == 0
    assert fetched == []
    assert not any(folder.inside._bucket._ahead for folder in folders)  # type: ignore[union-attr]


def test_the_plan_reads_records_at_once(
    memory: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Those of its jobs, why they would run, and those of jobs that it has no more."""
    for number in range(3):
        data = picture(f"{number}.png", number + 20, (64, 64)).read_bytes()
        store(f"{DATA}/photos/{number}.png", data)
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    plain = bucket.get
    together = threading.Barrier(4, timeout=30)

    def get_with_others(path: Address, most: int) -> bytes:
        if "/images/" in str(path):
            together.wait()
        return plain(path, most)

    def events(given: Options) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert show_plan(memory, given, as_json=True, measured=False) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    monkeypatch.setattr(bucket, "get", get_with_others)
    found = events(INLINE)
    assert [event["index"] for event in found] == list(range(4))
    assert all(event["done"] for event in found)
    found = events(replace(INLINE, given={"steps": 2}))
    assert {event["why"] for event in found} == {"changed: steps"}
    write(memory, "memory://runs/one", "memory://data", steps=2)
    memory.write_text(memory.read_text().replace("data/photos", "other"))
    for number in range(4):
        store(f"memory://other/{number}x.png", picture("x.png", 30 + number, (64, 64)).read_bytes())
    assert [event["why"] for event in events(INLINE)] == ["new"] * 4


def test_a_run_elsewhere_is_not_asked_to_stop_from_here(memory: Path) -> None:
    assert batch_manifest(memory, INLINE, quiet=True, with_report=False) == 0
    run = as_path("memory://runs/one")
    folder = RunFolder(run)
    summary = folder.summaries()[""]
    folder.write_summary(summary.model_copy(update={"ended": False}))
    note = {"host": "elsewhere", "pid": 7, "since": "2999"}
    folder.inside.write(run / ".nst" / "owner.json", json.dumps(note).encode())
    with pytest.raises(RunFolderError, match="process 7 runs on elsewhere; ask it to stop there"):
        stop_run(run)


def test_other_files_do_not_go_along(memory: Path) -> None:
    data = json.loads(memory.read_text())
    data["output"] = {"path": "memory://runs/one", "others": "copy"}
    memory.write_text(json.dumps(data))
    with pytest.raises(ManifestError, match="only from local folders to local"):
        batch_manifest(memory, INLINE, quiet=True)


def test_a_detached_run_says_its_words_here(
    memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.commands.detach.sys.executable", "/bin/true")
    assert start_detached(memory, INLINE, ["batch"]) == 0
    assert "nst status memory://runs/one --watch" in capsys.readouterr().out
    assert not Path("memory:").exists()


def test_an_output_of_one_pair_is_local(memory: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="only a run folder may be remote"):
        stylize_to("s3://bucket/out.png", tmp_path)
    assert not Path("s3:").exists()


def stylize_to(output: str, folder: Path) -> None:
    from pipeline.commands import PairRequest, run_pair

    content, style = as_path("memory://data/photos/cat.png"), as_path("memory://data/style.png")
    request = PairRequest(content, style, Path(output), {"size": 64, "steps": 1}, "lite")
    run_pair(request, INLINE, quiet=True)


# -- on the web --


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "forbidden" in self.path:
            self.send_error(403)
        else:
            super().do_GET()


@pytest.fixture
def web(tmp_path: Path, picture: Callable[..., Path]) -> Iterator[str]:
    picture("web/a b.png", 3, (64, 64))
    picture("web/style.png", 4, (64, 64))
    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Quiet.asked.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_pictures_of_the_web_are_fetched_once_and_their_signature_is_kept_nowhere(
    web: str, tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    query = "?X-Amz-Signature=0123456789abcdef"
    manifest = tmp_path / "m.yaml"
    manifest.write_text(json.dumps({
        "output": str(tmp_path / "out"), "content": f"{web}/a%20b.png{query}",
        "style": f"{web}/style.png{query}", "backbone": "lite",
        "settings": {"size": 64, "steps": 1},
    }))  # fmt: skip
    for _ in range(2):
        downloads.forget_listed()
        assert batch_manifest(manifest, INLINE, quiet=True) == 0
    (record,) = records(tmp_path / "out")
    assert record["name"] == "a b.png__style" and record["content"] == f"{web}/a%20b.png"
    assert sorted(Quiet.asked) == [f"/a%20b.png{query}", f"/style.png{query}"]
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert b"0123456789abcdef" not in path.read_bytes(), path
    for path in (tmp_path / "cache").rglob("*"):
        assert not path.is_file() or b"0123456789abcdef" not in path.read_bytes(), path


def test_one_pair_may_lie_on_the_web(web: str) -> None:
    pytest.importorskip("aiohttp")
    made, record = stylize_pair(
        f"{web}/a%20b.png?key=topsecret", f"{web}/style.png", size=64, steps=1, with_record=True
    )
    assert made.size == (64, 64) and record["content"]["path"] == f"{web}/a%20b.png"
    with pytest.raises(ImageError, match=r"none.png: no such file"):
        stylize_pair(f"{web}/none.png?key=topsecret", f"{web}/style.png")
    with pytest.raises(ImageError, match="refused: HTTP 403; check credentials") as told:
        stylize_pair(f"{web}/forbidden.png?key=topsecret", f"{web}/style.png")
    assert "topsecret" not in str(told.value)
