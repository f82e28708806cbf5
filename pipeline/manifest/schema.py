"""The manifest as written: its keys, their types, a line of help each.

In: plain values. Out: models; the JSON Schema is made of them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)


class Frozen(BaseModel):
    """Values that stay as they are, without keys that nobody knows."""

    # Built when it is first used: of the chain of settings only the last one is.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


# A color's name or code, or a gray level, which YAML reads as a number.
RegionColor = Annotated[
    str,
    BeforeValidator(lambda key: str(key) if type(key) is int else key, json_schema_input_type=str),
]


class Blend(Frozen):
    """Several style pictures that count as one style: blended, or each for a region of its own."""

    name: str = Field(min_length=1, max_length=100, description="the style's name")
    blend: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="style picture: weight; weights are divided by their sum",
    )
    regions: dict[RegionColor, str] = Field(
        default_factory=dict,
        description="color of a region in the content's mask: the style picture that it takes",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Blend:
        if bool(self.blend) == bool(self.regions):
            raise ValueError("one of blend and regions is needed, with at least one picture")
        return self


class Masks(Frozen):
    """Where masks lie: patterns with {stem}, {name} or {suffix}, beside each picture."""

    content: str | None = Field(
        None, min_length=1, description="of content pictures, such as {stem}_mask.png"
    )
    style: str | None = Field(None, description="of style pictures; regions match by color")
    keep: str | None = Field(
        None,
        min_length=1,
        description="gray pictures beside content pictures: what is brighter keeps more of its "
        "content",
    )

    missing: Literal["whole"] | None = Field(
        None,
        description="whole: pictures without a mask are stylized whole, as if it were white all "
        "over; else a mask that is missing is an error",
    )

    @model_validator(mode="after")
    def _names_some(self) -> Masks:
        if self.content is None and (self.keep is None or self.style is not None):
            raise ValueError("content is needed, or keep without style")
        return self


# What the template of output names may hold.
NAME_FIELDS = ("folder", "name", "stem", "suffix", "style", "grid")


def _name_template(text: str | None) -> str | None:
    """A template whose fields are known, and that no file system refuses.

    Raises:
        ValueError: with what is wrong.
    """
    if text is None:
        return None
    known = ", ".join(f"{{{field}}}" for field in NAME_FIELDS)
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"is no template ({error}); known are {known}") from error
    for literal, field, form, conversion in parts:
        if field is not None and (field not in NAME_FIELDS or form or conversion):
            raise ValueError(f"{{{field}}} is unknown; known are {known}")
        wrong = re.search(r'[\x00-\x1f\x7f<>:"\\|?*]', literal)
        if wrong:
            raise ValueError(f"{wrong[0]!r} cannot stand in a file's name")
    if not any(field for _, field, _, _ in parts):
        raise ValueError(f"names no field, so all would have one name; known are {known}")
    return text


class Output(Frozen):
    """The run folder, and what goes there beside pictures and records."""

    path: str = Field(min_length=1, description="the run folder")
    format: Literal["files", "webdataset", "parquet"] = Field(
        "files",
        description="files; or shards of pictures, records and labels: webdataset's tars, or "
        "parquet tables",
    )
    shard_size: int = Field(1000, ge=1, le=1_000_000, description="jobs in a shard")
    name: Annotated[str | None, AfterValidator(_name_template)] = Field(
        None,
        min_length=1,
        max_length=500,
        description="template of pictures' paths below images/, instead of "
        "{folder}/{name}__{style}__{grid}; also {stem}, {suffix}",
    )
    others: Literal["none", "copy", "link"] = Field(
        "none", description="what to do with files of the content folders that are no pictures"
    )


class Sample(Frozen):
    """Some random styles for each content picture."""

    sample: int = Field(ge=1, description="styles for each content picture")
    seed: int = Field(0, ge=0, description="of the draw")


class BackboneChoice(Frozen):
    """Which network, and where its weights come from."""

    name: Literal["vgg19", "vgg16", "lite", "auto"] = Field(
        "vgg19",
        description="the network; auto: vgg19 on a GPU where its weights are at hand, else lite",
    )
    weights: str | None = Field(
        None,
        description="a local .pth or .safetensors file; or, of vgg19, caffe (the original, of the "
        "extra vgg19) or torchvision; without it the first that is there",
    )
    preprocessing: Literal["caffe", "imagenet"] | None = Field(
        None,
        description="what the first convolution wants to see: BGR, 0 to 255, less Caffe's mean, "
        "or RGB normalized by ImageNet's; without it told by the file",
    )


def _listed(value: object) -> object:
    return [value] if isinstance(value, (str, Mapping)) else value


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class PairEntry(Frozen):
    """One content picture with one style, and settings of their own if wanted."""

    content: str = Field(description="content: a file, folder or glob; a video; frames/%04d.png")
    style: str | Blend = Field(description="style picture, a blend, or a blend's name")
    label: str | None = Field(None, description="of the content, in output names")
    mask: str | None = Field(None, description="the content's mask, instead of one by `masks`")
    keep: str | None = Field(
        None, description="a gray picture of where the content counts more, instead of `masks`'"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="settings of this pair, beside those of every job"
    )


def _path_alone(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


def _pair(value: object) -> object:
    """`[content, style]` is the short form."""
    if isinstance(value, (list, tuple)):
        if len(value) != 2 or not all(isinstance(part, str) for part in value):
            raise ValueError("must be [content, style]")
        return {"content": value[0], "style": value[1]}
    return value


class ManifestFile(Frozen):
    """The manifest as written, each part of the right type."""

    output: Annotated[Output, BeforeValidator(_path_alone)] = Field(description="the run folder")
    content: Annotated[list[str], BeforeValidator(_listed)] = Field(
        default_factory=list,
        description="content pictures: files, folders, globs; videos; frames/%04d.png; data sets "
        "such as shards/{000..099}.tar or data/*.parquet",
    )
    style: Annotated[list[str | Blend], BeforeValidator(_listed)] = Field(
        default_factory=list,
        description="style pictures: files, folders, globs, or blends",
    )
    pairing: Literal["product", "zip"] | Sample = Field(
        "product", description="which styles go with which contents"
    )
    pairs: list[Annotated[PairEntry, BeforeValidator(_pair)]] = Field(
        default_factory=list,
        description="explicit pairs, beside the above: [content, style], or "
        "{content, style, settings}; or a CSV or JSON file of them",
    )
    exclude: Annotated[list[str], BeforeValidator(_listed)] = Field(
        default_factory=list,
        description="jobs to leave out: names and globs, or .txt files of them, as the report's "
        "page saves rejected ones",
    )
    masks: Masks | None = Field(None, description="which part of a picture takes which style")
    backbone: Annotated[BackboneChoice, BeforeValidator(_named)] = Field(
        default_factory=lambda: BackboneChoice(name="auto", weights=None, preprocessing=None),
        description="the feature network; without it auto",
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of every job")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="setting: list of values; every combination is one job",
    )
