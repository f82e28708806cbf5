"""YAML -> validated manifest, and its JSON Schema.

In: a manifest file. Out: a frozen `Manifest` whose pictures exist and whose settings are all valid.
Knows nothing of jobs, devices or the run folder. Every problem is reported at once, each with the
manifest's line.
"""

from __future__ import annotations

import difflib
import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipeline.errors import ImageError, ManifestError
from pipeline.images import check_header, is_image_name
from pipeline.settings import PRESETS, Settings

MAX_DEPTH = 20
MAX_EXPANDED_NODES = 5_000_000
DEFAULT_MAX_JOBS = 10_000_000
Position = tuple[str | int, ...]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Blend(_Frozen):
    """A weighted blend of several style pictures, which counts as one style."""

    name: str = Field(min_length=1, max_length=100, description="the blend's name")
    blend: dict[str, Annotated[float, Field(gt=0)]] = Field(
        min_length=1,
        description="style picture: weight; weights are divided by their sum",
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
    settings: dict[str, Any] = Field(
        default_factory=dict, description="settings of this pair, beside those of every job"
    )


def _pair(value: object) -> object:
    """`[content, style]` is the short form."""
    if isinstance(value, (list, tuple)):
        if len(value) != 2 or not all(isinstance(part, str) for part in value):
            raise ValueError("must be [content, style]")
        return {"content": value[0], "style": value[1]}
    return value


class ManifestFile(_Frozen):
    """The manifest as written, each part of the right type."""

    output: str = Field(min_length=1, description="the run folder")
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
        "{content, style, settings}",
    )
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
    """A picture file and the label that it has in output names (its path below its root)."""

    path: Path
    label: str


@dataclass(frozen=True)
class Style:
    """One style: pictures with weights that sum to 1, under one name."""

    label: str
    parts: tuple[tuple[Path, float], ...]


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
    file = _check_structure(source)
    settings = _check_settings(source)
    axes = _check_grid(source, settings)
    manifest = _find_pictures(source, file, settings, axes) if file else None
    source.raise_if_any()
    assert manifest is not None  # a missing file part has been reported
    return manifest


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
    return ManifestFile.model_validate({"output": "unnamed", **valid})


def _invalid(key: str, value: object) -> bool:
    try:
        ManifestFile.model_validate({"output": "unnamed", key: value})
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
    """`size` and `fit` have to go together at every point of the grid."""
    for size in axes.get("size", (None,)):
        for fit in axes.get("fit", (None,)):
            swept = {k: v for k, v in (("size", size), ("fit", fit)) if v is not None}
            values = {**settings, **swept}
            if settings_problems(values):
                continue
            problem = Settings.model_validate(values).problem()
            if problem:
                source.report(("grid",) if swept else ("settings",), problem)


# --- pictures -------------------------------------------------------------------------------------


def _find_pictures(
    source: _Source,
    file: ManifestFile,
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
) -> Manifest:
    base = source.path.resolve().parent
    contents = _Gathered()
    for index, pattern in enumerate(file.content):
        for picture in _expand(source, ("content", index), base, pattern):
            contents.add(picture)
    styles = _Gathered()
    for index, entry in enumerate(file.style):
        position: Position = ("style", index)
        if isinstance(entry, str):
            for picture in _expand(source, position, base, entry):
                styles.add(Style(Path(picture.label).name, ((picture.path, 1.0),)))
        else:
            styles.add(_blend(source, (*position, "blend"), base, entry))
    paired = (len(contents.items), len(styles.items))
    pairs = tuple(_explicit_pairs(source, file, base, contents, styles, settings, axes))
    _check_pairing(source, file, paired, pairs)
    weights = base / file.backbone.weights if file.backbone.weights else None
    if weights is not None and not weights.is_file():
        source.report(("backbone", "weights"), f"{weights}: no such weight file")
    _check_init(source, base, settings, axes)
    return Manifest(
        path=source.path,
        text=source.path.read_text(encoding="utf-8-sig"),
        output=(base / Path(file.output).expanduser()).resolve(),
        contents=tuple(contents.items),
        styles=tuple(styles.items),
        pairing=file.pairing,
        pairs=pairs,
        paired=paired,
        backbone=file.backbone.name,
        weights=weights,
        settings=_with_init_path(base, settings),
        axes={
            name: tuple(_init_path(base, v) for v in values) if name == "init" else values
            for name, values in axes.items()
        },
    )


class _Gathered:
    """Pictures or styles in order, each once, with their index by identity."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.index: dict[object, int] = {}

    def add(self, item: Picture | Style) -> int:
        key = item.path if isinstance(item, Picture) else item.parts
        if key not in self.index:
            self.index[key] = len(self.items)
            self.items.append(item)
        return self.index[key]


def _expand(source: _Source, position: Position, base: Path, pattern: str) -> Iterator[Picture]:
    """The pictures that a file, folder or glob stands for, sorted."""
    expanded = Path(pattern).expanduser()
    whole = base / expanded
    if whole.is_dir():
        root = whole
        found = sorted(p for p in root.rglob("*") if p.is_file() and is_image_name(p))
    elif whole.is_file():
        yield from _one_file(source, position, whole)
        return
    elif glob.has_magic(pattern):
        root = _glob_root(whole)
        names = glob.iglob(str(whole), recursive=True)
        found = sorted({Path(n) for n in names if is_image_name(Path(n)) and Path(n).is_file()})
    else:
        source.report(position, f"{pattern}: no such file or folder" + _nearby(whole))
        return
    if not found:
        source.report(position, f"{pattern}: no picture there; check the pattern")
    for path in found:
        yield Picture(path, path.relative_to(root).with_suffix("").as_posix())


def _one_file(source: _Source, position: Position, path: Path) -> Iterator[Picture]:
    try:
        check_header(path)
    except ImageError as error:
        source.report(position, str(error))
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


def _blend(source: _Source, position: Position, base: Path, entry: Blend) -> Style:
    total = sum(entry.blend.values())
    parts = []
    for name, weight in entry.blend.items():
        path = base / Path(name).expanduser()
        if not path.is_file():
            source.report((*position, name), "no such file" + _nearby(path))
            continue
        for picture in _one_file(source, (*position, name), path):
            parts.append((picture.path, weight / total))
    return Style(entry.name, tuple(parts))


def _explicit_pairs(
    source: _Source,
    file: ManifestFile,
    base: Path,
    contents: _Gathered,
    styles: _Gathered,
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
) -> Iterator[Pair]:
    named = {entry.name for entry in file.style if isinstance(entry, Blend)}
    blends = {style.label: i for i, style in enumerate(styles.items) if style.label in named}
    for index, entry in enumerate(file.pairs):
        short = isinstance(source.data["pairs"][index], list)
        at: Position = ("pairs", index)
        left = list(_expand(source, (*at, 0 if short else "content"), base, entry.content))
        position: Position = (*at, 1 if short else "style")
        if isinstance(entry.style, Blend):
            right = [_blend(source, (*position, "blend"), base, entry.style)]
        elif entry.style in blends:
            right = [styles.items[blends[entry.style]]]
        else:
            found = _expand(source, position, base, entry.style)
            right = [Style(Path(p.label).name, ((p.path, 1.0),)) for p in found]
        own = _with_init_path(
            base, _pair_settings(source, (*at, "settings"), entry, settings, axes)
        )
        for picture in left:
            for other in right:
                yield Pair(contents.add(picture), styles.add(other), own)


def _pair_settings(
    source: _Source,
    position: Position,
    entry: PairEntry,
    settings: Mapping[str, Any],
    axes: Mapping[str, tuple[Any, ...]],
) -> dict[str, Any]:
    """A pair's own settings as validated."""
    wrong = False
    for name in entry.settings:
        if name in axes:
            source.report((*position, name), f"{name} is swept in `grid`; leave it out of one")
            wrong = True
    together = {**settings, **entry.settings}
    for place, message in settings_problems(together):
        if place and place[0] in entry.settings:
            source.report((*position, *place), message)
            wrong = True
    if wrong or settings_problems(together):
        return {}
    valid = Settings.model_validate(together)
    problem = valid.problem()
    if problem and entry.settings:
        source.report(position, problem)
    return {name: getattr(valid, name) for name in entry.settings}


def _check_pairing(
    source: _Source,
    file: ManifestFile,
    paired: tuple[int, int],
    pairs: Sequence[object],
) -> None:
    contents, styles = paired
    if not contents and not styles and not pairs and not source.problems:
        source.report((), "nothing to do: content and style, or pairs, are needed")
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
    if value not in ("content", "noise"):
        path = base / Path(str(value)).expanduser()
        try:
            check_header(path)
        except ImageError as error:
            source.report(position, f"neither content nor noise nor a picture: {error}")


def _init_path(base: Path, value: Any) -> Any:
    return value if value in ("content", "noise") else str(base / Path(str(value)).expanduser())


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
    definitions["PairEntry"]["properties"]["settings"] = described["settings"]
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
