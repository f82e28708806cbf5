"""A plan whose jobs are done by `fake_work`, in as many slots as a test wants."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_work import fake_work

from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.schedule import Progress, RunOptions, run_plan
from pipeline.slot import RunContext
from pipeline.store import RunFolder, RunLock, Summary


class World:
    """A manifest whose grid is a list of seeds, run with fake batches."""

    def __init__(self, folder: Path, seeds: list[int]) -> None:
        (folder / "m.yaml").write_text(
            "output: run\ncontent: c.png\nstyle: s.png\nbackbone: lite\n"
            f"settings: {{size: 64}}\ngrid: {{seed: {seeds}}}\n"
        )
        self.store = RunFolder(folder / "run")
        self.again(folder / "m.yaml")

    def again(self, path: Path) -> "World":
        """The same with the plan of a manifest that was changed."""
        self.plan = Plan(load_manifest(path), lambda settings: "digest", 1)
        return self

    def context(self, slots: int = 1, part: str = "") -> RunContext:
        return RunContext(
            self.store.path, self.store.path, "lite", None, None, part, ("cpu",) * slots, 1
        )

    def run(
        self,
        slots: int = 1,
        work: Any = fake_work,
        progress: Progress | None = None,
        **options: Any,
    ) -> Summary:
        given = RunOptions(**options)
        context = self.context(slots, given.part)
        with RunLock(context.store):
            context.store.begin("", {})
            return run_plan(self.plan, context, progress or Progress(), given, work)

    def when_busy(self, act: Callable[[], None]) -> None:
        """Has a thread call `act` as soon as the first slot has begun its batch."""

        def wait() -> None:
            until(lambda: self.store.live.slot("0") is not None)
            act()

        threading.Thread(target=wait, daemon=True).start()

    def done(self) -> dict[int, Any]:
        records: dict[int, Any] = {}
        for job in self.plan.jobs():
            if self.store.is_done(job.name, job.key, job.settings):
                records[job.settings.seed] = self.store.record(job.name)
        return records


def until(there: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)
