"""One picture by another tool's own code, in the interpreter that has that tool.

    python benchmarks/peer_runs.py pastiche options.json result.pt

`beside_peers.py` starts it. In: the tool's options and the number of steps, as JSON. Out: its first
and last pixels as its network sees them, unrounded, the losses that it states, and the seconds from
the first step on. Knows torch and the tool, nothing of this project.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def run_pastiche(options: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The steps of pastiche's own artist.

    Args:
        options: of `PasticheArtist`.
    """
    tool = importlib.import_module("pastiche.pastiche")
    artist = tool.PasticheArtist(**options)
    begun, start = artist.loss, artist.pastiche.detach().clone()
    clock = time.perf_counter()
    for _ in range(steps):
        artist.draw()
    seconds = time.perf_counter() - clock
    end = artist.pastiche.detach().clone()
    artist.draw()  # only now it says the loss of the picture that was there before
    return {
        "start": start[0],
        "end": end[0],
        "losses": {"start": begun, "end": artist.loss},
        "seconds": seconds,
    }


def run_neural_style(options: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """A whole command of neural-style; what it would save is taken before it is rounded.

    It moves the picture after each loss that it counts and saves it with the last one, so it is
    asked for one more.

    Args:
        options: its options with their values, None for those that have none.
    """
    words = [str(word) for pair in options.items() for word in pair if word is not None]
    # Its parser reads the command line as the module is loaded.
    sys.argv = ["neural-style", *words, "-num_iterations", str(steps + 1)]
    tool: Any = importlib.import_module("neural_style.neural_style")
    found: dict[str, Any] = {}
    set_up, save = tool.setup_optimizer, tool.deprocess

    def begin(image: torch.Tensor) -> Any:
        found["start"] = image.detach()[0].clone()
        found["clock"] = time.perf_counter()
        return set_up(image)

    def finish(image: torch.Tensor) -> Any:
        found["seconds"] = time.perf_counter() - found.pop("clock")
        found["end"] = image.detach()[0].clone()
        return save(image)

    tool.setup_optimizer, tool.deprocess = begin, finish
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        tool.main()
    return {**found, "said": said.getvalue()}


RUNS = {"pastiche": run_pastiche, "neural-style": run_neural_style}


def main() -> None:
    """Runs one tool once."""
    tool, given, result = sys.argv[1:]
    job = json.loads(Path(given).read_text())
    torch.save(RUNS[tool](job["options"], job["steps"]), result)


if __name__ == "__main__":
    main()
