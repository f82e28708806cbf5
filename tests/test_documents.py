"""What the README and `docs/` say is so: commands parse, manifests validate, names exist."""

import ast
import doctest
import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from clips import moving, write_frames, write_video

import pipeline
from cli import app
from pipeline.address import as_path
from pipeline.commands import show_wishes
from pipeline.manifest import load_manifest, parse_value
from pipeline.remote import put

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in DOCUMENTS}


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Every fenced block of a language, with where it stands."""
    for name, text in TEXTS.items():
        for match in re.finditer(rf"```{language}\n(.*?)```", text, re.DOTALL):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 2}", match[1]


def shell_lines() -> Iterator[tuple[str, str]]:
    """Every line of a shell block, continued lines as one."""
    for where, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            yield where, line.split("#")[0].strip()


def spans() -> Iterator[tuple[str, str]]:
    """Every `code span` outside of blocks, broken lines as one."""
    for name, text in TEXTS.items():
        prose = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
        for match in re.finditer(r"`([^`]+)`", prose):
            where = f"{name}:{prose.count(chr(10), 0, match.start()) + 1}"
            yield where, " ".join(match[1].split())


def commands() -> list[tuple[str, str]]:
    """Every `nst ...` that is written out, with where it stands."""
    found = []
    for where, line in [*shell_lines(), *spans()]:
        match = re.match(r"(?:uv run )?(?:--\S+ \S+ )?nst (?=[a-z-])(.*)", line)
        if match:
            found.append((where, match[1]))
    return found


def parse_error(words: list[str]) -> str | None:
    """Why the command line cannot parse words, or None; nothing is run."""
    command: Any = typer.main.get_command(app)
    words = ["--help" if word == "-h" else word for word in words]
    if words[0].startswith("-"):  # an option of `nst` itself, which would act at once
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        return None if words[0] in known else f"no option {words[0]}"
    while hasattr(command, "commands") and words:
        command, words = command.commands.get(words[0]), words[1:]
        if command is None:
            return "no such command"
        if hasattr(command, "commands") and command.invoke_without_command and not words:
            return None
    try:
        command.make_context(command.name, list(words))
    except typer.Exit:  # help
        return None
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's, which typer may bring by its own name
            raise
        return str(error.format_message())
    return None


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 40


@pytest.mark.parametrize(("where", "text"), commands())
def test_every_command_in_the_documents_parses(where: str, text: str) -> None:
    plain = text.split(" > ")[0].replace("[", "").replace("]", "")
    words = [word for word in shlex.split(plain) if word not in ("...", "…", "\\")]
    error = parse_error(words)
    # In prose a command's name, or one of its options, may stand alone.
    bare = error is not None and len(words) <= 2 and re.search("Missing|requires an arg", error)
    assert error is None or bare, f"{where}: {error}"


@pytest.mark.parametrize(
    "words",
    [["batch", "m.yaml", "--no-such-option"], ["no-such-command"], ["batch"], ["cache", "x"]],
)
def test_a_command_that_does_not_parse_is_noticed(words: list[str]) -> None:
    assert parse_error(words)


@pytest.fixture
def town(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """The pictures that the documents' manifests name."""
    for name in (
        "photos/cat.jpg", "photos/dog.jpg", "styles/night.jpg", "styles/wave.jpg",
        "imagenet/train/n01/x.jpg", "paintings/a.jpg", "paintings/b.jpg", "paintings/c.jpg",
    ):  # fmt: skip
        picture(name)
        mask = Path(name).with_name(f"{Path(name).stem}_mask.png")
        if not name.startswith(("styles", "paintings")):
            picture(str(mask))
    (tmp_path / "runs").mkdir()
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips/town.mp4", moving(2))
    write_frames(tmp_path / "frames", moving(2))
    (tmp_path / "rejected.txt").write_text("dog.jpg__dusk\n")
    for name in (
        "bucket/photos/cat.jpg", "datasets/me/photos/train/dog.jpg", "example.com/cat.jpg",
        "paintings/styles/wave.jpg",
    ):  # fmt: skip
        put(as_path(f"memory://{name}"), tmp_path / "photos" / "cat.jpg")  # type: ignore[arg-type]
    return tmp_path


def is_manifest(text: str) -> bool:
    data = yaml.safe_load(text)
    return isinstance(data, dict) and bool({"output", "style", "settings", "grid"} & set(data))


@pytest.mark.parametrize(
    ("where", "text"), [(where, text) for where, text in blocks("yaml") if is_manifest(text)]
)
def test_every_manifest_in_the_documents_is_valid(where: str, text: str, town: Path) -> None:
    given = parse_value(re.sub(r"\b(s3|gs|hf|https)://", "memory://", text))
    whole = {"output": "run", "content": ["photos/cat.jpg"], "style": ["styles/*.jpg"], **given}
    if isinstance(whole.get("backbone"), dict):
        (town / whole["backbone"]["weights"]).parent.mkdir(parents=True, exist_ok=True)
        (town / whole["backbone"]["weights"]).touch()
    path = town / "m.yaml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    manifest = load_manifest(path)
    assert manifest.contents and manifest.styles, where
    assert not manifest.warnings, where


@pytest.mark.parametrize("path", sorted((ROOT / "manifests").glob("*.yaml")), ids=lambda p: p.name)
def test_every_manifest_that_comes_along_is_valid(path: Path) -> None:
    manifest = load_manifest(path)
    assert manifest.contents and manifest.styles and not manifest.warnings


@pytest.mark.parametrize(("where", "text"), list(blocks("python")))
def test_every_python_example_imports_what_is_there(where: str, text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{where}: {alias.name}"


def test_the_wishes_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    show_wishes(markdown=True)
    assert f"\n{capsys.readouterr().out}\n" in TEXTS["docs/looks.md"]
    show_wishes()
    said = " ".join(capsys.readouterr().out.split())
    assert "bigger strokes" in said and "stroke: large" in said


def test_files_that_the_documents_name_are_there() -> None:
    missing = []
    for name, text in TEXTS.items():
        folder = (ROOT / name).parent
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            if not (folder / target).exists():
                missing.append(f"{name}: {target}")
    for where, span in [*shell_lines(), *spans()]:
        for file in re.findall(r"(?:benchmarks|manifests|pipeline|tests|docs)/[\w/.-]+\.\w+", span):
            if not (ROOT / file).exists():
                missing.append(f"{where}: {file}")
    assert not missing


def modules_with_examples() -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(Path(pipeline.__file__).parent.rglob("*.py"))
        if ">>> " in path.read_text()
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings_run(name: str) -> None:
    ran = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert ran.attempted and not ran.failed
