"""Plans of remote pictures: the keys of local ones, each picture fetched once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.address import as_path
from pipeline.manifest import Manifest, load_manifest
from pipeline.plan import Plan
from pipeline.remote import begin_downloads, downloads, put


def plan_of(source: object, tmp_path: Path, **keys: Any) -> Plan:
    begin_downloads(None)
    manifest: Manifest = load_manifest({
        "output": str(tmp_path / "run"), "content": f"{source}/photos",
        "style": f"{source}/style.png", "backbone": "lite", "settings": {"size": 64},
        "masks": {"content": "../../masks/{name}"}, **keys,
    })  # fmt: skip
    return Plan(manifest, lambda _: "digest", 1)


@pytest.fixture
def here(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    for number in range(5):
        picture(f"in/photos/sub/{number}.png", number)
        picture(f"in/masks/{number}.png", 50 + number)
    picture("in/style.png", 9)
    for path in (tmp_path / "in").rglob("*.png"):
        below = path.relative_to(tmp_path / "in").as_posix()
        put(as_path(f"memory://data/{below}"), path)  # type: ignore[arg-type]
    return tmp_path / "in"


def test_keys_and_names_are_those_of_the_same_local_pictures(here: Path, tmp_path: Path) -> None:
    local, remote = (list(plan_of(s, tmp_path).jobs()) for s in (here, "memory://data"))
    assert len(local) == 5
    assert [(job.name, job.key) for job in local] == [(job.name, job.key) for job in remote]
    assert set(remote[0].inputs.values()) == set(local[0].inputs.values())


@pytest.mark.parametrize("order", ["plan", "breadth", "shuffle"])
def test_each_picture_is_fetched_once_and_never_again(
    here: Path, tmp_path: Path, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    plain = downloads.download
    monkeypatch.setattr(
        downloads, "download", lambda at, *rest: (fetched.append(str(at)), plain(at, *rest))
    )
    grid = {"grid": {"seed": [0, 1, 2]}}
    first = [job.key for job in plan_of("memory://data", tmp_path, **grid).jobs(order)]
    assert len(first) == 15 and len(fetched) == len(set(fetched)) == 11
    downloads.trim_downloads(0)  # their digests are known without them, but not the style's header
    assert [job.key for job in plan_of("memory://data", tmp_path, **grid).jobs(order)] == first
    assert fetched[11:] == ["memory://data/style.png"]


def test_one_that_is_gone_is_the_problem_of_its_own_jobs(here: Path, tmp_path: Path) -> None:
    plan = plan_of("memory://data", tmp_path)
    from fsspec.implementations.memory import MemoryFileSystem

    del MemoryFileSystem.store["/data/photos/sub/2.png"]
    jobs = list(plan.jobs())
    assert [job.problem is None for job in jobs] == [True, True, False, True, True]
    assert "memory://data/photos/sub/2.png: cannot be read (no such file" in str(jobs[2].problem)
