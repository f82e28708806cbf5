"""What goes on in a run folder while it runs: the slots' news, and the request to stop.

In and out: small files below `.nst`, so that processes anywhere see them. Must not load torch.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from pipeline.store.forms import parse
from pipeline.store.records import SlotState


class Live:
    """The live state of one run, or of one shard of it.

    Args:
        state: the run folder's `.nst`.
        temporary: where the slots' news lies; it goes when the run ends.
        suffix: the shard's in file names, or empty.
    """

    def __init__(self, state: Path, temporary: Path, suffix: str) -> None:
        self._state, self._temporary = state, temporary
        self._stop_file = state / f"stop{suffix}"

    # -- stopping: a file, so that workers in any process see it --

    def ask_to_stop(self) -> None:
        """Asks all workers of this run to stop at their next step."""
        self._stop_file.touch()

    def stop_asked(self) -> bool:
        """Whether this run was asked to stop."""
        return self._stop_file.exists()

    def clear_stop(self) -> None:
        """Forgets an earlier request to stop."""
        self._stop_file.unlink(missing_ok=True)

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
        return _read(self._temporary / f"slot-{name}.json")

    def slots(self) -> list[SlotState]:
        """What each slot of the run and of all its shards was last seen doing."""
        found = map(_read, sorted(self._state.glob("tmp*/slot-*.json")))
        return [state for state in found if state is not None]


def _read(path: Path) -> SlotState | None:
    try:
        return parse(SlotState, path.read_bytes())
    except (OSError, ValueError):
        return None  # nothing yet, or just being replaced; the next look sees it
