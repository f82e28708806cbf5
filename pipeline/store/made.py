"""What a picture was made of and how, as its record has it and, in short, its own text.

In: parsed JSON. Out: frozen values; what is not of the form is a `ValidationError`. Knows no
paths. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import NotRequired, TypedDict

from pipeline.manifest import INITS, OLD_NAMES
from pipeline.store.forms import Read, renamed


def _below(text: str) -> str:
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or "\0" in text:
        raise ValueError("must be a path below the run folder")
    return text


# Records may come from someone else; what they name is looked for in their own folder.
Below = Annotated[str, AfterValidator(_below)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ContentInput(Read):
    """The content picture of a job, with the digests of its masks; of a data set's picture, its
    labels there.

    Attributes:
        file: its path below its content folder, which has its split and class; None in older
            records, and of a clip's frame.
    """

    path: str
    file: str | None = None
    sha256: str = ""
    size: tuple[int, int] = (0, 0)
    mask: str | None = None
    keep: str | None = None
    mask_sha256: str = ""
    keep_sha256: str = ""
    labels: dict[str, Any] = Field(default_factory=dict)


class StylePicture(Read):
    """One picture of a style; `region` is a color `#rrggbb` of the content's mask."""

    path: str
    weight: float
    sha256: str = ""
    size: tuple[int, int] = (0, 0)
    mask: str | None = None
    region: str | None = None
    mask_sha256: str = ""


class StyleInput(Read):
    """The style of a job."""

    name: str
    pictures: list[StylePicture]


class Point(TypedDict):
    """The losses before a step, counted from 1."""

    step: int
    content: float
    style: float
    neighbors: NotRequired[float]
    tv: float
    temporal: NotRequired[float]
    total: float


class ClipPlace(Read):
    """Where a frame stands in its clip.

    Attributes:
        path: of the clip, or the pattern of its pictures.
        video: the video's name below `videos/`, without suffix.
        frame, frames: from 1, and how many there are.
        before: the job that this one went on from; None for the first.
        flicker: mean absolute difference from the result before, moved by the optical flow, in
            [0, 1], where the flow is to be trusted.
        trusted: share of the picture where it is.
    """

    path: str
    video: str
    frame: int
    frames: int
    before: str | None = None
    flicker: float | None = None
    trusted: float | None = None


class Made(Read):
    """What a picture was made of and how: of this, the same job gives the same.

    A picture's own text is this, without folders, which are nobody's business where it goes. Texts
    of older versions name no pictures.

    Attributes:
        key: SHA-256 over all that decides the output; 64 hex digits.
        settings: all of them, resolved.
        preset_version: of the preset that they started from.
        swept: those that the grid or the pair chose.
        backbone: `name`, `weights_sha256`, `choice`: as a manifest has the weights, and
            `preprocessing`; in records also `weights`: what they are and where they are from.
        losses: of some steps; of the last alone in a picture's text.
        clip: of a clip's frame, where it stands.
        init_sha256: of the file that `init` names.
    """

    key: str = ""
    content: ContentInput = Field(default_factory=lambda: ContentInput(path=""))
    style: StyleInput = Field(default_factory=lambda: StyleInput(name="", pictures=[]))
    settings: dict[str, Any]
    swept: dict[str, Any] = Field(default_factory=dict)
    backbone: dict[str, Any] = Field(default_factory=dict)
    preset_version: int = 1
    algorithm: int = 0
    seed: int = 0
    precision: str = "?"
    versions: dict[str, str] = Field(default_factory=dict)
    steps: int = 0
    losses: list[Point] = Field(default_factory=list)
    clip: ClipPlace | None = None
    init_sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _names_of_today(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        names = [name for name in ("settings", "swept") if name in data]
        return {**data, **{name: renamed(data[name], OLD_NAMES) for name in names}}

    @property
    def names_inputs(self) -> bool:
        """Whether it says which pictures it was made of."""
        return bool(self.content.sha256 and self.style.pictures)

    def in_short(self, key: str) -> dict[str, Any]:
        """As it stands in a picture's text: file names alone, the last losses alone."""
        wanted = set(Made.model_fields) - {"key"}
        whole = self.model_dump(mode="json", include=wanted, exclude_unset=True)
        for name in ("labels", "file"):  # they may be long, and are the data set's
            whole.get("content", {}).pop(name, None)
        whole |= {"key": key, "losses": whole.get("losses", [])[-1:]}
        return _without_folders(whole)


def from_text(made: Made) -> Made:
    """What a picture's text says, which names files and no places, whoever wrote it."""
    plain = made.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Made.model_validate(_without_folders(plain))


def _without_folders(whole: dict[str, Any]) -> dict[str, Any]:
    for about in (whole.get("content"), whole.get("clip"), *_style_pictures(whole)):
        for name in ("path", "mask", "keep", "video", "before"):
            if about and about.get(name):
                about[name] = PurePath(about[name]).name
    backbone = whole.get("backbone", {})
    for values in (whole["settings"], whole.get("swept", {})):
        if str(values.get("init", "content")) not in INITS:
            values["init"] = PurePath(str(values["init"])).name
        named = values.get("backbone")
        if isinstance(named, dict) and named.get("weights"):
            values["backbone"] = named | {"weights": PurePath(str(named["weights"])).name}
    if backbone:
        choice = backbone.get("choice")
        kept = {name: value for name, value in backbone.items() if name != "weights"}
        whole["backbone"] = kept | ({"choice": PurePath(str(choice)).name} if choice else {})
    return whole


def _style_pictures(whole: dict[str, Any]) -> list[dict[str, Any]]:
    return list(whole.get("style", {}).get("pictures", []))
