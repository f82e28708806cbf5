"""The folders are what they say they are: faces, files, sizes."""

import ast
import importlib
from pathlib import Path

import pytest

import pipeline

ROOT = Path(pipeline.__file__).parent
FOLDERS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
SOURCES = sorted(ROOT.rglob("*.py"))


def face(folder: str) -> list[str]:
    return list(importlib.import_module(f"pipeline.{folder}").__all__)


def test_python_gets_what_the_readme_says() -> None:
    assert sorted(pipeline.__all__) == [
        "load_manifest", "records", "run_batch", "run_batch_file", "stylize_pair"
    ]  # fmt: skip
    assert all(callable(getattr(pipeline, name)) for name in pipeline.__all__)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_face_hands_out_every_name_that_it_lists(folder: str) -> None:
    module = importlib.import_module(f"pipeline.{folder}")
    for name in face(folder):
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_of_a_face_is_hidden_by_a_module(folder: str) -> None:
    modules = {path.stem for path in (ROOT / folder).iterdir()}
    assert not modules & set(face(folder))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_each_of_its_files_is_for(folder: str) -> None:
    text = str(importlib.import_module(f"pipeline.{folder}").__doc__)
    assert "In:" in text and "Out:" in text and "Must not" in " ".join(text.split())
    files = [path.name for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"]
    files += [f"{path.parent.name}/" for path in (ROOT / folder).glob("*/__init__.py")]
    assert not [name for name in files if f"`{name}`" not in text]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_other_folders_are_reached_by_their_face(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
            parts = str(node.module).split(".")
            assert len(parts) == 2 or parts[1] == own, f"{node.module}: import it from the face"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_rooms_are_small(path: Path) -> None:
    """No file over 400 lines, class over 200, function over 50 without its docstring."""
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            limit = 200 if isinstance(node, ast.ClassDef) else 50
            assert lines <= limit, f"{node.name}: {lines} lines"
    assert ast.get_docstring(ast.parse(text)), "a module says what it is"
