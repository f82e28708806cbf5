"""Damaged and hostile input by the thousand, and what it did that it must not.

    python tests/fuzz/campaign.py manifest map settings command --cases 2000

Printed are, for each subject, how many cases raised an error that is not the project's own, took
too long, filled memory, started a process or touched a file outside; and the first of each kind
with its number, which `--only` runs alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fuzz import folders, sets, texts  # noqa: E402 - a script finds them only now
from fuzz.watch import LONGEST_S, fingerprint, watch  # noqa: E402

Attempt = Callable[[], object]


@dataclass(frozen=True)
class Subject:
    """One thing that reads what others wrote.

    Attributes:
        prepare: makes the world that its cases share, once.
        draw: damages something in that world; what it returns reads it.
    """

    prepare: Callable[[Path], None]
    draw: Callable[[Path, Random], Attempt]


SUBJECTS = {
    "manifest": Subject(texts.make_world, texts.manifest),
    "map": Subject(texts.make_world, texts.pair_map),
    "settings": Subject(texts.make_world, texts.command_settings),
    "command": Subject(texts.make_world, texts.other_command),
    "run": Subject(folders.make_run, folders.run_folder),
    "cache": Subject(folders.make_cache, folders.cache_file),
    "weights": Subject(folders.make_weights, folders.weight_file),
    "picture": Subject(folders.make_pictures, folders.picture),
    "set": Subject(sets.make_sets, sets.data_set),
    "own": Subject(folders.make_own_pictures, folders.own_picture),
}


def faults(
    name: str, folder: Path, cases: Sequence[int], longest_s: float = LONGEST_S
) -> dict[int, str]:
    """What cases of a subject did that they must not, by their numbers.

    Args:
        folder: an empty one. The world is made in it, beside a folder that must stay as it is.
    """
    subject, world, canary = SUBJECTS[name], folder / "world", folder / "canary"
    world.mkdir()
    subject.prepare(world)
    before, found = _make_canary(canary), {}
    for case in cases:
        attempt = subject.draw(world, Random(f"{name} {case}"))
        fault = watch(attempt, longest_s=longest_s)
        if fingerprint(canary) != before:
            fault = "touched files outside"
            _make_canary(canary)
        if fault:
            found[case] = fault
    return found


def _make_canary(folder: Path) -> dict[str, str]:
    """A folder beside that must stay as it is, and what it holds."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    for name in ("precious.txt", "checkpoints/precious.safetensors", "00000.js", "old.webp"):
        (folder / name).write_text("precious")
    Image.new("RGB", (8, 8)).save(folder / "precious.png")
    return fingerprint(folder)


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--only", type=int, help="the number of one case")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.subjects) - set(SUBJECTS))
    if unknown:
        parser.error(f"{', '.join(unknown)}: unknown; there are {', '.join(SUBJECTS)}")
    cases = range(arguments.cases) if arguments.only is None else [arguments.only]
    wrong = False
    for name in arguments.subjects or SUBJECTS:
        with TemporaryDirectory() as folder:
            found = faults(name, Path(folder), cases)
        print(f"{name}: {len(cases)} cases, {len(found)} faults", flush=True)
        first: dict[str, int] = {}
        for case, fault in found.items():
            first.setdefault(fault, case)
        for fault, count in Counter(found.values()).most_common():
            print(f"  {count:5}  {fault}   (case {first[fault]})")
        wrong = wrong or bool(found)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
