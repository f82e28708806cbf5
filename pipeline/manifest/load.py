"""YAML -> validated manifest, and its JSON Schema.

In: a manifest file. Out: a frozen `Manifest` whose pictures exist and whose settings are all valid.
Knows nothing of jobs, devices or the run folder. Every problem is reported at once, each with the
manifest's line.
"""

from __future__ import annotations

import difflib
import glob
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from pipeline.errors import ImageError, ManifestError
from pipeline.manifest.pairs import read_map
from pipeline.manifest.settings import INITS, PRESETS, Settings
from pipeline.pictures import check_header, is_image_name, region_name

MAX_DEPTH = 20
MAX_EXPANDED_NODES = 5_000_000
DEFAULT_MAX_JOBS = 10_000_000
Position = tuple[str | int, ...]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Blend(_Frozen):
    """Several style pictures that count as one style: blended, or each for a region of its own."""

    name: str = Field(min_length=1, max_length=100, description="the style's name")
    blend: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="style picture: weight; weights are divided by their sum",
    )
    regions: dict[str, str] = Field(
        default_factory=dict,
        description="color of a region in the content's mask: the style picture that it takes",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Blend:
        if bool(self.blend) == bool(self.regions):
            raise ValueError("one of blend and regions is needed, with at least one picture")
        return self


class Masks(_Frozen):
    """Where masks lie: patterns with {stem}, {name} or {suffix}, beside each picture."""

    content: str = Field(min_length=1, description="of content pictures, such as {stem}_mask.png")
    style: str | None = Field(None, description="of style pictures; regions match by color")


class Output(_Frozen):
    """The run folder, and what goes there beside pictures and records."""

    path: str = Field(min_length=1, description="the run folder")
    format: Literal["files", "webdataset"] = Field(
        "files", description="files, or webdataset: tar shards of pictures and records"
    )
    shard_size: int = Field(1000, ge=1, le=1_000_000, description="jobs in a tar shard")
    others: Literal["none", "copy", "link"] = Field(
        "none", description="what to do with files of the content folders that are no pictures"
    )


class Sample(_Frozen):
    """Some random styles for each content picture."""

    sample: int = Field(ge=1, description="styles for each content picture")
    seed: int = Field(0, ge=0, description="of the draw")


class BackboneChoice(_Frozen):
    """Which network, and where its weights come from."""

    name: Literal["vgg19", "lite"] = Field("vgg19", description="the network")
    weights: str | None = Field(None, description="a local .pth or .safetensors file")


def _listed(value: object) -> object:
    return [value] if isinstance(value, (str, Mapping)) else value


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class PairEntry(_Frozen):
    """One content picture with one style, and settings of their own if wanted."""

    content: str = Field(description="content picture: a file, folder or glob")
    style: str | Blend = Field(description="style picture, a blend, or a blend's name")
    label: str | None = Field(None, description="of the content, in output names")
    mask: str | None = Field(None, description="the content's mask, instead of one by `masks`")
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


class ManifestFile(_Frozen):
    """The manifest as written, each part of the right type."""

    output: Annotated[Output, BeforeValidator(_path_alone)] = Field(description="the run folder")
    content: Annotated[list[str], BeforeValidator(_listed)] = Field(
        default_factory=list, description="content pictures: files, folders, globs"
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
    masks: Masks | None = Field(None, description="which part of a picture takes which style")
    backbone: Annotated[BackboneChoice, BeforeValidator(_named)] = Field(
        default_factory=lambda: BackboneChoice(name="vgg19", weights=None),
        description="the feature network",
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="settings of every job")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="setting: list of values; every combination is one job",
    )


@dataclass(frozen=True)
class Picture:
    """A picture file and the label that it has in output names (its path below its root).

    Attributes:
        mask: its regions, or None.
    """

    path: Path
    label: str
    mask: Path | None = None


@dataclass(frozen=True)
class Style:
    """One style: pictures with weights that sum to 1, under one name.

    Attributes:
        masks: of each picture, or empty where there are none.
        regions: the region `#rrggbb` that each picture is for, or empty where they are blended.
    """

    label: str
    parts: tuple[tuple[Path, float], ...]
    masks: tuple[Path | None, ...] = ()
    regions: tuple[str, ...] = ()

    def _shape(self) -> str:
        count = len(self.parts)
        what = "regions" if self.regions else f"{count} picture{'s' * (count != 1)}"
        return f"{self.label} has {what}"

    def weighted(self, weights: Sequence[float] | None) -> Style:
        """The same blend with other weights; None leaves it as it is.

        Raises:
            ManifestError: not as many weights as pictures.
        """
        if weights is None:
            return self
        if self.regions or len(weights) != len(self.parts):
            raise ManifestError([f"blend: {len(weights)} weights, but style {self._shape()}"])
        shares = [weight / sum(weights) for weight in weights]
        parts = zip(self.parts, shares, strict=True)
        return replace(self, parts=tuple((path, share) for (path, _), share in parts))


@dataclass(frozen=True)
class Pair:
    """An explicit pair.

    Attributes:
        content, style: indices into the manifest's contents and styles.
        settings: its own, beside those of every job.
    """

    content: int
    style: int
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    """A valid manifest, with its pictures found and its settings checked.

    Attributes:
        path: the manifest's file.
        text: the file as read.
        output: the run folder, absolute.
        pairs: explicit pairs.
        paired: how many of `contents` and `styles` take part in `pairing`; the rest are only in
            `pairs`.
        axes: the grid, in the manifest's order, each value as validated.
        folders: those whose content pictures were taken, for the other files in them.
        form: how the output is stored.
    """

    path: Path
    text: str
    output: Path
    contents: tuple[Picture, ...]
    styles: tuple[Style, ...]
    pairing: Literal["product", "zip"] | Sample
    pairs: tuple[Pair, ...]
    paired: tuple[int, int]
    backbone: str
    weights: Path | None
    settings: Mapping[str, Any]
    axes: Mapping[str, tuple[Any, ...]]
    folders: tuple[Path, ...]
    form: Output


# --- YAML -----------------------------------------------------------------------------------------


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML with YAML 1.2's plain scalars: `1e3` and `1_000` are numbers, `no` is a word."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_INT = re.compile(r"^[-+]?[0-9][0-9_]*$")
_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$")
for _tag, _pattern, _first in (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), "~nN\0"),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("merge", re.compile(r"^<<$"), "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, [*_first, ""])
_Loader.add_constructor(
    "tag:yaml.org,2002:int", lambda _, node: int(str(node.value).replace("_", ""))
)
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda _, node: float(str(node.value).replace("_", ""))
)


class _Source:
    """A manifest's data, and the line of every value in it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines: dict[Position, int] = {}
        self.problems: list[str] = []
        self.data: Any = None
        self._check_depth(text)
        try:
            loader = _Loader(text)
            try:
                node = loader.get_single_node()
                self._check_size(node)
                self._walk(node, ())
                self.data = loader.construct_document(node) if node is not None else None
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise ManifestError([self._at(mark.line + 1 if mark else 1, _reason(error))]) from error
        except yaml.YAMLError as error:
            raise ManifestError([self._at(1, f"not YAML: {error}")]) from error

    def _at(self, line: int, message: str) -> str:
        return f"{self.path}:{line}: {message}"

    def _check_depth(self, text: str) -> None:
        depth = 0
        try:
            for event in yaml.parse(text, Loader=_Loader):
                if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                    depth += 1
                    if depth > MAX_DEPTH:
                        mark = event.start_mark
                        line = mark.line + 1 if mark else 1
                        message = f"nested more than {MAX_DEPTH} levels deep; flatten it"
                        raise ManifestError([self._at(line, message)])
                elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                    depth -= 1
        except yaml.YAMLError:
            return  # reported, with its line, by the full parse

    def _check_size(self, root: yaml.Node | None) -> None:
        """Counts nodes as if aliases were written out, without writing them out."""
        sizes: dict[int, int] = {}

        def size(node: yaml.Node, above: tuple[int, ...]) -> int:
            if id(node) in above:
                line = node.start_mark.line + 1
                raise ManifestError([self._at(line, "an alias that contains itself")])
            if id(node) not in sizes:
                inner = (*above, id(node))
                sizes[id(node)] = 1 + sum(size(child, inner) for child in _children(node))
            return sizes[id(node)]

        if root is not None and (total := size(root, ())) > MAX_EXPANDED_NODES:
            line = root.start_mark.line + 1
            message = f"aliases expand to {total:,} values; at most {MAX_EXPANDED_NODES:,} are read"
            raise ManifestError([self._at(line, message)])

    def _walk(self, node: yaml.Node | None, position: Position) -> None:
        if node is None:
            return
        self.lines[position] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                name = str(key.value)
                if name in seen:
                    self.problems.append(
                        self._at(
                            line,
                            f"key {name!r} stands twice, first in line {seen[name]}",
                        )
                    )
                seen.setdefault(name, line)
                inner: Position = (*position, name)
                self._walk(value, inner)
                self.lines[inner] = line
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._walk(item, (*position, index))

    def report(self, position: Position, message: str) -> None:
        """Adds a problem at the line of `position`, or of what encloses it."""
        place = position
        while place and place not in self.lines:
            place = place[:-1]
        name = "".join(map(_part, position)).lstrip(".")
        prefix = f"{name}: " if name else ""
        self.problems.append(self._at(self.lines.get(place, 1), prefix + message))

    def raise_if_any(self) -> None:
        """Raises a ManifestError with all problems, in the order of lines."""
        if self.problems:
            unique = list(dict.fromkeys(self.problems))
            raise ManifestError(sorted(unique, key=_line_of))


def _part(part: str | int) -> str:
    """One step of a position, as it is written in messages."""
    plain = isinstance(part, str) and re.fullmatch(r"\w+", part)
    return f".{part}" if plain else f"[{part!r}]"


def _line_of(problem: str) -> int:
    match = re.search(r":(\d+): ", problem)
    return int(match[1]) if match else 0


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not YAML"
    if "could not determine a constructor" in problem:
        return "tags such as !!python/object are not read; write plain values"
    context = f" ({error.context})" if error.context else ""
    return f"not YAML: {problem}{context}"


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


# --- validation -----------------------------------------------------------------------------------


def load_manifest(path: Path) -> Manifest:
    """Reads and validates a manifest, finds its pictures, checks every setting and grid value.

    Raises:
        ManifestError: with one message per problem, all of them at once.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ManifestError([f"{path}: no such manifest; check the path"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError([f"{path}: cannot be read as UTF-8 text ({error})"]) from error
    source = _Source(path, text)
    if not isinstance(source.data, dict):
        what = "empty" if source.data is None else f"a {type(source.data).__name__}"
        source.report((), f"a mapping with output, content and style is needed, this is {what}")
        source.raise_if_any()
    map_path = source.data.get("pairs")
    if isinstance(map_path, str):
        source.data["pairs"] = []
    file = _check_structure(source)
    settings = _check_settings(source)
    axes = _check_grid(source, settings)
    rows = list(_map_rows(source, map_path)) if isinstance(map_path, str) else []
    manifest = _find_pictures(source, file, settings, axes, rows) if file else None
    source.raise_if_any()
    assert manifest is not None  # a missing file part has been reported
    return manifest


@dataclass(frozen=True)
class _Row:
    """One row of a map of pairs, and how to report what is wrong with it."""

    entry: PairEntry
    base: Path
    report: Callable[[Position, str], None]


def _map_rows(source: _Source, name: str) -> Iterator[_Row]:
    """The rows of the map that `pairs` names; what is wrong with them is reported."""
    path = source.path.resolve().parent / Path(name).expanduser()

    def report_at(at: str) -> Callable[[Position, str], None]:
        def report(position: Position, message: str) -> None:
            what = "".join(map(_part, position)).lstrip(".")
            source.problems.append(f"{at}: {what}: {message}" if what else f"{at}: {message}")

        return report

    try:
        for at, row in read_map(path, parse_value):
            report = report_at(at)
            try:
                yield _Row(PairEntry.model_validate(row), path.parent, report)
            except ValidationError as error:
                for problem in filter(_is_of_the_form_meant, error.errors()):
                    parts = tuple(p for p in problem["loc"] if p not in ("str", "Blend"))
                    report(parts, _explain(problem, ("pairs", 0, *parts)))
    except ManifestError as error:
        source.problems.extend(error.problems)


def _check_structure(source: _Source) -> ManifestFile | None:
    try:
        return ManifestFile.model_validate(source.data)
    except ValidationError as error:
        for problem in filter(_is_of_the_form_meant, error.errors()):
            position = _source_position(problem["loc"], source)
            source.report(position, _explain(problem, position))
    # What is right by itself is checked further, so that all problems are shown at once.
    valid = {
        key: value
        for key, value in source.data.items()
        if key in ManifestFile.model_fields and not _invalid(key, value)
    }
    return ManifestFile.model_validate({"output": {"path": "unnamed"}, **valid})


def _invalid(key: str, value: object) -> bool:
    try:
        ManifestFile.model_validate({"output": {"path": "unnamed"}, key: value})
    except ValidationError:
        return True
    return False


def _is_of_the_form_meant(problem: Any) -> bool:
    """Where several forms are taken (a word or a mapping), whether this is of the one written."""
    forms, written = set(map(str, problem["loc"])), isinstance(problem["input"], Mapping)
    if problem["type"] == "literal_error" or "str" in forms:
        return not written
    return problem["type"] != "model_type" or "Sample" not in forms


def _source_position(location: Sequence[str | int], source: _Source) -> Position:
    """Pydantic's location without the names of union members, which are not in the file."""
    position: Position = ()
    for part in location:
        candidate = (*position, part)
        if candidate in source.lines or (isinstance(part, str) and "[" not in part and part):
            if candidate not in source.lines and part in (
                "str",
                "Blend",
                "Masks",
                "Sample",
                "literal",
            ):
                continue
            if isinstance(part, str) and part.startswith(("literal", "function", "constrained")):
                continue
            position = candidate
    return position


_EXPLANATIONS = {
    "missing": "is needed and missing",
    "greater_than": "must be more than {gt:,}",
    "greater_than_equal": "must be at least {ge:,}",
    "less_than": "must be less than {lt:,}",
    "less_than_equal": "must be at most {le:,}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text; put numbers in quotes",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "list_type": "a list is needed",
    "dict_type": "must be a mapping, such as {{key: value}}",
    "model_type": "must be text or a mapping, such as {{key: value}}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}


def _explain(problem: Any, position: Position) -> str:
    """One pydantic error in words, with the nearest valid name where a name is wrong."""
    kind, context, given = problem["type"], problem.get("ctx", {}), problem["input"]
    if kind == "extra_forbidden":
        return "unknown key" + nearest(str(position[-1]), _known_keys(position[:-1]))
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"{_shown(given)} is unknown" + nearest(str(given), options)
    if kind == "missing":
        return _EXPLANATIONS[kind]
    if kind == "value_error":
        return f"{_shown(given)}: {context['error']}"
    template = _EXPLANATIONS.get(kind)
    whole = {
        k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in context.items()
    }
    message = template.format(**whole) if template else str(problem["msg"])
    return f"{_shown(given)}: {message}"


def _known_keys(position: Position) -> Sequence[str]:
    if not position:
        return list(ManifestFile.model_fields)
    models: dict[str | int, type[BaseModel]] = {
        "backbone": BackboneChoice,
        "style": Blend,
        "pairing": Sample,
        "masks": Masks,
        "output": Output,
    }
    if position[0] == "pairs" and "settings" not in position:
        return list((Blend if "style" in position else PairEntry).model_fields)
    model = models.get(position[0], Settings)
    return list(model.model_fields)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(name: str, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` for the nearest known name, or the list of all."""
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


def settings_problems(values: Mapping[str, Any]) -> list[tuple[Position, str]]:
    """What is wrong with settings, as (position, message); empty when all is right."""
    problems: list[tuple[Position, str]] = []
    preset = values.get("preset", "default")
    if preset not in PRESETS:
        names = list(PRESETS)
        return [
            (
                ("preset",),
                f"{_shown(preset)} is not a preset" + nearest(str(preset), names),
            )
        ]
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        for problem in error.errors():
            parts = [p for p in problem["loc"] if p != "[key]" and not str(p).startswith("func")]
            position = tuple(parts)
            problems.append((position, _explain(problem, ("settings", *position))))
    return problems


def _check_settings(source: _Source) -> dict[str, Any]:
    settings = source.data.get("settings")
    if not isinstance(settings, dict):
        return {}
    wrong = set()
    for position, message in settings_problems(settings):
        source.report(("settings", *position), message)
        wrong.add(str(position[0]) if position else "")
    return {key: value for key, value in settings.items() if str(key) not in wrong}


def _check_grid(source: _Source, settings: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    grid = source.data.get("grid")
    axes: dict[str, tuple[Any, ...]] = {}
    for name, values in grid.items() if isinstance(grid, dict) else ():
        if name not in Settings.model_fields:
            known = list(Settings.model_fields)
            source.report(("grid", name), "unknown setting" + nearest(str(name), known))
        elif isinstance(values, list):  # what is no list has been reported
            axes[name] = tuple(_check_axis(source, settings, name, values))
    _check_combinations(source, settings, axes)
    return axes


def _check_axis(
    source: _Source, settings: Mapping[str, Any], name: str, values: Sequence[Any]
) -> Iterator[Any]:
    """The axis's values as validated (`1e3` and `1000` are one), each at most once."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        problems = settings_problems({**settings, name: value})
        for position, message in problems:
            source.report(("grid", name, index, *position[1:]), message)
        if problems:
            continue
        valid = getattr(Settings.model_validate({**settings, name: value}), name)
        shown = repr(valid)
        if shown in seen:
            source.report(
                ("grid", name, index),
                f"{_shown(value)} stands twice, also at [{seen[shown]}]",
            )
        seen.setdefault(shown, index)
        yield valid


def _check_combinations(
    source: _Source, settings: Mapping[str, Any], axes: Mapping[str, tuple[Any, ...]]
) -> None:
    """Settings that have to go together do so at every point of the grid."""
    names = [n for n in ("size", "fit", "format", "depth", "profile", "exif") if n in axes]
    for point in itertools.product(*(axes[name] for name in names)):
        values = {**settings, **dict(zip(names, point, strict=True))}
        if settings_problems(values):
            continue
        problem = Settings.model_validate(values).problem()
        if problem:
            source.report(("grid",) if names else ("settings",), problem)


# --- pictures -------------------------------------------------------------------------------------


def _find_pictures(
    source: _Source,
    file: ManifestFile,
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
    rows: Sequence[_Row],
) -> Manifest:
    base = source.path.resolve().parent
    contents = _Gathered()
    folders: list[Path] = []
    for index, pattern in enumerate(file.content):
        for picture in _expand(_at(source, "content", index), base, pattern, folders):
            contents.add(picture)
    styles = _Gathered()
    for index, entry in enumerate(file.style):
        report = _at(source, "style", index)
        if isinstance(entry, str):
            for picture in _expand(report, base, entry):
                styles.add(Style(Path(picture.label).name, ((picture.path, 1.0),)))
        else:
            styles.add(_several(report, base, entry))
    if file.masks:
        _without_masks(contents, file.masks.content)
        _without_style_masks(styles, file.masks.style)
    paired = (len(contents.items), len(styles.items))
    named = {e.name for e in file.style if isinstance(e, Blend)}
    pairs = [
        *_explicit_pairs(source, file, base, contents, styles, settings, axes, named),
        *_mapped_pairs(source, rows, contents, styles, settings, axes, named),
    ]
    _check_pairing(source, file, paired, pairs)
    weights = base / file.backbone.weights if file.backbone.weights else None
    if weights is not None and not weights.is_file():
        source.report(("backbone", "weights"), f"{weights}: no such weight file")
    _check_init(source, base, settings, axes)
    _check_blends(source, styles.items, pairs, settings, axes)
    _add_masks(source, file.masks, contents, styles)
    return Manifest(
        path=source.path,
        text=source.path.read_text(encoding="utf-8-sig"),
        output=(base / Path(file.output.path).expanduser()).resolve(),
        contents=tuple(contents.items),
        styles=tuple(styles.items),
        pairing=file.pairing,
        pairs=tuple(pairs),
        paired=paired,
        backbone=file.backbone.name,
        weights=weights,
        settings=_with_init_path(base, settings),
        axes={
            name: tuple(_init_path(base, v) for v in values) if name == "init" else values
            for name, values in axes.items()
        },
        folders=tuple(dict.fromkeys(folders)),
        form=file.output,
    )


Report = Callable[[Position, str], None]


def _at(source: _Source, *position: str | int) -> Report:
    """Reports problems below a position of the manifest."""
    return lambda below, message: source.report((*position, *below), message)


class _Gathered:
    """Pictures or styles in order, each once, with their index by identity."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.index: dict[object, int] = {}

    def add(self, item: Picture | Style) -> int:
        key = item.path if isinstance(item, Picture) else (item.parts, item.regions)
        if key not in self.index:
            self.index[key] = len(self.items)
            self.items.append(item)
        return self.index[key]

    def keep(self, wanted: Callable[[Any], bool]) -> None:
        """Lets go of what is not wanted."""
        items, self.items, self.index = self.items, [], {}
        for item in filter(wanted, items):
            self.add(item)


def _expand(
    report: Report, base: Path, pattern: str, folders: list[Path] | None = None
) -> Iterator[Picture]:
    """The pictures that a file, folder or glob stands for, sorted.

    Args:
        folders: the folder or the glob's root is added.
    """
    expanded = Path(pattern).expanduser()
    whole = base / expanded
    if whole.is_dir():
        root = whole
        found = sorted(p for p in root.rglob("*") if p.is_file() and is_image_name(p))
    elif whole.is_file():
        yield from _one_file(report, whole)
        return
    elif glob.has_magic(pattern):
        root = _glob_root(whole)
        names = glob.iglob(str(whole), recursive=True)
        found = sorted({Path(n) for n in names if is_image_name(Path(n)) and Path(n).is_file()})
    else:
        report((), f"{pattern}: no such file or folder" + _nearby(whole))
        return
    if not found:
        report((), f"{pattern}: no picture there; check the pattern")
    elif folders is not None:
        folders.append(root)
    for path in found:
        yield Picture(path, path.relative_to(root).with_suffix("").as_posix())


def _one_file(report: Report, path: Path) -> Iterator[Picture]:
    try:
        check_header(path)
    except ImageError as error:
        report((), str(error))
        return
    yield Picture(path, path.stem)


def _glob_root(pattern: Path) -> Path:
    """The folder above the first part that has a wildcard."""
    parts = pattern.parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def _nearby(path: Path) -> str:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else "; check the path"


def _several(report: Report, base: Path, entry: Blend) -> Style:
    """A blend, or a style of several regions."""
    if entry.regions:
        return _by_regions(report, base, entry)
    total = sum(entry.blend.values())
    parts = []
    for name, weight in entry.blend.items():
        for path in _part_file(report, ("blend", name), base, name):
            parts.append((path, weight / total))
    return Style(entry.name, tuple(parts))


def _by_regions(report: Report, base: Path, entry: Blend) -> Style:
    found: dict[str, Path] = {}
    for color, name in entry.regions.items():
        try:
            region = region_name(color)
        except ValueError:
            report(("regions", color), "must be a CSS color name, such as white, or #rrggbb")
            continue
        if region in found:
            report(("regions", color), f"{region} stands twice")
        for path in _part_file(report, ("regions", color), base, name):
            found[region] = path
    parts = tuple((path, 1.0) for path in found.values())
    return Style(entry.name, parts, regions=tuple(found))


def _part_file(report: Report, position: Position, base: Path, name: str) -> Iterator[Path]:
    path = base / Path(name).expanduser()
    if not path.is_file():
        report(position, f"{name}: no such file" + _nearby(path))
        return
    for picture in _one_file(lambda below, message: report((*position, *below), message), path):
        yield picture.path


def _explicit_pairs(
    source: _Source,
    file: ManifestFile,
    base: Path,
    contents: _Gathered,
    styles: _Gathered,
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
    named: set[str],
) -> Iterator[Pair]:
    for index, entry in enumerate(file.pairs):
        short = isinstance(source.data["pairs"][index], list)
        places: dict[str | int, int] = {"content": 0, "style": 1} if short else {}

        def report(
            below: Position, message: str, index: int = index, at: Mapping[Any, int] = places
        ) -> None:
            own = (at.get(below[0], below[0]), *below[1:]) if below else ()
            source.report(("pairs", index, *own), message)

        row = _Row(entry, base, report)
        own = _with_init_path(base, _pair_settings(report, entry, settings, axes))
        yield from _pairs_of(row, contents, styles, own, named)


def _mapped_pairs(
    source: _Source,
    rows: Sequence[_Row],
    contents: _Gathered,
    styles: _Gathered,
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
    named: set[str],
) -> Iterator[Pair]:
    """The pairs of a map; its rows mostly have settings that another row had before."""
    known: dict[str, dict[str, Any]] = {}
    for row in rows:
        shown = repr(row.entry.settings)
        if shown not in known:
            before = len(source.problems)
            own = _pair_settings(row.report, row.entry, settings, axes)
            own = _with_init_path(row.base, own)
            if len(source.problems) == before:
                known[shown] = own
        yield from _pairs_of(row, contents, styles, known.get(shown, {}), named)


def _pairs_of(
    row: _Row, contents: _Gathered, styles: _Gathered, own: Mapping[str, Any], named: set[str]
) -> Iterator[Pair]:
    entry, base, report = row.entry, row.base, row.report

    def below(name: str) -> Report:
        return lambda position, message: report((name, *position), message)

    left = list(_expand(below("content"), base, entry.content))
    if entry.label is not None:
        left = [replace(picture, label=entry.label) for picture in left]
    if entry.mask is not None:
        mask = base / Path(entry.mask).expanduser()
        if not mask.is_file():
            report(("mask",), f"{entry.mask}: no such file" + _nearby(mask))
        left = [replace(picture, mask=mask) for picture in left]
    if isinstance(entry.style, Blend):
        right = [_several(below("style"), base, entry.style)]
    elif entry.style in named:
        right = [style for style in styles.items if style.label == entry.style][:1]
    else:
        found = _expand(below("style"), base, entry.style)
        right = [Style(Path(p.label).name, ((p.path, 1.0),)) for p in found]
    for picture in left:
        for other in right:
            yield Pair(contents.add(picture), styles.add(other), own)


def _pair_settings(
    report: Report,
    entry: PairEntry,
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
) -> dict[str, Any]:
    """A pair's own settings as validated."""
    wrong = False
    for name in entry.settings:
        if name in axes:
            report(("settings", name), f"{name} is swept in `grid`; leave it out of one")
            wrong = True
    together = {**settings, **entry.settings}
    for place, message in settings_problems(together):
        if place and place[0] in entry.settings:
            report(("settings", *place), message)
            wrong = True
    if wrong or settings_problems(together):
        return {}
    valid = Settings.model_validate(together)
    problem = valid.problem()
    if problem and entry.settings:
        report(("settings",), problem)
    return {name: getattr(valid, name) for name in entry.settings}


def _mask_of(path: Path, pattern: str) -> Path:
    """Where a picture's mask lies."""
    named = pattern.replace("{stem}", path.stem).replace("{name}", path.name)
    return path.parent / Path(named.replace("{suffix}", path.suffix)).expanduser()


def _without_masks(contents: _Gathered, pattern: str) -> None:
    """Masks that lie among the pictures are not content pictures."""
    masks = {_mask_of(picture.path, pattern) for picture in contents.items}
    contents.keep(lambda picture: picture.path not in masks)


def _without_style_masks(styles: _Gathered, pattern: str | None) -> None:
    if pattern is not None:
        masks = {_mask_of(path, pattern) for style in styles.items for path, _ in style.parts}
        styles.keep(lambda style: len(style.parts) > 1 or style.parts[0][0] not in masks)


def _add_masks(
    source: _Source, masks: Masks | None, contents: _Gathered, styles: _Gathered
) -> None:
    """Gives every picture its mask; those that are missing are reported."""
    if masks is None:
        masked = any(picture.mask for picture in contents.items)
        for style in styles.items:
            if style.regions and not masked:
                message = f"style {style.label} has regions, but there is no `masks: content:`"
                source.report(("style",), message)
        return
    contents.items = [
        picture if picture.mask else replace(picture, mask=_mask_of(picture.path, masks.content))
        for picture in contents.items
    ]
    missing = [p.mask for p in contents.items if not p.mask.is_file()]
    if masks.style is not None:
        pattern = masks.style
        styles.items = [
            style
            if style.regions
            else replace(style, masks=tuple(_mask_of(path, pattern) for path, _ in style.parts))
            for style in styles.items
        ]
        missing += [m for s in styles.items for m in s.masks if not m.is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        names = ", ".join(map(str, missing[:3]))
        source.report(("masks",), f"no such mask: {names}{more}; check the pattern")


def _check_blends(
    source: _Source,
    styles: Sequence[Style],
    pairs: Sequence[Pair],
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
) -> None:
    """Weights of `blend` go with every style's number of pictures."""
    places: list[tuple[Position, Any, Sequence[Style]]] = []
    if settings.get("blend") is not None:
        own = Settings.model_validate({"blend": settings["blend"]}).blend
        places.append((("settings", "blend"), own, styles))
    for index, value in enumerate(axes.get("blend", ())):
        places.append((("grid", "blend", index), value, styles))
    for index, pair in enumerate(pairs):
        place: Position = ("pairs", index) if ("pairs", index) in source.lines else ("pairs",)
        places.append((place, pair.settings.get("blend"), [styles[pair.style]]))
    for position, weights, chosen in places:
        for style in chosen:
            try:
                style.weighted(weights)
            except ManifestError as error:
                source.report(position, str(error).removeprefix("blend: "))
                break


def _check_pairing(
    source: _Source,
    file: ManifestFile,
    paired: tuple[int, int],
    pairs: Sequence[object],
) -> None:
    contents, styles = paired
    if not contents and not styles and not pairs and not source.problems:
        source.report((), "nothing to do: content and style, or pairs, are needed")
    elif styles and not contents and pairs:
        pass  # blends that the pairs name
    elif bool(contents) != bool(styles) and not source.problems:
        there, missing = ("content", "style") if contents else ("style", "content")
        source.report((there,), f"there is {there} but no {missing}; add it")
    if file.pairing == "zip" and contents != styles and contents and styles:
        source.report(
            ("pairing",),
            f"zip needs as many styles as contents, but {contents} and {styles} are "
            f"there; use product or sample, or pairs",
        )
    if isinstance(file.pairing, Sample) and styles and file.pairing.sample > styles:
        source.report(
            ("pairing", "sample"),
            f"{file.pairing.sample} styles are to be drawn, but only {styles} are there",
        )


def _check_init(
    source: _Source,
    base: Path,
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
) -> None:
    places: list[tuple[Position, Any]] = [(("settings", "init"), settings.get("init", "content"))]
    places += [(("grid", "init", i), value) for i, value in enumerate(axes.get("init", ()))]
    for position, value in places:
        _check_init_file(source, base, position, value)


def _check_init_file(source: _Source, base: Path, position: Position, value: Any) -> None:
    if value not in INITS:
        path = base / Path(str(value)).expanduser()
        try:
            check_header(path)
        except ImageError as error:
            source.report(position, f"neither {', '.join(INITS)} nor a picture: {error}")


def _init_path(base: Path, value: Any) -> Any:
    return value if value in INITS else str(base / Path(str(value)).expanduser())


def _with_init_path(base: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    if "init" not in settings:
        return dict(settings)
    return {**settings, "init": _init_path(base, settings["init"])}


# --- JSON Schema ----------------------------------------------------------------------------------


def json_schema() -> dict[str, Any]:
    """The manifest's JSON Schema; `settings` and `grid` know every setting with its help."""
    schema = ManifestFile.model_json_schema()
    settings = Settings.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    definitions |= settings.pop("$defs", {})
    settings["properties"]["preset"]["enum"] = list(PRESETS)
    for properties in settings["properties"].values():
        properties.pop("pixels", None)
    for name in ("content_layers", "style_layers"):  # a validator of our own takes lists as well
        field = settings["properties"][name]
        mapping = {k: field.pop(k) for k in ("type", "additionalProperties", "propertyNames")}
        field.pop("minLength", None), field.pop("minProperties", None)
        names = mapping["propertyNames"]
        several = {"type": "array", "items": names, "minItems": 1, "uniqueItems": True}
        field["anyOf"] = [{**mapping, "minProperties": 1}, several, names]
    definitions["Settings"] = settings
    described = schema["properties"]
    described["settings"] = {
        "$ref": "#/$defs/Settings",
        "description": "settings of every job",
    }
    described["grid"] = {
        "type": "object",
        "additionalProperties": False,
        "description": described["grid"]["description"],
        "properties": {
            name: {
                "type": "array",
                "minItems": 1,
                "description": values.get("description", ""),
                "items": values,
            }
            for name, values in settings["properties"].items()
        },
    }
    listed = {"type": "array", "items": {"type": "string"}}
    described["content"] |= {"anyOf": [{"type": "string"}, listed]}
    described["content"].pop("type", None), described["content"].pop("items", None)
    style_items = described["style"].pop("items")
    described["style"].pop("type", None)
    described["style"] |= {"anyOf": [style_items, {"type": "array", "items": style_items}]}
    short = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
    described["pairs"]["items"] = {"anyOf": [short, {"$ref": "#/$defs/PairEntry"}]}
    pairs = described["pairs"]
    listed_pairs = {"type": "array", "items": pairs.pop("items")}
    pairs.pop("type")
    pairs["anyOf"] = [{"type": "string"}, listed_pairs]
    definitions["PairEntry"]["properties"]["settings"] = described["settings"]
    described["output"] = {
        "anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/Output"}],
        "description": "the run folder",
    }
    choice = {"enum": ["vgg19", "lite"]}
    described["backbone"] = {
        "anyOf": [choice, {"$ref": "#/$defs/BackboneChoice"}],
        "description": "the feature network",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nst manifest",
    } | (schema)


def parse_value(text: str) -> Any:
    """A value written as in a manifest: `1e3` is a number, `[conv1_1, conv2_1]` a list.

    Raises:
        ManifestError: not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ManifestError([f"{text!r}: not a value as in YAML ({error})"]) from error
