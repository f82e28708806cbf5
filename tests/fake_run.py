"""A run folder as workers leave it, made without running anything."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.manifest import Settings
from pipeline.store import About, ContentInput, Failure, RunFolder, StyleInput

EVIL = "</script><script>alert(1)</script>"


def digest(path: Path) -> str:
    """SHA-256 of a file; of one that is not there, of nothing."""
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()


def bare_record(name: str, **more: Any) -> About:
    """As little as a record has to say, beside its output."""
    content, style = ContentInput(path="c"), StyleInput(name="s", pictures=[])
    return About(name=name, content=content, style=style, settings={}, swept={}, **more)


def add_job(
    run: Path, content: Path, style: Path, color: tuple[int, int, int], **swept: Any
) -> str:
    """Writes a job's picture and a record as the worker writes it."""
    store = RunFolder(run)
    labels = [f"{name}-{value}" for name, value in swept.items()]
    name = "__".join([content.stem.replace("/", "_"), style.stem, *labels])
    settings = Settings(**{"size": 64, **swept})
    path = run / "scratch.png"
    run.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), color).save(path)
    losses = [
        {"step": s, "content": 0.1 * s, "style": 1 / s, "tv": 0.0, "total": 0.1 + 3 / s}
        for s in (1, 10, 20)
    ]
    record = {
        "name": name,
        "content": {"path": str(content), "sha256": digest(content), "size": [64, 48]},
        "style": {
            "name": style.stem,
            "pictures": [
                {"path": str(style), "sha256": digest(style), "weight": 1.0, "size": [64, 48]}
            ],
        },
        "settings": settings.model_dump(mode="json"),
        "swept": swept,
        "device": "cpu",
        "precision": "fp32",
        "finished": f"2026-01-01T00:00:{len(list(run.rglob('*.json'))):02}+00:00",
        "seconds": {"read": 0.5, "optimize": 2.0},
        "targets": {"hits": 1, "computed": 0},
        "losses": losses,
    }
    about = About.model_validate(record)
    store.write_job(name, "k" * 64, settings, path.read_bytes(), (64, 48), about)
    path.unlink()
    return name


def small_run(folder: Path, picture: Callable[..., Path]) -> Path:
    """2 contents x 2 styles x 2 weights, one of them missing, and one failure."""
    pictures = [picture(f"{n}.png", i) for i, n in enumerate(("a", "b", "red", "blue"))]
    for i, content in enumerate(pictures[:2]):
        for j, style in enumerate(pictures[2:]):
            for weight in (2.0, 10.0):
                if (i, j, weight) != (1, 1, 10.0):
                    color = (100 * i, 100 * j, int(10 * weight))
                    add_job(folder, content, style, color, style_weight=weight)
    store = RunFolder(folder)
    store.add_failure(
        Failure.model_validate(
            {
                "name": f"b__blue__{EVIL}",
                "error": f"broken: {EVIL}",
                "time": "2026-01-01T00:00:09+00:00",
                "content": str(pictures[1]),
                "style": "blue",
                "style_parts": {str(pictures[3]): 1.0},
                "swept": {"style_weight": 10.0},
            }
        )
    )
    return folder
