"""Settings under names that they once had: they work, are warned of once, and redo nothing."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import stylize_pair
from pipeline.commands import parse_settings
from pipeline.errors import ManifestError
from pipeline.manifest import OLD_NAMES, Manifest, Settings, load_manifest
from pipeline.plan import Plan

HEAD = "output: run\ncontent: c.ppm\nstyle: s.ppm\nbackbone: lite\n"


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Manifest]:
    """Loads a manifest of two fixed pictures."""
    for name, color in (("c.ppm", b"\x10\x20\x30"), ("s.ppm", b"\x90\x40\x20")):
        (tmp_path / name).write_bytes(b"P6 64 64 255\n" + color * 64 * 64)

    def loaded(text: str) -> Manifest:
        (tmp_path / "m.yaml").write_text(HEAD + text)
        return load_manifest(tmp_path / "m.yaml")

    return loaded


Load = Callable[[str], Manifest]


def jobs(manifest: Manifest) -> dict[str, str]:
    return {job.name: job.key for job in Plan(manifest, lambda s: "0" * 64, 3).jobs()}


def test_settings_take_old_names() -> None:
    assert Settings.model_validate({"optimiser": "lbfgs", "normalised": True}) == Settings(
        optimizer="lbfgs", normalized=True
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("settings:\n  optimiser: adam\n  optimizer: lbfgs\n", "6: settings.optimiser"),
        ("grid:\n  optimizer: [lbfgs]\n  optimiser: [adam]\n", "7: grid.optimiser"),
        (
            "pairs: [{content: c.ppm, style: s.ppm, settings: {optimiser: adam, optimizer: adam}}]",
            "5: pairs[0].settings.optimiser",
        ),
    ],
)
def test_both_names_at_once_are_one_problem(load: Load, text: str, where: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(text)
    (problem,) = caught.value.problems
    assert problem.endswith(f":{where}: optimiser and optimizer are one setting; leave one out")


def test_both_names_on_the_command_line_are_one_problem() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_settings(["optimiser=adam", "optimizer=lbfgs"])
    assert caught.value.problems == [
        "--set optimiser: optimiser and optimizer are one setting; leave one out"
    ]


@pytest.mark.parametrize("place", ["settings: {%s}", "grid: {%s}"])
def test_an_old_name_is_warned_of_once_with_its_line(load: Load, place: str) -> None:
    value = "[lbfgs, adam]" if "grid" in place else "lbfgs"
    manifest = load(place % f"seed: {'[0]' if 'grid' in place else 0}, optimiser: {value}" + "\n")
    (warning,) = manifest.warnings
    said = "optimiser is spelled optimizer now; the old spelling goes on working"
    # A swept setting is part of the pictures' names: whoever renames it has them made again.
    more = ", and keeps the names of pictures made so" if "grid" in place else ""
    assert warning.code == "old_name" and str(warning) == f"{manifest.path}:5: {said}{more}"
    assert not load(place % f"optimizer: {value}" + "\n").warnings


def test_an_old_name_in_several_places_is_one_warning(load: Load) -> None:
    text = (
        "settings: {normalised: false}\npairs: [{content: c.ppm, style: s.ppm, settings: {%s}}]\n"
    )
    (warning,) = load(text % "normalised: true").warnings
    assert "keeps the names of pictures" in warning.text


def test_what_is_wrong_with_a_value_is_told_at_its_line(load: Load) -> None:
    with pytest.raises(ManifestError, match=r"m.yaml:6: settings.optimizer: 'adma' is unknown"):
        load("settings:\n  optimiser: adma\n")


def test_names_of_outputs_are_spelled_as_the_manifest_spells_them(load: Load) -> None:
    old = jobs(load("grid: {optimiser: [adam, lbfgs], normalised: [false, true]}\n"))
    new = jobs(load("grid: {optimizer: [adam, lbfgs], normalized: [false, true]}\n"))
    assert next(iter(old)) == "c.ppm__s__optimiser-adam__normalised-off"
    assert next(iter(new)) == "c.ppm__s__optimizer-adam__normalized-off"
    assert list(old.values()) == list(new.values())


def test_axes_keep_their_order(load: Load) -> None:
    manifest = load("grid: {seed: [0, 1], optimiser: [adam], steps: [1, 2]}\n")
    assert list(manifest.axes) == ["seed", "optimizer", "steps"]


def test_maps_take_old_names(load: Load, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text(
        "content,style,optimiser\nc.ppm,s.ppm,lbfgs\ns.ppm,c.ppm,adam\n"
    )
    (tmp_path / "m.yaml").write_text("output: run\npairs: map.csv\nbackbone: lite\n")
    manifest = load_manifest(tmp_path / "m.yaml")
    (warning,) = manifest.warnings
    assert "map.csv:2: optimiser is spelled optimizer now" in warning.text
    assert [pair.settings for pair in manifest.pairs] == [
        {"optimizer": "lbfgs"},
        {"optimizer": "adam"},
    ]
    assert next(iter(jobs(manifest))) == "c.ppm__s__optimiser-lbfgs"


def test_a_map_with_both_names_says_where(tmp_path: Path, load: Load) -> None:
    load("")
    (tmp_path / "map.csv").write_text("content,style,optimiser,optimizer\nc.ppm,s.ppm,adam,adam\n")
    (tmp_path / "m.yaml").write_text("output: run\npairs: map.csv\nbackbone: lite\n")
    with pytest.raises(
        ManifestError, match=r"map.csv:2: settings: optimiser and optimizer are one"
    ):
        load_manifest(tmp_path / "m.yaml")


def test_words_of_the_command_line_take_old_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_settings(["optimiser=lbfgs"]) == {"optimizer": "lbfgs"}
    assert "optimiser is spelled optimizer now" in capsys.readouterr().err


def test_python_takes_old_names() -> None:
    from PIL import Image

    image = Image.new("RGB", (48, 48), "teal")
    with pytest.warns(FutureWarning, match="optimiser is spelled optimizer now"):
        made = stylize_pair(image, image, size=48, steps=1, optimiser="lbfgs")
    assert made.size == (48, 48)


def test_keys_are_those_of_the_first_names(load: Load) -> None:
    """The key as its parts say: algorithm, weights, content, styles, settings under first names."""
    manifest = load("settings: {preset: classic, size: 64, optimizer: lbfgs, normalized: true}\n")
    ((_, key),) = jobs(manifest).items()
    made = Settings(preset="classic", size=64, optimizer="lbfgs", normalized=True)
    settings = made.model_dump(mode="json")
    # Younger settings are no part of a key where they decide nothing.
    younger = ("strength", "stroke", "average_share", "neighbor_weight", "neighbor_every")
    of_clips = (
        "temporal_weight",
        "clip_steps",
        "flow",
        "fps",
        "laplacian_weight",
        "alpha",
        "size_step",
        "max_size",
        "neighbor_salience",
        "mask_edge",
        "decoding",
        "backbone",
    )
    for name in ("preset", *younger, *of_clips):
        settings.pop(name)
    settings.pop("neighbor_content")
    for old, new in OLD_NAMES.items():
        settings[old] = settings.pop(new)
    content, style = (
        hashlib.sha256((manifest.path.parent / name).read_bytes()).hexdigest()
        for name in ("c.ppm", "s.ppm")
    )
    parts = ["3", "0" * 64, content, json.dumps([[style, 1.0]])]
    parts.append(json.dumps(settings, sort_keys=True))
    assert key == hashlib.sha256("\n".join(parts).encode()).hexdigest()


def test_a_key_that_was_made_before_the_names_changed(load: Load) -> None:
    ((_, key),) = jobs(
        load(
            "settings: {preset: default@1, size: 64, steps: 4, optimiser: lbfgs, "
            "padding: replicate}\n"
        )
    ).items()
    assert key == "cd609fcede08a62f81b0247a2722b13d5f4c8e58b94735972b910ddf31ed94e0"
