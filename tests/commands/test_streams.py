"""Standard output that goes away, and runs that go on without their terminal."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from batches import records, summary
from fake_work import SLOW
from worlds import World, until

from pipeline.commands import stop_run
from pipeline.commands.streams import Lenient, lost_answer, make_lenient
from pipeline.errors import RunFolderError
from pipeline.schedule.stopping import heard_signals
from pipeline.store import RunLock

ROOT = Path(__file__).parents[2]
QUICK = "settings: {size: 48, steps: 1, scale_start: 0, style_loss: gram, neighbor_weight: 0}\n"


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("c.png", 1), picture("s.png", 2)
    path = tmp_path / "m.yaml"
    path.write_text("output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n" + QUICK)
    return path


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line for bash, in which `nst` is the command line of this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = line.replace("nst", f"{sys.executable} -m pipeline", 1)
    command = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, check=False
    )


@pytest.mark.parametrize("where", [">&-", "> /dev/full"])
def test_a_run_goes_on_without_its_words(manifest: Path, where: str) -> None:
    ran = shell(f"nst batch m.yaml --engine inline --no-report {where}", manifest.parent)
    assert ran.returncode == 0 and "Traceback" not in ran.stderr, ran.stderr
    assert set(records(manifest.parent / "run")) == {"c.png__s.json"}
    assert summary(manifest.parent / "run")["done"] == 1


def test_an_answer_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    ran = shell("nst schema > /dev/full", tmp_path)
    assert ran.returncode == 1
    assert ran.stderr == "error: standard output cannot be written (No space left on device)\n"


def test_whoever_reads_only_the_first_line_is_served(tmp_path: Path) -> None:
    ran = shell("nst schema | head -1", tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "{\n", "")


def test_what_cannot_be_written_is_dropped_once_and_for_all() -> None:
    class Gone(io.StringIO):
        tried = 0

        def write(self, text: str) -> int:
            self.tried += 1
            raise OSError(5, "Input/output error")

    gone = Gone()
    stream = Lenient(gone)
    assert stream.write("abc") == stream.write("def") // 1 == 3 and gone.tried == 1
    stream.flush()
    assert lost_answer(stream) == "standard output cannot be written (Input/output error)"
    assert stream.encoding is gone.encoding
    closed = Lenient(gone)
    gone.close()
    closed.write("x")
    assert "cannot be written" in lost_answer(closed)


def test_streams_that_are_not_there_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    output = make_lenient()
    print("nowhere")
    print("nowhere", file=sys.stderr)
    assert lost_answer(output) == ""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none")
def test_a_terminal_that_closes_stops_a_run_in_order() -> None:
    heard: list[str] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may be nohup's
    try:
        with heard_signals(heard.append):
            os.kill(os.getpid(), signal.SIGHUP)
            until(lambda: bool(heard))
            os.kill(os.getpid(), signal.SIGHUP)  # the shell's, and the system's
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
                signal.pause()
        assert heard == ["SIGHUP"] and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none")
def test_what_nohup_began_goes_on_when_its_terminal_closes() -> None:
    heard: list[str] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with heard_signals(heard.append):
            os.kill(os.getpid(), signal.SIGHUP)
        assert not heard and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_any_terminal_can_stop_a_run(
    world: Callable[[list[int]], World], capsys: pytest.CaptureFixture[str]
) -> None:
    here = world([SLOW, *range(40)])
    here.when_busy(lambda: stop_run(here.store.path) and None)
    ended = here.run()
    assert ended.stopped and ended.done < 40
    said = capsys.readouterr()
    assert "asked to stop; it finishes what it writes" in said.out
    assert "nst stop: stopping" in here.store.log.read_text()
    assert stop_run(here.store.path) == 0
    assert "nothing runs there" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_says_so(
    world: Callable[[list[int]], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world([1])
    here.run(engine="inline")
    state = json.loads((here.store.path / "run.json").read_text())
    (here.store.path / "run.json").write_text(json.dumps({**state, "ended": False}))

    def refuse(source: object, target: object) -> None:
        raise OSError(30, "Read-only file system")

    with RunLock(here.store):
        monkeypatch.setattr("os.replace", refuse)
        message = r"stop: cannot be written \(Read-only file system\)"
        with pytest.raises(RunFolderError, match=message):
            stop_run(here.store.path)


def test_a_detached_run_goes_on_by_itself(manifest: Path) -> None:
    ran = shell("nst batch m.yaml --detach --engine inline", manifest.parent)
    assert ran.returncode == 0 and "nst status" in ran.stdout and "nst stop" in ran.stdout
    run = manifest.parent / "run"
    until(lambda: (run / "run.json").exists() and summary(run)["ended"], 120)
    assert summary(run)["done"] == 1
    until(lambda: "1 done, 0 failed" in (run / "detached.log").read_text())


def test_what_is_wrong_is_told_before_a_run_detaches(manifest: Path) -> None:
    manifest.write_text(manifest.read_text() + "contnt: x\n")
    ran = shell("nst batch m.yaml --detach", manifest.parent)
    assert ran.returncode == 2 and "unknown key" in ran.stderr
    (manifest.parent / "run").write_text("a file")
    manifest.write_text(manifest.read_text().replace("contnt: x\n", ""))
    ran = shell("nst batch m.yaml --detach", manifest.parent)
    assert ran.returncode == 2 and "run/detached.log: cannot be written" in ran.stderr
