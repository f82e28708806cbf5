"""What goes wrong at night, one function a kind: to processes, inputs, disks, clocks, the cache.

In: a run that is under way. Out: harm, and what puts it right again later where it would be put
right. Used by `chaos.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from pipeline.store import RunFolder

_KEY = re.compile(rb'"key": "([^"]*)"')


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class Watch:
    """What was seen of a run from outside: finished records, and processes.

    Attributes:
        twice: records written again though nothing had happened to them.
        damaged: records that were harmed on purpose, or whose pictures were, and when.
    """

    def __init__(self, store: RunFolder) -> None:
        self.store = store
        self.finished: dict[Path, tuple[int, bytes]] = {}
        self.twice: list[str] = []
        self.damaged: dict[Path, int] = {}
        self.processes: set[int] = set()

    def look(self) -> None:
        """Notes new records, and those that were written anew with the same key."""
        for path in self.store.images.rglob("*.json"):
            try:
                moment = path.stat().st_mtime_ns
                if moment in (self.finished.get(path, (0,))[0], self.damaged.get(path)):
                    continue
                key = (_KEY.search(path.read_bytes()) or [b"", b""])[1]
            except OSError:
                continue
            before = self.finished.get(path)
            harmed = self.damaged.pop(path, None)
            if harmed is None and before is not None and before[1] == key:
                self.twice.append(path.stem)
            self.finished[path] = (moment, key)
        self.processes |= {state.pid for state in self.store.live.slots()}


@dataclass
class Scene:
    """A run under way, and all that accidents need of it.

    Attributes:
        folder: holds the manifest, `content`, `run` and `cache`.
        start: starts another driver.
        lost: content pictures that stay harmed.
        wrong: what an accident saw that must not be.
    """

    folder: Path
    watch: Watch
    draw: Random
    start: Callable[[], subprocess.Popen[bytes]]
    driver: subprocess.Popen[bytes] | None = None
    lost: set[Path] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def put_right(self, *, all_of_it: bool = False) -> None:
        """Undoes what is due, or all of it."""
        due = [pair for pair in self.later if all_of_it or pair[0] <= time.monotonic()]
        self.later = [pair for pair in self.later if pair not in due]
        for at, undo in due:
            try:
                undo()
            except OSError:  # a disk that can only be read for now
                self.later.append((at, undo))

    def after(self, low: float, high: float, undo: Callable[[], object]) -> None:
        """Has something undone in so many seconds."""
        self.later.append((time.monotonic() + self.draw.uniform(low, high), undo))

    def content(self) -> Path | None:
        """A content picture that is as it was, none of those that an accident has in hand."""
        whole = [p for p in sorted((self.folder / "content").glob("*.png")) if p not in self.lost]
        return self.draw.choice(whole) if whole and not self.later else None


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_worker(scene: Scene) -> None:
    """`kill -9` of a worker."""
    alive = [p for p in sorted(scene.watch.processes) if is_alive(p)]
    if alive:
        _signal(scene.draw.choice(alive), signal.SIGKILL)


def kill_driver(scene: Scene) -> None:
    """`kill -9` of the driver."""
    if scene.driver is not None:
        scene.driver.kill()


def hang_up(scene: Scene) -> None:
    """The terminal is closed."""
    if scene.driver is not None:
        scene.driver.send_signal(signal.SIGHUP)


def pause(scene: Scene) -> None:
    """A worker, or the driver, stands still for some seconds."""
    alive = [p for p in sorted(scene.watch.processes) if is_alive(p)]
    alive += [scene.driver.pid] if scene.driver is not None else []
    pid = scene.draw.choice(alive)
    _signal(pid, signal.SIGSTOP)
    scene.after(1, 4, lambda: _signal(pid, signal.SIGCONT))


def spoil_picture(scene: Scene) -> None:
    """A content picture is overwritten for good."""
    path = scene.content()
    if path is not None:
        scene.lost.add(path)
        path.write_bytes(b"gone")


def exchange_picture(scene: Scene) -> None:
    """A content picture is another one for a while."""
    path = scene.content()
    if path is None:
        return
    kept = scene.folder / "kept.png"
    other = np.random.default_rng(scene.draw.getrandbits(30)).integers(0, 256, (96, 128, 3))
    draft = scene.folder / "other.png"
    Image.fromarray(other.astype(np.uint8)).save(draft, "PNG")
    path.rename(kept)
    draft.replace(path)
    scene.after(0.2, 3, lambda: kept.replace(path))


def hide_picture(scene: Scene) -> None:
    """A content picture is gone for a while."""
    path = scene.content()
    if path is not None:
        hidden = scene.folder / "hidden.png"
        path.rename(hidden)
        scene.after(0.2, 3, lambda: hidden.rename(path))


def damage_cache(scene: Scene) -> None:
    """A byte of a cached file changes, or it ends early."""
    files = sorted((scene.folder / "cache").rglob("*.safetensors"))
    if files:
        path = scene.draw.choice(files)
        data = bytearray(path.read_bytes())
        if data:
            data[scene.draw.randrange(len(data))] ^= 0xFF
            path.write_bytes(bytes(data[: scene.draw.choice((len(data), len(data) // 2))]))


def damage_result(scene: Scene) -> None:
    """A finished record or picture is cut."""
    records = [p for p in sorted(scene.watch.finished) if p.exists()]
    if records:
        record = scene.draw.choice(records)
        path = scene.draw.choice((record, record.with_suffix(".png")))
        with contextlib.suppress(OSError):
            path.write_bytes(path.read_bytes()[:-20])
            scene.watch.damaged[record] = record.stat().st_mtime_ns


def second_driver(scene: Scene) -> None:
    """Somebody gives the command again while it runs."""
    if scene.driver is None or scene.driver.poll() is not None:
        return
    second = scene.start()
    while (code := second.poll()) is None:  # the first may have ended just then
        scene.watch.look()
        scene.put_right()
        time.sleep(0.1)
    if scene.driver.poll() is None and code != 2:
        scene.wrong.append(f"a second driver ended with {code}")


def set_clock(scene: Scene) -> None:
    """The clock of the wall is set by hours or days; the monotonic one goes on."""
    offset = scene.draw.choice((-86400.0, -7200.0, 0.0, 7200.0, 86400.0 * 400))
    (scene.folder / "clock").write_text(str(offset))


def fill_disk(scene: Scene) -> None:
    """No space is left until the driver has ended."""
    # That writing fails is the point.
    with contextlib.suppress(OSError), (scene.folder / "ballast").open("ab") as file:
        while True:
            file.write(bytes(1 << 16))


def forbid_writing(scene: Scene) -> None:
    """The disk can only be read until the driver has ended."""
    remount(scene.folder.parent, "ro")


def remount(folder: Path, how: str) -> None:
    """Mounts a folder's file system anew, `ro` or `rw`."""
    command = ["mount", "-o", f"remount,{how}", str(folder)]
    subprocess.run(command, capture_output=True, check=False)


Accident = Callable[[Scene], None]
ALWAYS: dict[str, Accident] = {
    "worker killed": kill_worker, "driver killed": kill_driver, "hangup": hang_up,
    "paused": pause, "picture spoilt": spoil_picture, "picture exchanged": exchange_picture,
    "picture hidden": hide_picture, "cache damaged": damage_cache, "result damaged": damage_result,
    "second driver": second_driver, "clock set": set_clock,
}  # fmt: skip
# Where a disk of its own can be mounted.
ON_A_DISK: dict[str, Accident] = {"disk filled": fill_disk, "disk read-only": forbid_writing}


class DaskCluster:
    """A scheduler and two workers of one thread, as their own processes.

    Args:
        environment: theirs.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        # What they run is imported by its name.
        path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.getenv("PYTHONPATH"))))
        self._environment = {**environment, "PYTHONPATH": path}
        self._file = folder / "scheduler.json"
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> str:
        """Starts what does not run; the scheduler's address."""
        if self.processes and self.processes[0].poll() is None:
            return str(json.loads(self._file.read_text())["address"])
        self.stop()
        self._file.unlink(missing_ok=True)
        self._run("dask_scheduler", "--port", "0", "--no-dashboard")
        deadline = time.monotonic() + 120
        while not self._file.exists():
            if self.processes[0].poll() is not None or time.monotonic() > deadline:
                raise SystemExit("no Dask scheduler starts here")
            time.sleep(0.2)
        for _ in range(2):
            self._run("dask_worker", "--nthreads", "1", "--no-dashboard", "--local-directory",
                      str(self._folder))  # fmt: skip
        return str(json.loads(self._file.read_text())["address"])

    def _run(self, program: str, *words: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{program}"]
        command += ["--scheduler-file", str(self._file), *words]
        with (self._folder / "dask.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
            )

    def kill_scheduler(self, scene: Scene) -> None:
        """`kill -9` of the scheduler; it is started again with the driver."""
        self.processes[0].kill()

    def stop(self) -> None:
        """Ends all of it."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []
