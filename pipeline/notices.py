"""What a person should know though nothing failed: the one kind of warning, each with a code.

In: values. Out: notices for records, logs and counts. A new kind of notice is a line in `CODES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TAKEN_OVER = "taken_over"  # one part of a run alone

# Code -> what it means, as it stands in the README.
CODES = {
    "unusable_profile": "a picture's color profile cannot be used; its colors are taken as sRGB",
    "no_end_marker": "a JPEG is whole but for its end marker",
    "large_chunk": "a PNG holds more than 1 MB of profile or text",
    "first_of_several": "of an animation, a TIFF's pages or an MPO's pictures the first is taken",
    "guessed_range": "a 32-bit TIFF holds no value above 65,535 and is taken as a 16-bit one",
    "cut_shard": "a tar shard is damaged or cut short: its last sample and the rest are left out",
    "loss_rose": "a job's loss ends above its start, or far above its least",
    "safer_rate": "the loss became NaN or infinite; the job was made with a smaller learning rate",
    "slow_precision": "a precision was asked for that the device only emulates",
    "not_compiled": "torch could not compile the network",
    "not_graphed": "a step could not be taken as one CUDA graph",
    "no_checkpoint": "a checkpoint could not be written; the job goes on without, said once a slot",
    "cache_damaged": "a file of the cache was damaged and is made anew",
    "cache_unusable": "the cache could not be read or written",
    "excludes_nothing": "an entry of `exclude` names no job",
    "old_name": "a setting's older name is used",
    "chosen_backbone": "no backbone was named; the one that fits the device was taken",
    "unpaired_mask": "a picture without its mask is taken whole, or a mask has no picture",
    "no_such_region": "a style names a region that a picture's mask does not have",
    "older_preset": "a run goes on with the version of a preset that it began with",
    "set_for_once": "`--set` gave settings for this run alone",
    "nothing_redone": "`--redo` chose none of the jobs that are done",
    TAKEN_OVER: "the run goes on where another process ended without notice",
    "no_report": "the report or the table was not made",
    "not_told": "an address or a tracker could not be told of the run's end",
}


@dataclass(frozen=True)
class Notice:
    """A warning: `code` is one of `CODES`, `text` is for the user and names the file."""

    code: str
    text: str

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"{self.code}: no code of a notice; add it to CODES")

    def __str__(self) -> str:
        return self.text

    def below(self, path: Path) -> tuple[str, str]:
        """Code and words without the file's path, which `notices_of` puts before them again."""
        return self.code, self.text.removeprefix(f"{path}: ")


def notices_of(path: Path, kept: object) -> list[Notice]:
    """The notices of a file that were kept without its path; what is no such thing is left out.

    >>> kept = [Notice("no_end_marker", "b.jpg: no end").below(Path("b.jpg")), ["new", "x"], 7]
    >>> [str(notice) for notice in notices_of(Path("a.jpg"), kept)]
    ['a.jpg: no end']
    """
    found = []
    for words in kept if isinstance(kept, list) else []:
        if isinstance(words, (list, tuple)) and len(words) == 2 and words[0] in CODES:
            found.append(Notice(words[0], f"{path}: {words[1]}"))
    return found


class NoticeWarning(UserWarning):
    """A notice as Python's own warning, where no record takes it."""
