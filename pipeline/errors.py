"""Every error that a user may meet, as one small tree.

A message says what is wrong, where, and what to do. Errors are raised low and shown once, by the
command line.
"""

from __future__ import annotations

from pipeline.address import clean


def install(extra: str) -> str:
    """How the package's extras are installed, which is not in a registry.

    >>> install("video")
    "pip install '.[video]' in a checkout"
    """
    return f"pip install '.[{extra}]' in a checkout"


class NstError(Exception):
    """Base of all errors of this package; `str(error)` is meant for the user, and has no secrets of
    addresses in it."""

    def __init__(self, *words: object) -> None:
        super().__init__(*(clean(word) if isinstance(word, str) else word for word in words))


class ManifestError(NstError):
    """The manifest or a setting is wrong; carries one message per problem.

    Attributes:
        problems: the messages, in the order of the manifest's lines.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = [clean(problem) for problem in problems]
        super().__init__("\n".join(problem.replace("\n", "\\n") for problem in self.problems))


class ImageError(NstError):
    """A picture cannot be read, is too large, or cannot be written."""


class WeightsError(NstError):
    """Backbone weights are missing, damaged, or of the wrong shape."""


class OtherBackboneError(WeightsError):
    """A weight file holds another backbone than the one it was named for.

    Attributes:
        there: the name of the backbone that it holds.
    """

    def __init__(self, message: str, there: str = "") -> None:
        super().__init__(message)
        self.there = there


class BackboneError(NstError):
    """A layer is asked for that the backbone does not have, or the picture is too small for it."""


class MissingPackageError(NstError):
    """Something optional was asked for whose package is not installed."""


class DeviceError(NstError):
    """A device is asked for that this machine does not have."""


class DivergedError(NstError):
    """A job's loss became NaN or infinite, and did so again with a safer step."""


class RunFolderError(NstError):
    """The run folder cannot be written, or belongs to another running process."""


class DiskFullError(RunFolderError):
    """There is no space left; no other job of the run will fare better."""


class WorkerError(NstError):
    """A worker process died, hung, or has too little memory for a single job."""


class DeviceFullError(WorkerError):
    """A device's memory is held by others, so that nothing can be run there now."""


class EngineError(NstError):
    """An engine is not installed, or its cluster cannot be reached."""
