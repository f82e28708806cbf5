"""Videos of the clips whose frames are all done, written beside the run.

In: jobs, as they are met and done. Out: files below `videos/`. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from functools import cached_property

from pipeline.errors import NstError
from pipeline.manifest import Manifest
from pipeline.pictures import Timing
from pipeline.plan import Job
from pipeline.store import RunFolder, video_is_there, write_clip

_FPS = 25.0  # of numbered pictures, which do not say it


class Videos:
    """Counts each chain's frames; when all are done a thread writes their video."""

    def __init__(self, manifest: Manifest, store: RunFolder) -> None:
        self.store = store
        self._clips = {c.path: c.clip for c in manifest.contents if c.clip is not None}
        self._done: dict[str, dict[int, Job]] = {}
        self._writing: dict[str, Future[bool]] = {}

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1)

    def add(self, job: Job) -> None:
        """A job is done."""
        if job.place is None:
            return
        chain, count = job.place.chain, job.place.count
        frames = self._done.setdefault(chain, {})
        frames[job.place.number] = job
        if len(frames) == count:
            del self._done[chain]
            jobs = [frames[number] for number in range(count)]
            self._writing[chain] = self._pool.submit(self._write, chain, jobs)

    def _write(self, chain: str, jobs: list[Job]) -> bool:
        """Writes one video, if it is not there; whether it wrote it.

        Raises:
            NstError: it cannot be written.
        """
        first, last = jobs[0], jobs[-1]
        place, settings = first.place, first.settings
        assert place is not None
        clip = self._clips[place.source]
        timing = clip.timing
        # With another rate pictures and sound would no longer go together.
        sound = place.source if timing and timing.has_sound and settings.fps is None else None
        if settings.fps is not None or timing is None:
            rate = Fraction(settings.fps or _FPS).limit_denominator(1001)
            timing = Timing.even(rate, len(jobs))
        key = f"{last.key} {timing.rate} {timing.base} {'sound' if sound else 'silent'}"
        if video_is_there(self.store, chain, key):
            return False
        pictures = [self.store.own_picture(job.name, job.settings) for job in jobs]
        write_clip(self.store, chain, key, pictures, timing, sound)
        return True

    def end(self, *, stopped: bool) -> Mapping[str, NstError | None]:
        """Waits until all is written; each chain whose video was tried, and why it failed.

        Args:
            stopped: only what is being written is waited for.
        """
        ended: dict[str, NstError | None] = {}
        for chain, writing in self._writing.items():
            if stopped and writing.cancel():
                continue
            error = writing.exception()
            if error is None:
                if writing.result():
                    ended[chain] = None
            elif isinstance(error, NstError):
                ended[chain] = error
            else:
                raise error
        if self._writing:
            self._pool.shutdown()
        return ended
