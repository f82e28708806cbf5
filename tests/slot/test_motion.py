"""What a clip's frame goes on from."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from clips import moving, write_frames
from PIL import Image

from pipeline.errors import WeightsError, WorkerError
from pipeline.manifest import load_manifest
from pipeline.pictures import to_tensor
from pipeline.plan import Plan, scales_of
from pipeline.slot.contents import read_content
from pipeline.slot.flow import FLOWS
from pipeline.slot.motion import Motion, in_result_colors, read_motion
from pipeline.store import RunFolder, to_json

pytest.importorskip("cv2")


def test_colors_of_what_is_new_are_those_that_the_style_gives() -> None:
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 4, 6, generator=draw)
    before, content = F.interpolate(coarse, (80, 120), mode="bilinear")
    mix = torch.tensor([[0.5, 0.2, 0.0], [0.1, 0.6, 0.1], [0.0, 0.1, 0.4]])
    offset = torch.tensor([0.1, 0.05, 0.2])

    def styled(image: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ij,jhw->ihw", mix, image) + offset[:, None, None]

    found = in_result_colors(before, styled(before), content)
    assert (found - styled(content)).abs().max() < 0.1
    assert (found - content).abs().max() > 0.3


def test_colors_stay_where_nothing_is_known_of_them() -> None:
    gray = torch.full((3, 40, 60), 0.5)
    content = torch.rand(3, 40, 60)
    assert (in_result_colors(gray, gray, content) - content).abs().max() < 1e-4


def frames_of(folder: Path, settings: str) -> list[Motion | None]:
    """What each frame of a clip of 3 goes on from, where the results are the frames' negatives."""
    frames = moving(3, (96, 72), 3)
    write_frames(folder / "f", frames)
    Image.fromarray(frames[0]).save(folder / "s.png")
    (folder / "m.yaml").write_text(
        "output: run\ncontent: f/%04d.png\nstyle: s.png\nbackbone: lite\n"
        f"settings: {{size: 96{settings}}}\n"
    )
    store = RunFolder(folder / "run")
    found = []
    for job, frame in zip(
        Plan(load_manifest(folder / "m.yaml"), lambda s: "", 1).jobs(), frames, strict=True
    ):
        content = read_content(job.content.path, "white", job.settings.color != "style", None)
        found.append(read_motion(store, job, content, scales_of(job)[-1]))
        path = store.image_path(job.name, job.settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - frame).save(path)
        output = {"bytes": path.stat().st_size}
        store.record_path(job.name).write_bytes(
            to_json({"schema": 1, "key": job.key, "output": output})
        )
    return found


def test_a_frame_goes_on_from_the_result_before_moved_by_the_flow(tmp_path: Path) -> None:
    first, second, third = frames_of(tmp_path, "")
    assert first is None and second is not None and third is not None
    frame = 1 - to_tensor(Image.open(tmp_path / "f/0003.png"))
    trusted = third.weights.bool().expand(3, 72, 96)
    assert third.trusted > 0.8 and not third.weights[..., -2:].any()
    assert (third.moved - frame).abs()[trusted].mean() < 0.01
    # What comes in at the right is not smeared: it has the colors of a negative.
    assert (third.begun - frame).abs()[~trusted].mean() < 0.1
    assert third.flicker(frame) < 0.01 < third.flicker(1 - frame)
    assert torch.equal(third.shown, third.moved)


def test_of_brightness_alone_the_loop_goes_on_from_brightness(tmp_path: Path) -> None:
    _, second, _ = frames_of(tmp_path, ", color: preserve_luminance")
    assert second is not None
    assert (second.moved[0] - second.moved[2]).abs().max() < 1e-6
    assert (second.begun[0] - second.begun[2]).abs().max() < 1e-6
    assert (second.shown[0] - second.shown[2]).abs().max() > 0.1


def test_a_frame_before_that_is_gone_is_told(tmp_path: Path) -> None:
    frames_of(tmp_path, "")
    jobs = list(Plan(load_manifest(tmp_path / "m.yaml"), lambda s: "", 1).jobs())
    store = RunFolder(tmp_path / "run")
    store.image_path(jobs[1].name, jobs[1].settings).unlink()
    content = read_content(jobs[2].content.path, "white", False, None)
    with pytest.raises(WorkerError, match=r"goes on from f/0002__s, which is not done any more"):
        read_motion(store, jobs[2], content, scales_of(jobs[2])[-1])


def test_raft_is_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    image = Image.new("RGB", (64, 48))
    with pytest.raises(WeightsError, match=r"flow: raft needs .*raft_large.*\.pth, which is not"):
        FLOWS["raft"](image, image)


def test_raft_takes_its_weights_from_torchs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random ones, so that only form and repeatability can be looked at."""
    from torchvision.models.optical_flow import Raft_Large_Weights, raft_large

    from pipeline.slot import flow

    torch.manual_seed(0)
    name = Raft_Large_Weights.DEFAULT.url.rpartition("/")[2]
    (tmp_path / "checkpoints").mkdir()
    torch.save(raft_large(weights=None).state_dict(), tmp_path / "checkpoints" / name)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    first, second = (Image.fromarray(f) for f in moving(2, (72, 50)))
    found = FLOWS["raft"](first, second)
    flow._raft_network.cache_clear()
    assert found.shape == (2, 50, 72) and found.isfinite().all()
    assert torch.equal(FLOWS["raft"](first, second), found)
    flow._raft_network.cache_clear()
