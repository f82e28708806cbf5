"""Untrusted text: every failure is one message with file and line, within limits."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.json_text import read_json
from pipeline.manifest import load_manifest, parse_value
from pipeline.manifest.yaml_text import MAX_BYTES, MAX_VALUES

GOOD = "output: run\ncontent: a.png\nstyle: s.png\nbackbone: lite\n"
BOMB = "&a [1, 1], &b [*a, *a], " + ", ".join(
    f"&{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("bcdefg", "cdefgh", strict=True)
)


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("a.png", 1)
    picture("s.png", 2)
    return tmp_path


def problems(folder: Path, text: str | bytes) -> list[str]:
    path = folder / "m.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    return [problem.removeprefix(str(folder)) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("!!int x", "/m.yaml:5: 'x' is no int"),
        ("!!float [1]", "/m.yaml:5: !!float is of single values"),
        ("!!bool x", "/m.yaml:5: 'x' is no bool"),
        ("!!null x", "/m.yaml:5: 'x' is no null"),
        ("!!timestamp 2026-13-45", "/m.yaml:5: tags such as"),
        ("!!binary x", "/m.yaml:5: tags such as"),
        ("!!set {a, b}", "/m.yaml:5: tags such as"),
        ("!!omap [a: 1]", "/m.yaml:5: tags such as"),
        ("9" * 5000, "/m.yaml:5: a number of 5,000 digits; at most 300 are read"),
        ("1e400", "/m.yaml:5: 1e400 is larger than any number"),
        (f"[{BOMB}]", "/m.yaml:5: aliases expand to "),
        ("[" * 200, "/m.yaml:5: nested more than 20 levels deep"),
        ("[" * 20_000, "/m.yaml:5: not YAML: exceeded maximum nesting depth"),
        ('"\\ud800"', "/m.yaml:5: not YAML: "),
        (".inf", "'.inf': must be "),
        (".nan", "'.nan': must be "),
        ("[[1]]", "must be "),
        ("{a: 1}", "must be "),
    ],
)
def test_a_hostile_value_is_one_message_with_its_line(
    folder: Path, written: str, said: str
) -> None:
    for setting in ("seed", "style_weight", "steps", "normalized"):
        (problem,) = problems(folder, GOOD + f"settings: {{{setting}: {written}}}\n")
        assert said in problem and "m.yaml:5" in problem


def test_aliases_may_not_nest_deeper_than_what_is_written(folder: Path) -> None:
    text = "x: [&a0 [1]" + "".join(f", &a{i} [*a{i - 1}]" for i in range(1, 2000)) + "]\n"
    (problem,) = problems(folder, GOOD + text)
    assert problem.startswith("/m.yaml:5: nested more than 20 levels deep by aliases")


def test_more_values_or_bytes_than_are_read_are_refused(folder: Path) -> None:
    (problem,) = problems(folder, GOOD + f"x: [{'1,' * MAX_VALUES}1]")
    assert "/m.yaml:5: more than 1,000,000 values; name folders, or a map" in problem
    (problem,) = problems(folder, b"#" * (MAX_BYTES + 1))
    assert problem == "/m.yaml: cannot be read (larger than 32 MiB); check it"


def test_bytes_that_are_no_text_are_told(folder: Path) -> None:
    (problem,) = problems(folder, GOOD.encode() + b"x: \xff\n")
    assert problem.startswith("/m.yaml: cannot be read as UTF-8 text")
    with pytest.raises(ManifestError, match=r"'a: \\udcff': not a value .* no sign of UTF-8"):
        parse_value("a: \udcff")


@pytest.mark.parametrize("key", ["content", "style", "pairs", "settings: {init", "masks: {content"])
def test_a_pipe_is_never_waited_for(folder: Path, key: str) -> None:
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe.csv")
    name = "pipe.csv" if key == "pairs" else "pipe.png"
    text = "output: run\nbackbone: lite\n"
    text += "".join(f"{k}: {v}.png\n" for k, v in (("content", "a"), ("style", "s")) if k != key)
    found = problems(folder, f"{text}{key}: {name}{'}' if '{' in key else ''}\n")
    assert any(name in problem for problem in found)


def test_a_manifest_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.yaml")
    with pytest.raises(ManifestError, match=r"cannot be read \(not a regular file\)"):
        load_manifest(tmp_path / "m.yaml")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (f'"[{BOMB}]"', "aliases expand to"),
        ("9" * 120_000, "a number of 120,000 digits"),
        ("9" * 120_000 + "x", "must be a number of pixels"),
        ("!!int x", "'x' is no int"),
    ],
)
def test_cells_of_maps_have_the_manifests_limits(folder: Path, cell: str, said: str) -> None:
    (folder / "m.csv").write_text(f"content,style,size\na.png,s.png,{cell}\n")
    (problem,) = problems(folder, "output: run\nbackbone: lite\npairs: m.csv\n")
    assert said in problem and problem.startswith("/m.csv:2: ")


@pytest.mark.parametrize(
    ("style", "said"),
    [('{""a"": ' * 9000, "style is not JSON"), ("{9" + "9" * 5000, "style is not JSON")],
)
def test_json_in_cells_and_files_is_total(folder: Path, style: str, said: str) -> None:
    (folder / "m.csv").write_text(f'content,style\na.png,"{style}"\n')
    (problem,) = problems(folder, "output: run\nbackbone: lite\npairs: m.csv\n")
    assert said in problem
    for text in ("[" * 100_000, "[" * 50 + "9" * 5000 + "]" * 50):
        (folder / "m.json").write_text(text)
        (problem,) = problems(folder, "output: run\nbackbone: lite\npairs: m.json\n")
        assert problem.startswith("/m.json:1: not JSON: ")


def test_json_is_read_to_a_depth_of_its_own() -> None:
    assert read_json("[" * 100 + "]" * 100)
    with pytest.raises(ValueError, match="nested more than 100 levels deep"):
        read_json('{"a":' * 101 + "1" + "}" * 101)


def test_the_hundred_and_first_problem_is_counted(folder: Path) -> None:
    rows = "".join(f"no{i}.png,s.png,x\n" for i in range(150))
    (folder / "m.csv").write_text(f"content,style,size\n{rows}")
    found = problems(folder, "output: run\nbackbone: lite\npairs: m.csv\n")
    assert len(found) == 101 and found[-1] == "/m.yaml: and 200 problems more"


def test_what_many_rows_name_is_looked_for_once_and_told_of_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    real = Path.is_file
    monkeypatch.setattr(
        Path, "is_file", lambda path: looked.append(path.name) is None and real(path)
    )
    rows = "no.png,s.png,x\na.png,s.png,64\n" * 30
    (folder / "m.csv").write_text(f"content,style,size\n{rows}")
    found = problems(folder, "output: run\nbackbone: lite\npairs: m.csv\n")
    assert sum("no.png: no such file" in problem for problem in found) == 30
    assert sum("'x': must be a number of pixels" in problem for problem in found) == 30
    assert looked.count("a.png") < 5 and looked.count("no.png") < 5


@pytest.mark.parametrize(
    "pattern",
    ["[" * 20_000, "%099999999999d.png", "/proc/1/cwd/**", "/proc/1/cwd/*.mp4", "~nobody/*.png",
     "x" * 5000, "loop/**", "loop/x.mp4"],
)  # fmt: skip
def test_a_hostile_pattern_is_a_picture_that_is_not_there(folder: Path, pattern: str) -> None:
    (folder / "loop").symlink_to(folder / "loop")
    found = problems(folder, f"output: run\nbackbone: lite\nstyle: s.png\ncontent: '{pattern}'\n")
    assert len(found) == 1 and found[0].startswith("/m.yaml:4: content[0]: ")
