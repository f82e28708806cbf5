"""`nst init`: a manifest of what lies in a folder; and the manifest that a folder is given for.

In: a folder. Out: a commented manifest in it, valid as it stands. Must not load torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.address import Address, as_path
from pipeline.commands.output import print_warnings
from pipeline.errors import ManifestError
from pipeline.files import real, write_atomic
from pipeline.manifest import Passed, is_file, is_folder, load_manifest, walk
from pipeline.pictures import is_image_name
from pipeline.store import RunFolder
from pipeline.terminal import counted, say

NAME = "manifest.yaml"
# What people call folders of either kind.
_STYLES = re.compile(r"(?:style|painting|artwork|texture)s?|art|style[-_ ].*|.*[-_ ]styles?", re.I)
_CONTENTS = re.compile(
    r"(?:content|photo|image|picture|input|source|original)s?|content[-_ ].*|.*[-_ ]photos?", re.I
)
_MOST_NAMED = 1000  # files that a manifest names one by one


def manifest_in(path: Path) -> Path:
    """The manifest that is meant: the file itself, or the one in a folder.

    Raises:
        ManifestError: a folder without one, or with several; a run folder; an address.
    """
    _refuse_address(path)
    if not is_folder(path):
        return path
    header = RunFolder(path).header()
    if header is not None and header.folder != str(real(path)):
        made = f", {Path(header.folder) / Path(header.manifest).name}" if header.folder else ""
        raise ManifestError([f"{path}: is a run folder; give the manifest that made it{made}"])
    try:
        found = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml") and is_file(p))
    except OSError as error:
        raise ManifestError([f"{path}: cannot be read ({error.strerror}); check it"]) from error
    if path / NAME in found:
        return path / NAME
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(p.name for p in found)
        raise ManifestError([f"{path}: has several manifests ({names}); give one of them"])
    raise ManifestError(
        [
            f"{path}: is a folder without a manifest, the YAML file that says what is to be made "
            f"of which pictures; nst init {shlex.quote(str(path))} writes one"
        ]
    )


def _refuse_address(path: Path) -> None:
    """Tells of an address where a manifest is asked for.

    Raises:
        ManifestError: it is one.
    """
    scheme, _, rest = str(path).partition(":/")
    address = as_path(f"{scheme}://{rest}")  # a path has one slash of the two
    if rest and isinstance(address, Address):
        raise ManifestError(
            [
                f"{address}: a manifest is a local file; copy it here and give that (what it "
                f"names, content, style and output, may be addresses)"
            ]
        )


def init_manifest(folder: Path, content: Sequence[str], style: Sequence[str], output: str) -> int:
    """Writes a manifest into a folder and says what it would make.

    Args:
        content, style: files, folders or globs below it; what is found there if empty.
        output: the run folder, as the manifest has it.

    Raises:
        ManifestError: no such folder, one with a manifest already, or nothing to make.
        RunFolderError: it cannot be written.
    """
    if not is_folder(folder):
        raise ManifestError([f"{folder}: no such folder; make it, with pictures in it"])
    path = folder / NAME
    if path.exists():
        command = f"nst plan {shlex.quote(str(path))}"
        raise ManifestError([f"{path}: is there already; {command} shows what it makes"])
    found = _pictures_by_folder(folder)
    styles = _below(folder, style) or _named(found, _STYLES)
    if not styles and sys.stdin.isatty():
        styles = _below(folder, _asked("Style pictures (a file, a folder or a glob): "))
    contents = _below(folder, content) or _contents(folder, found, styles)
    if not contents or not styles:
        raise ManifestError([_what_is_missing(folder, contents, found)])
    masks = _masks(name for names in found.values() for name in names)
    text = _text(contents, styles, output, masks)
    draft = folder / f".{NAME}.{os.getpid()}"
    write_atomic(draft, text.encode("utf-8", "surrogateescape"))
    try:
        manifest = load_manifest(draft)
        draft.replace(path)
    except ManifestError as error:
        told = [re.sub(rf"^{re.escape(str(draft))}(:\d+: )?", "", p) for p in error.problems]
        raise ManifestError([f"{folder}: {problem}" for problem in told]) from error
    finally:
        draft.unlink(missing_ok=True)
    print_warnings(said.replace(str(draft), str(path)) for said in map(str, manifest.warnings))
    n, m = len(manifest.contents), len(manifest.styles)
    contents_of, styles_of = counted(n, "content picture"), counted(m, "style")
    say(f"{path}: {contents_of} x {styles_of} = {counted(n * m, 'picture')}")
    say(f"content: {', '.join(contents[:5])}{' ...' if contents[5:] else ''}")
    say(f"style: {', '.join(styles[:5])}{' ...' if styles[5:] else ''}")
    named = shlex.quote(str(folder))
    say(f"nst plan {named} shows what it makes, nst batch {named} makes it")
    return 0


def _below(folder: Path, words: Sequence[str]) -> list[str]:
    """Words as they are meant below a folder; a path from where the user stands is one, too."""
    found = []
    for word in words:
        here = Path(word)
        outside = not (is_file(folder / word) or is_folder(folder / word))
        if outside and (is_file(here) or is_folder(here)):
            with contextlib.suppress(ValueError):  # on another of Windows' drives
                word = Path(os.path.relpath(real(here), real(folder))).as_posix()
        found.append(word)
    return found


def _pictures_by_folder(folder: Path) -> dict[str, list[str]]:
    """Names of pictures, by the first folder below; `.` has those that lie in none."""
    found: dict[str, list[str]] = {}
    try:
        for below in walk(folder, None, Passed()):
            first, slash, _ = below.partition("/")
            if is_image_name(Path(below)):
                found.setdefault(first if slash else ".", []).append(below)
    except OSError as error:
        raise ManifestError(
            [f"{error.filename or folder}: cannot be read ({error.strerror}); check the rights"]
        ) from error
    return found


def _named(found: Iterable[str], words: re.Pattern[str]) -> list[str]:
    return sorted(name for name in found if words.fullmatch(name))


def _contents(folder: Path, found: dict[str, list[str]], styles: Sequence[str]) -> list[str]:
    """Folders that are called so; else the pictures that lie in none; else what is no style."""
    named = [name for name in _named(found, _CONTENTS) if name not in styles]
    if named:
        return named
    if "." not in found:
        return sorted(set(found) - set(styles))
    taken = {real(folder / style) for style in styles}
    others = [name for name in sorted(found["."]) if real(folder / name) not in taken]
    if len(others) == len(found["."]):  # no style among them
        return [f"*{suffix}" for suffix in sorted({Path(name).suffix for name in others})]
    if len(others) > _MOST_NAMED:
        raise ManifestError(
            [f"{folder}: content and style lie together; put the styles into a folder `styles`"]
        )
    return others


def _asked(question: str) -> list[str]:
    try:
        answer = input(question).strip()
    except EOFError:
        return []
    return [answer] if answer else []


def _what_is_missing(folder: Path, contents: Sequence[str], found: dict[str, list[str]]) -> str:
    if not found:
        return f"{folder}: no pictures there; put content and style pictures into it"
    what = "--style" if contents else "--content"
    return (
        f"{folder}: which pictures are {what[2:]}? A folder named {what[2:]}s is taken for that; "
        f"or say it: nst init {shlex.quote(str(folder))} {what} FILE_OR_FOLDER"
    )


def _masks(names: Iterable[str]) -> str:
    """The manifest's key for masks that lie beside pictures, `a_mask.png` beside `a.jpg`."""
    stems: dict[str, list[str]] = {}
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        stems.setdefault(stem, []).append(dot + suffix)
    keys = []
    for key, word in (("content", "mask"), ("keep", "keep")):
        for ending in (f"_{word}", f".{word}", f"-{word}"):
            found = {stem: stems[stem][0] for stem in stems if stem.endswith(ending)}
            beside = {
                stem: suffix for stem, suffix in found.items() if stem[: -len(ending)] in stems
            }
            if len(set(beside.values())) == 1:
                suffix = next(iter(beside.values()))
                keys.append(f'{key}: "{{stem}}{ending}{suffix}"')
                break
    return f"masks: {{{', '.join(keys)}, missing: whole}}\n" if keys else ""


def _text(contents: Sequence[str], styles: Sequence[str], output: str, masks: str) -> str:
    def listed(words: Sequence[str]) -> str:
        return "".join(f"\n  - {json.dumps(word, ensure_ascii=False)}" for word in words)

    return (
        f"# What is to be made of which pictures; paths are relative to this file.\n"
        f"# nst plan shows what that is, nst batch makes it, and goes on where it stopped.\n"
        f"output: {json.dumps(output, ensure_ascii=False)}\n"
        f"content:{listed(contents)}\n"
        f"style:{listed(styles)}\n{masks}"
        f"pairing: product          # every content with every style; or zip, or {{sample: 3}}\n"
        f"backbone: lite            # ships with nst; vgg19 is slower, and better from 512 px on\n"
        f"settings:\n"
        f"  preset: default         # or fast, draft (for many pictures); nst presets lists them\n"
        f"  size: 512               # the longer side in pixels\n"
        f"# grid:                   # every combination is made; take the # away\n"
        f"#   strength: [subtle, medium, strong]    # how much of the style\n"
        f"#   stroke: [fine, medium, large]         # how large its strokes\n"
        f"#   backbone: [lite, vgg19]               # through several networks, to compare them\n"
    )
