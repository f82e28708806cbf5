"""What goes on in a run folder while it runs: the slots' news, and the request to stop.

In and out: small files below `.nst`, so that processes anywhere see them. Must not load torch.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from pipeline.store.forms import parse
from pipeline.store.inside import Inside
from pipeline.store.records import SlotState


class Live:
    """The live state of one run, or of one shard of it.

    Args:
        inside: the run folder's files.
        state: the run folder's `.nst`.
        temporary: where the slots' news lies; it goes when the run ends.
        suffix: the shard's in file names, or empty.
    """

    def __init__(self, inside: Inside, state: Path, temporary: Path, suffix: str) -> None:
        self._inside, self._state, self._temporary = inside, state, temporary
        self._stop_file = state / f"stop{suffix}"

    # -- stopping: a file, so that workers in any process see it --

    def ask_to_stop(self) -> None:
        """Asks all workers of this run to stop at their next step.

        Raises:
            RunFolderError: no space or no rights.
        """
        self._inside.write(self._stop_file, b"", self._state)

    def stop_asked(self) -> bool:
        """Whether this run was asked to stop."""
        return self._stop_file.exists()

    def clear_stop(self) -> None:
        """Forgets an earlier request to stop."""
        self._inside.remove(self._stop_file)

    # -- the slots --

    def write_slot(self, state: SlotState) -> None:
        """What a slot is doing, for whoever watches; not flushed, since it is news.

        A full disk costs the news, not the job.
        """
        path = self._temporary / f"slot-{state.slot}.json"
        draft = path.with_suffix(".new")
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps(state.plain()))
            draft.replace(path)

    def slot(self, name: str) -> SlotState | None:
        """What a slot was last seen doing; None if there is nothing yet."""
        return self._read(self._temporary / f"slot-{name}.json")

    def slots(self, *, own: bool = False) -> list[SlotState]:
        """What each slot of the run and of all its shards was last seen doing.

        Args:
            own: of this run or shard alone.
        """
        folder = self._temporary.name if own else "tmp*"
        try:
            found = map(self._read, self._inside.files(self._state, f"{folder}/slot-*.json"))
            return [state for state in found if state is not None]
        except OSError:
            return []

    def _read(self, path: Path) -> SlotState | None:
        try:
            return parse(SlotState, self._inside.read(path))
        except (OSError, ValueError):
            return None  # nothing yet, or just being replaced; the next look sees it
