"""What commands print in the same way, and the run folder that several are given.

In: values. Out: text on standard output. Must not load torch.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import RunFolderError
from pipeline.notices import Notice
from pipeline.terminal import counted, json_printable, line, say

if TYPE_CHECKING:
    from pipeline.store import RunFolder

_SHOWN = 5  # of what could not be read


def print_json(data: object) -> None:
    """One value as one line of JSON, at once."""
    print(json_printable(json.dumps(data, ensure_ascii=False)), flush=True)


def print_warnings(warnings: Iterable[str | Notice]) -> None:
    """One line each, on standard error."""
    for warning in warnings:
        say(line(str(warning)), file=sys.stderr)


def say_left_out(reasons: Sequence[str]) -> None:
    """What could not be read, counted; on standard error."""
    if reasons:
        more = f", and {len(reasons) - _SHOWN:,} more" if len(reasons) > _SHOWN else ""
        shown = "; ".join(map(line, reasons[:_SHOWN]))
        say(f"left out {len(reasons):,} that cannot be read: {shown}{more}", file=sys.stderr)


def counted_notices(warnings: Mapping[str, int]) -> str:
    """How many notices of each code a run gave, in a line, or empty."""
    ordered = sorted(warnings.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {code}" for code, count in ordered)


def stale_line(count: int, run: Path) -> str:
    """How many pictures of a run no job makes, and what to do about it."""
    named, is_one = shlex.quote(str(run)), count == 1
    return (
        f"{counted(count, 'other picture')} there {'is' if is_one else 'are'} of no job any more; "
        f"nst clean {named} --stale moves {'it' if is_one else 'them'} to {run / 'stale'}"
    )


def layer_text(weights: Mapping[str, float]) -> str:
    """Weights of layers as people read them: `conv1_1: 0.2, conv2_1: 0.2`."""
    return ", ".join(f"{layer}: {weight:g}" for layer, weight in weights.items())


def existing_run(run: Path) -> RunFolder:
    """The run in a folder.

    Raises:
        RunFolderError: there is none.
    """
    from pipeline.store import RunFolder  # here alone: most of what prints has no run

    store = RunFolder(run)
    if not store.summaries() and store.header() is None:
        damaged = store.left_out()
        why = f"nothing of a run can be read there ({damaged[0]})" if damaged else "no run there"
        raise RunFolderError(f"{run}: {why}; name the `output` folder of a manifest")
    return store
