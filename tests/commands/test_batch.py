"""The main job, from a manifest to files, in real processes and in this one."""

import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import ExifTags, Image, ImageCms

from pipeline.commands import Options, batch_manifest, clean_run
from pipeline.errors import RunFolderError
from pipeline.library import records as flat_records
from pipeline.manifest import load_manifest
from pipeline.plan import Batch, Plan, scales_of
from pipeline.report import build_report, pairs_manifest
from pipeline.schedule import RunOptions
from pipeline.slot import RunContext, forget_all, run_batch
from pipeline.slot import session as worker
from pipeline.store import RunFolder

INLINE = Options("cpu", run=RunOptions(engine="inline"))
MANIFEST = """
output: run
content: content
style: style
backbone: lite
settings: {size: 48, steps: 6, scale_start: 0}
grid:
  style_weight: [1e0, 1_0]
"""


@pytest.fixture
def manifest(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    picture("content/a.png", 1)
    picture("content/deep/b.jpg", 2)
    picture("style/s.png", 3)
    picture("style/t.png", 4)
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST)
    return path


def records(folder: Path) -> dict[str, dict]:  # type: ignore[type-arg]
    found = {}
    for path in sorted((folder / "images").rglob("*.json")):
        found[path.relative_to(folder / "images").as_posix()] = json.loads(path.read_text())
    return found


def assert_whole(folder: Path, count: int) -> None:
    found = records(folder)
    assert len(found) == count
    for record in found.values():
        data = (folder / record["output"]["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record["output"]["sha256"]
    assert not list(folder.rglob(".tmp-*"))


def summary(folder: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((folder / "run.json").read_text())  # type: ignore[no-any-return]


def test_a_manifest_becomes_pictures_and_records(manifest: Path) -> None:
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    run = manifest.parent / "run"
    assert_whole(run, 8)
    assert summary(run)["targets_computed"] == 2
    record = records(run)["deep/b__t__style_weight-10.json"]
    assert record["settings"]["style_weight"] == 10
    with Image.open(run / record["output"]["path"]) as image:
        assert image.size == (48, 37)
        assert json.loads(image.text["nst"])["key"] == record["key"]


def test_running_again_does_only_what_is_new(manifest: Path) -> None:
    batch_manifest(manifest, INLINE, quiet=True)
    batch_manifest(manifest, INLINE, quiet=True)
    run = manifest.parent / "run"
    assert (summary(run)["done"], summary(run)["already_done"]) == (0, 8)
    manifest.write_text(MANIFEST.replace("1_0]", "1_0, 100]"))
    batch_manifest(manifest, INLINE, quiet=True)
    assert (summary(run)["done"], summary(run)["already_done"]) == (4, 8)
    with (manifest.parent / "style/s.png").open("ab") as file:
        file.write(b"\0")
    batch_manifest(manifest, INLINE, quiet=True)
    assert (summary(run)["done"], summary(run)["already_done"]) == (6, 6)


def test_a_second_run_folder_takes_targets_from_the_cache(manifest: Path) -> None:
    batch_manifest(manifest, INLINE, quiet=True)
    manifest.write_text(MANIFEST.replace("output: run", "output: other"))
    batch_manifest(manifest, INLINE, quiet=True)
    assert summary(manifest.parent / "other")["targets_computed"] == 0


def test_a_broken_picture_fails_its_own_jobs_only(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = manifest.parent / "content/a.png"
    broken.write_bytes(broken.read_bytes()[:300])
    assert batch_manifest(manifest, INLINE, quiet=True) == 1
    run = manifest.parent / "run"
    assert_whole(run, 4)
    lines = (run / "failures.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert "damaged or truncated" in json.loads(lines[0])["error"]
    assert "a.png" in capsys.readouterr().err


def test_a_picture_in_a_batch_is_what_it_is_alone(manifest: Path) -> None:
    text = MANIFEST.replace("steps: 6", "steps: 20").replace("1_0]", "3, 10, 30]")
    manifest.write_text(text)
    batch_manifest(manifest, INLINE, quiet=True)
    together = manifest.parent / "run/images"
    sizes = {r["batch"]["size"] for r in records(manifest.parent / "run").values()}
    assert max(sizes) >= 4
    manifest.write_text(
        text.replace("output: run", "output: one")
        .replace("content: content", "content: content/a.png")
        .replace("style: style", "style: style/s.png")
        .replace("[1e0, 3, 10, 30]", "[3]")
    )
    batch_manifest(manifest, INLINE, quiet=True)
    name = "a__s__style_weight-3.png"
    alone = manifest.parent / "one/images" / name
    pair = [np.asarray(Image.open(p)).astype(int) for p in (together / name, alone)]
    assert np.abs(pair[0] - pair[1]).max() <= 1


def test_killed_at_random_moments_it_ends_whole(manifest: Path) -> None:
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--quiet", "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    manifest.write_text(MANIFEST.replace("steps: 6", "steps: 40"))
    run = manifest.parent / "run"
    draw = random.Random(0)
    times: dict[str, int] = {}
    for _ in range(3):
        process = subprocess.Popen(command, env=environment)
        before = len(records(run)) if run.exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if run.exists() and len(list(run.rglob("*.json"))) > before + 1:
                break
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in (run / "images").rglob("*.json"):
            times.setdefault(str(path), path.stat().st_mtime_ns)
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert_whole(run, 8)
    for path, moment in times.items():
        assert Path(path).stat().st_mtime_ns == moment, "a finished job was done again"


def test_an_interrupt_stops_in_order_and_says_so(manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("steps: 6", "steps: 100000"))
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    slot = manifest.parent / "run/.nst/tmp/slot-0.json"
    deadline = time.monotonic() + 60
    while not slot.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "go on with: nst batch" in out
    assert not (manifest.parent / "run/.nst/tmp").exists()


def test_a_job_that_diverges_fails_alone(manifest: Path) -> None:
    text = MANIFEST.replace("scale_start: 0", "scale_start: 0, optimizer: lbfgs, loss: paper")
    text = text.replace("loss: paper", "loss: paper, clamp: false, warmup: 0")
    text = text.replace("style_weight: [1e0, 1_0]", "learning_rate: [1e-3, 100]")
    manifest.write_text(text.replace("steps: 6", "steps: 60"))
    assert batch_manifest(manifest, INLINE, quiet=True) == 1
    run = manifest.parent / "run"
    assert_whole(run, 4)
    assert all("learning_rate-0.001" in name for name in records(run))
    failures = [json.loads(line) for line in (run / "failures.jsonl").read_text().splitlines()]
    assert {failure["type"] for failure in failures} == {"DivergedError"}


def test_a_stopped_long_job_goes_on_from_its_checkpoint(manifest: Path) -> None:
    manifest.write_text(
        MANIFEST.replace("steps: 6", "steps: 400")
        .replace("content: content", "content: content/a.png")
        .replace("style: style", "style: style/s.png")
        .replace("[1e0, 1_0]", "[1, 10]")
    )
    run = manifest.parent / "run"
    often = dataclasses.replace(INLINE, checkpoint_every_s=0.3)
    command = [sys.executable, "-m", "cli", "batch", str(manifest), "--quiet", "--devices", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([*command, "--checkpoint-every", "0.3"], env=environment)
    deadline = time.monotonic() + 60
    while not list(run.glob(".nst/checkpoints/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert len(records(run)) == 0
    assert batch_manifest(manifest, often, quiet=True) == 0
    resumed = records(run)
    assert not list(run.glob(".nst/checkpoints/*"))
    manifest.write_text(manifest.read_text().replace("output: run", "output: straight"))
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    for name, record in records(manifest.parent / "straight").items():
        paths = [manifest.parent / "straight", run]
        images = [np.asarray(Image.open(p / record["output"]["path"])).astype(int) for p in paths]
        assert np.abs(images[0] - images[1]).max() <= 1
        steps = [point["step"] for point in resumed[name]["losses"]]
        assert steps == [point["step"] for point in record["losses"]]


# --- what a manifest can ask for beside pictures --------------------------------------------------


def write(manifest: Path, text: str) -> Path:
    manifest.write_text(text)
    return manifest.parent / "run"


HEAD = "output: run\ncontent: content\nstyle: style\nbackbone: lite\n"


def test_a_grid_over_six_settings_is_few_batches_and_every_record_right(manifest: Path) -> None:
    run = write(
        manifest,
        "output: run\ncontent: content/a.png\nstyle: style/s.png\nbackbone: lite\n"
        "settings: {size: 32, steps: 2, scale_start: 0, style_layers: [conv1_1]}\n"
        "grid:\n  style_weight: [1, 2]\n  content_weight: [1, 3]\n  tv_weight: [0, 1]\n"
        "  seed: [0, 1]\n  learning_rate: [0.01, 0.05]\n  init: [content, noise]\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    found = records(run)
    assert len(found) == 64
    assert len({record["batch"]["number"] for record in found.values()}) == 4  # 16 a batch on a CPU
    points = set()
    for record in found.values():
        swept = record["swept"]
        assert {name: record["settings"][name] for name in swept} == swept
        assert all(f"{name}-" in record["name"] for name in swept)
        points.add(json.dumps(swept))
    assert len(points) == 64
    images = {record["output"]["sha256"] for record in found.values()}
    assert len(images) > 40  # seeds alone change nothing where the content picture begins


def shown_ms(image: Image.Image) -> int:
    """How long an animation is; WebP joins frames that are nearly the same."""
    total = 0
    for number in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        image.load()
        total += image.info["duration"]
    return total


def test_frames_and_animations_are_kept_and_cleaned(manifest: Path) -> None:
    run = write(
        manifest,
        f"{HEAD}settings: {{size: 48, steps: 10, scale_start: 32, animation: webp}}\n"
        "grid: {save_every: [0, 4], color: [style, original_colors]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    found = records(run)
    assert len(found) == 16
    for record in found.values():
        every = record["settings"]["save_every"]
        frames = sorted(path.stem for path in (run / "frames" / record["name"]).glob("*"))
        assert frames == (["000004", "000008"] if every else [])
        with Image.open(run / record["animation"]) as image:
            assert shown_ms(image) == 80 * (2 if every else 10) + 2000
            assert image.size == tuple(record["output"]["size"])
    clean_run(run)
    assert not (run / "frames").exists() and len(records(run)) == 16
    assert len(list((run / "animations").rglob("*.webp"))) == 16


def luma(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L")).astype(float)


def test_color_modes_keep_the_contents_chroma(manifest: Path) -> None:
    run = write(
        manifest,
        f"{HEAD}settings: {{size: 72, steps: 15}}\n"
        "grid: {color: [style, preserve_luminance, preserve_histogram, original_colors]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    content = np.asarray(Image.open(manifest.parent / "content/a.png").convert("YCbCr")).astype(
        float
    )
    for record in records(run).values():
        if record["content"]["path"].endswith("a.png"):
            path = run / record["output"]["path"]
            made = np.asarray(Image.open(path).convert("YCbCr")).astype(float)
            away = np.median(abs(made - content)[..., 1:])
            color = record["settings"]["color"]
            kept = color in ("preserve_luminance", "original_colors")
            assert (away <= 1) == kept, (color, away)
            assert abs(luma(path) - content[..., 0]).mean() > 2  # it is stylized


def test_only_the_white_region_is_stylized(manifest: Path) -> None:
    folder = manifest.parent
    half = np.zeros((56, 72), np.uint8)
    half[:, :24] = 255
    Image.fromarray(half).save(folder / "content/a_mask.png")
    Image.fromarray(half.T.copy()).save(folder / "content/deep/b_mask.png")
    run = write(
        manifest,
        f"{HEAD}masks: {{content: '{{stem}}_mask.png'}}\n"
        "settings: {size: 72, steps: 20, scale_start: 0, tv_weight: 0, style_weight: 30,\n"
        "  style_layers: [conv1_1, conv2_1], content_layers: [conv1_1]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    found = records(run)
    assert len(found) == 4  # masks are no content pictures
    before = np.asarray(Image.open(folder / "content/a.png").convert("RGB")).astype(float)
    for name in ("a__s", "a__t"):
        change = abs(np.asarray(Image.open(run / "images" / f"{name}.png")) - before).mean((0, 2))
        assert change[:24].mean() > 8 * change[48:].mean()


def test_each_region_takes_its_own_style(manifest: Path, picture: Callable[..., Path]) -> None:
    folder = manifest.parent
    half = np.zeros((56, 72), np.uint8)
    half[:, :36] = 255
    Image.fromarray(half).save(folder / "a.mask.png")
    for color in ("red", "blue"):
        Image.new("RGB", (64, 64), color).save(folder / f"{color}.png")
    picture("a.png", 1)
    run = write(
        manifest,
        "output: run\ncontent: a.png\nbackbone: lite\nmasks: {content: '{stem}.mask.png'}\n"
        "style: [{name: two, regions: {white: red.png, black: blue.png}}]\n"
        "settings: {size: 72, steps: 40, style_weight: 50, content_weight: 0.1,\n"
        "  style_layers: [conv1_1, conv2_1]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    made = np.asarray(Image.open(run / "images/a__two.png")).astype(float)
    left, right = made[:, :24].mean((0, 1)), made[:, 48:].mean((0, 1))
    assert left[0] > left[2] + 60 and right[2] > right[0] + 60
    (record,) = records(run).values()
    assert [p["region"] for p in record["style"]["pictures"]] == ["#ffffff", "#000000"]


def test_blends_go_from_one_style_to_the_other(manifest: Path) -> None:
    folder = manifest.parent
    for color in ("red", "blue"):
        Image.new("RGB", (64, 64), color).save(folder / f"{color}.png")
    run = write(
        manifest,
        "output: run\ncontent: content/a.png\nbackbone: lite\n"
        "style: [{name: mix, blend: {red.png: 1, blue.png: 1}}]\n"
        "settings: {size: 48, steps: 40, style_weight: 50, style_layers: [conv1_1]}\n"
        "grid: {blend: [[1, 0], [1, 1], [0, 5]]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    reds = []
    for label in ("1+0", "1+1", "0+5"):
        record = records(run)[f"a__mix__blend-{label}.json"]
        made = np.asarray(Image.open(run / record["output"]["path"])).astype(float).mean((0, 1))
        reds.append(made[0] - made[2])
    assert reds[0] > reds[1] + 20 > reds[2] + 40
    assert [p["weight"] for p in record["style"]["pictures"]] == [0, 1]


def test_a_draw_is_written_down_and_made_again_from_its_map(manifest: Path) -> None:
    run = write(
        manifest,
        f"{HEAD}pairing: {{sample: 1, seed: 5}}\nsettings: {{size: 48, steps: 2}}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    again = manifest.parent / "again.yaml"
    again.write_text(
        "output: again\nbackbone: lite\npairs: run/pairs.csv\nsettings: {size: 48, steps: 2}\n"
    )
    assert batch_manifest(again, INLINE, quiet=True, with_report=False) == 0
    keys = {name: record["key"] for name, record in records(run).items()}
    assert keys == {name: r["key"] for name, r in records(manifest.parent / "again").items()}
    assert len(keys) == 2 and any("/" in name for name in keys)


def test_a_dataset_as_shards_with_its_labels_is_resumed(manifest: Path) -> None:
    folder = manifest.parent
    (folder / "content/labels.csv").write_text("a,1")
    text = (
        "output: {path: run, format: webdataset, shard_size: 3, others: copy}\n"
        "content: content\nstyle: style\nbackbone: lite\n"
        "settings: {size: 48, steps: 2}\ngrid: {seed: [0, 1]}\n"
    )
    run = write(manifest, text)
    (folder / "content/deep/b.jpg").rename(folder / "b.jpg")
    (folder / "content/deep/b.jpg").write_bytes(b"broken")
    assert batch_manifest(manifest, INLINE, quiet=True) == 1
    (folder / "b.jpg").replace(folder / "content/deep/b.jpg")
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    assert batch_manifest(manifest, INLINE, quiet=True) == 0
    urls = sorted(str(path) for path in (run / "shards").glob("*.tar"))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert len(samples) == len({sample["__key__"] for sample in samples}) == 8
    assert all(sample["png"].size == tuple(sample["json"]["output"]["size"]) for sample in samples)
    assert (run / "images/labels.csv").read_text() == "a,1"
    assert not list((run / "images").rglob("*.png")) and not (run / "report.html").exists()
    with pytest.raises(RunFolderError, match="in tar shards"):
        build_report(RunFolder(run))
    assert {row["swept"]["seed"] for row in (r["record"] for r in flat_records(run))} == {0, 1}
    summary = json.loads((run / "run.json").read_text())
    assert summary["classes"] == {
        ".": {"jobs": 4, "done": 4, "failed": 0},
        "deep": {"jobs": 4, "done": 4, "failed": 0},
    }
    assert summary["styles"]["s"] == {"jobs": 4, "done": 4, "failed": 0}


def test_pictures_keep_depth_profile_and_exif(manifest: Path) -> None:
    folder = manifest.parent
    exif, profile = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[ExifTags.Base.Artist] = "someone"
    with Image.open(folder / "content/a.png") as image:
        image.save(folder / "content/a.jpg", exif=exif, icc_profile=profile)
    head = "content: content/a.jpg\nstyle: style/s.png\nbackbone: lite\n"
    run = write(
        manifest,
        f"output: run\n{head}settings: {{size: 48, steps: 2, exif: true, profile: content}}\n"
        "grid: {format: [png, jpg]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    for record in records(run).values():
        with Image.open(run / record["output"]["path"]) as image:
            assert image.getexif()[ExifTags.Base.Artist] == "someone"
            assert image.info["icc_profile"] == profile
    run = write(
        manifest,
        f"output: deep\n{head}settings: {{size: 48, steps: 2, depth: 16}}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    data = (folder / "deep/images/a__s.png").read_bytes()
    assert data[24] == 16 and data[25] == 2  # bit depth, and RGB


def test_contents_are_read_while_the_batch_before_runs(manifest: Path) -> None:
    """The second batch's picture is gone by the time it runs, and is not missed."""
    folder = manifest.parent
    loaded = load_manifest(manifest)
    plan = Plan(loaded, lambda s: "", 1)
    jobs = [job for job in plan.jobs() if job.style.label == "s"][::2]
    assert [job.content.path.name for job in jobs] == ["a.png", "b.jpg"]
    store = RunFolder(folder / "run")
    store.begin("", {})
    context = RunContext(store.path, folder / "cache", "lite", None, None)
    first, second = (Batch(i, (job,), scales_of(job)) for i, job in enumerate(jobs))
    forget_all()
    assert run_batch(context, 0, first.followed_by(second)).outcomes[0].status == "done"
    (folder / "content/deep/b.jpg").unlink()
    assert run_batch(context, 0, second).outcomes[0].status == "done"
    again = Batch(2, (jobs[1],), second.scales)
    assert "no such file" in (run_batch(context, 0, again).outcomes[0].error or "")


def test_where_torch_cannot_compile_it_says_so_and_goes_on(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails:
        """A compiled network whose code fails an assertion when it is run."""

        def __init__(self, network: object) -> None:
            self.network = network

        def __getattr__(self, name: str) -> object:
            return getattr(self.network, name)

        def __call__(self, images: object) -> object:
            raise AssertionError("assert_size_stride\nand more")

    monkeypatch.setattr(worker, "_compiled", Fails)
    monkeypatch.setattr(worker, "_uncompiled", [])
    options = dataclasses.replace(INLINE, compiles=True)
    assert batch_manifest(manifest, options, quiet=True, with_report=False) == 0
    for record in records(manifest.parent / "run").values():
        assert record["warnings"] == [
            "not compiled, torch could not: AssertionError: assert_size_stride"
        ]


def test_favorites_with_regions_and_swept_blends_are_made_again(manifest: Path) -> None:
    folder = manifest.parent
    Image.new("L", (72, 56), 200).save(folder / "content/a_mask.png")
    (folder / "content/deep/b.jpg").unlink()
    run = write(
        manifest,
        "output: run\ncontent: content\nbackbone: lite\nmasks: {content: '{stem}_mask.png'}\n"
        "style: [{name: two, regions: {white: style/s.png, black: style/t.png}}]\n"
        "settings: {size: 48, steps: 2}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    (made,) = records(run).values()
    again = folder / "again.yaml"
    again.write_text(pairs_manifest([made], folder / "again", {"name": "lite"}))
    job = next(Plan(load_manifest(again), lambda s: made["backbone"]["weights_sha256"], 3).jobs())
    assert (job.key, job.style.regions) == (made["key"], ("#ffffff", "#000000"))
    run = write(
        manifest,
        "output: mix\ncontent: content/a.png\nbackbone: lite\nsettings: {size: 48, steps: 2}\n"
        "style: [{name: mix, blend: {style/s.png: 1, style/t.png: 1}}]\n"
        "grid: {blend: [[0, 1], [1, 3]]}\n",
    )
    assert batch_manifest(manifest, INLINE, quiet=True, with_report=False) == 0
    both = list(records(folder / "mix").values())
    again.write_text(pairs_manifest(both, folder / "again", {"name": "lite"}))
    digest = both[0]["backbone"]["weights_sha256"]
    keys = {job.key for job in Plan(load_manifest(again), lambda s: digest, 3).jobs()}
    assert keys == {record["key"] for record in both}
