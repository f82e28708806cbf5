"""Loss curves and pictures for TensorBoard, through a writer that only notes what it is given."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import EngineError, ImageError
from pipeline.report import summary_writer, write_board
from pipeline.store import RunFolder


class Notes:
    """Stands in for TensorBoard's writer."""

    seen: dict[str, list[tuple[Any, ...]]]

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Notes":
        return self

    def __exit__(self, *error: object) -> None: ...

    def add_scalar(self, *what: Any) -> None:
        self.seen.setdefault(self.folder.name, []).append(what)

    def add_image(self, name: str, pixels: Any, step: int, dataformats: str) -> None:
        shown = (name, pixels.shape, tuple(pixels[0, 0].tolist()), step, dataformats)
        self.seen.setdefault(self.folder.name, []).append(shown)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> type[Notes]:
    Notes.seen = {}
    package = SimpleNamespace(SummaryWriter=Notes)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", package)
    return Notes


def test_without_tensorboard_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(EngineError, match=r"pip install '.\[tensorboard\]'"):
        summary_writer()


def test_each_job_has_its_losses_and_its_picture_once(run: Path, notes: type[Notes]) -> None:
    assert write_board(RunFolder(run)) == len(notes.seen) == 7
    events = notes.seen["a__red__style_weight-2.0"]
    assert ("loss/style", 1 / 20, 20) in events
    assert sorted({str(event[0]) for event in events[:-1]}) == [
        "loss/content", "loss/style", "loss/total", "loss/tv",
    ]  # fmt: skip
    assert events[-1] == ("picture", (48, 64, 3), (0, 0, 20), 20, "HWC")
    notes.seen.clear()
    assert write_board(RunFolder(run)) == 0 and not notes.seen


def test_a_picture_that_was_made_anew_is_written_anew(run: Path, notes: type[Notes]) -> None:
    write_board(RunFolder(run))
    notes.seen.clear()
    name = "a__red__style_weight-2.0"
    old = run / "tensorboard" / name / "events"
    old.write_text("old")
    path = RunFolder(run).record_path(name)
    path.write_text(path.read_text().replace("k" * 64, "n" * 64))
    assert write_board(RunFolder(run)) == 1 and list(notes.seen) == [name]
    assert not old.exists()


def test_a_picture_that_is_gone_is_named(run: Path, notes: type[Notes]) -> None:
    (run / next(RunFolder(run).records()).output.path).unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        write_board(RunFolder(run))
