"""What keeps a picture that is made again from being the same bit for bit: rounding, by batch,
threads, device.

In: a record, and that of the same job made again. Out: a batch like the one that it was made in,
and what is told of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from pipeline.address import Address
from pipeline.commands.options import Options
from pipeline.errors import ImageError, ManifestError
from pipeline.manifest import Manifest, Picture
from pipeline.pictures import is_image_name, member_bytes
from pipeline.store import Made, Record

_MOST_LIKE_THEN = 1024  # jobs: records may be of strangers


@dataclass(frozen=True)
class LikeThen:
    """A batch like the one that a picture was made in.

    Attributes:
        size: jobs in it.
        contents: different contents among them: one alone goes through the network otherwise.
        threads: of the CPU; 0 where that is not known.
        device: `cpu`, or empty for any other.
    """

    size: int
    contents: int
    threads: int
    device: str

    def on_its_device(self, options: Options) -> Options:
        """The options with its threads, on the CPU where it was made there."""
        own = self.device if options.devices == "auto" and self.device else options.devices
        return replace(options, devices=own, threads=self.threads)

    def filled(self, manifest: Manifest, folder: Path) -> Manifest:
        """A manifest of one job with copies of it, of the same content or of copies of its file.

        Args:
            folder: for the copies, is made.
        """
        first = manifest.contents[0]
        others = [first.path, *_copies(first, self.contents - 1, folder)]
        copies = tuple(
            replace(first, path=others[min(number, len(others) - 1)], label=f"{number}", file="")
            for number in range(1, self.size)
        )
        return replace(manifest, contents=(first, *copies), paired=(1 + len(copies), 1))


def like_then(picture: Path, made: Made) -> LikeThen:
    """The batch that a picture was made in.

    Raises:
        ManifestError: nothing says which, or what it says is no batch to make.
    """
    batch = made.batch if isinstance(made, Record) else {}
    if not isinstance(made, Record) or "size" not in batch:
        raise ManifestError(
            [
                f"{picture}: --exact wants the record {picture.stem}.json beside it, which says in "
                f"which batch it was made; leave --exact out"
            ]
        )
    size = max(1, batch["size"])
    if size > _MOST_LIKE_THEN:
        raise ManifestError(
            [
                f"{picture}: its record says that it was made in a batch of {size:,}, and --exact "
                f"makes {_MOST_LIKE_THEN:,} pictures at most; leave --exact out"
            ]
        )
    contents = min(size, max(1, batch.get("contents", size)))
    device = "cpu" if made.device.startswith("cpu") else ""
    return LikeThen(size, contents, max(0, batch.get("threads", 0)), device)


def _copies(content: Picture, count: int, folder: Path) -> Iterator[Path]:
    """Copies of a content's file; of a remote one none."""
    if count and not isinstance(content.path, Address):
        data = member_bytes(content.path) or content.path.read_bytes()
        folder.mkdir(parents=True)
        for number in range(count):
            path = folder / f"{number}{content.path.suffix}"
            path.write_bytes(data)
            yield path


def picture_then(picture: Path, made: Made) -> tuple[Path, Image.Image] | None:
    """The picture as it is before it is made again, perhaps in its own place; None if it has gone.

    Args:
        picture: itself, or its record.
    """
    from pipeline.pictures import decode  # here alone: it takes a while to load

    path = picture if is_image_name(picture) else _picture_of(picture, made)
    try:
        return None if path is None else (path, decode(path).image)
    except ImageError:
        return None


def beside_then(
    then: tuple[Path, Image.Image] | None, made: Made, output: Path, record: Record, *, exact: bool
) -> Iterator[str]:
    """Whether the pixels are the same as then, and if not, what was otherwise.

    Args:
        then: see `picture_then`.
    """
    if then is None:
        return
    import numpy as np  # here alone: they take a while to load

    from pipeline.pictures import decode

    (before, one), other = then, decode(output).image
    if one.size != other.size:
        return
    apart = np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16))
    if not apart.any():
        yield f"the same pixels as {before}"
        return
    reasons = list(_otherwise(made, record))
    why = ", ".join(reasons) or "nothing that records say is otherwise: another processor?"
    helps = not exact and any(": " in reason for reason in reasons)
    way = "; --exact makes it as then" if helps else ""
    yield (
        f"differs from {before} by {apart.max()} of 255 at most, {apart.mean():.2g} on average, "
        f"since rounding grows along the steps: {why}{way}"
    )


def _picture_of(record: Path, made: Made) -> Path | None:
    return record.with_name(Path(made.output.path).name) if isinstance(made, Record) else None


def _otherwise(then: Made, now: Record) -> Iterator[str]:
    """What rounds otherwise now than then."""
    if then.precision != now.precision:
        yield f"{then.precision} then, {now.precision} now"
    torch = then.versions.get("torch", "?"), now.versions.get("torch", "?")
    if torch[0] != torch[1]:
        yield f"torch {torch[0]} then, {torch[1]} now"
    if not isinstance(then, Record):
        yield "its record, which says in which batch and where it was made, is not beside it"
        return
    if then.device != now.device:
        yield f"on {then.device} then, on {now.device} now"
    if then.deterministic != now.deterministic:
        yield f"{'with' if then.deterministic else 'without'} --deterministic then"
    for name, what in _BATCH.items():
        before, after = then.batch.get(name), now.batch.get(name)
        if before is None and after is not None:
            yield f"how many {what} then is not known"
        elif before != after and after is not None:
            yield f"{what}: {before:,} then, {after:,} now"


_BATCH = {
    "size": "jobs in its batch",
    "contents": "different contents in it",
    "threads": "CPU threads",
}
