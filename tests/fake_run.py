"""A run folder as workers leave it, made without running anything."""

from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.manifest import Settings
from pipeline.store import RunFolder

EVIL = "</script><script>alert(1)</script>"


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
        "content": {"path": str(content), "sha256": "c", "size": [64, 48]},
        "style": {
            "name": style.stem,
            "pictures": [{"path": str(style), "sha256": "s", "weight": 1.0, "size": [64, 48]}],
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
    store.write_job(name, "k" * 64, settings, path.read_bytes(), (64, 48), record)
    path.unlink()
    return name
