"""A report of many records: how long it takes to build, how heavy it is, how quick in a browser.

    python benchmarks/report.py --jobs 10000

The records and pictures are made up. The browser is headless Chromium through selenium, where both
are installed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.manifest import Settings
from pipeline.report import build_report
from pipeline.store import About, RunFolder


def make_run(folder: Path, jobs: int) -> RunFolder:
    """A run of `jobs` records: contents x 10 styles x 10 weights, a picture of 64 px each."""
    store = RunFolder(folder)
    draw = np.random.default_rng(0)
    points = [
        {"step": s, "content": 0.3, "style": 1 / s, "tv": 0.01, "total": 0.3 + 3 / s}
        for s in range(1, 51)
    ]
    inputs = folder.parent / "inputs"
    inputs.mkdir()
    for index in range(max(1, jobs // 100)):
        noise = draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(inputs / f"content_{index:05}.png")
    for index in range(10):
        noise = draw.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(inputs / f"style_{index}.png")
    for index in range(jobs):
        content, style, weight = index // 100, index // 10 % 10, float(1 + index % 10)
        settings = Settings(style_weight=weight)
        noise = draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        buffer = BytesIO()
        Image.fromarray(noise).resize((64, 48)).save(buffer, "PNG")
        path = inputs / f"style_{style}.png"
        record = {
            "name": f"content_{content:05}__style_{style}__style_weight-{weight:g}",
            "content": {"path": str(inputs / f"content_{content:05}.png"), "size": [64, 48]},
            "style": {"name": path.stem, "pictures": [{"path": str(path), "weight": 1.0}]},
            "settings": settings.model_dump(mode="json"),
            "swept": {"style_weight": weight},
            "device": "cpu", "precision": "bf16", "finished": "2026-01-01T00:00:00+00:00",
            "seconds": {"optimize": 3.0}, "targets": {"hits": 1, "computed": 0}, "losses": points,
        }  # fmt: skip
        size, about = (64, 48), About.model_validate(record)
        store.write_job(str(record["name"]), "k", settings, buffer.getvalue(), size, about)
    return store


def look(page: Path) -> dict[str, float]:
    """Milliseconds of first paint and of changes, in headless Chromium."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get(page.as_uri())
        time.sleep(3.0)
        paint = driver.execute_script(
            "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        # From the change to the second frame after it: by then it has been painted.
        change = (
            "const [id, text] = arguments, done = arguments[2]; const s = "
            "document.getElementById(id); const t = performance.now(); s.value = [...s.options]"
            ".find(o => o.textContent === text).value; s.onchange(); requestAnimationFrame(() => "
            "requestAnimationFrame(() => done(performance.now() - t)))"
        )
        changes = [
            ("filter-style_weight", "5"), ("cols", "style weight"), ("rows", "style"),
            ("filter-content", "all"), ("rows", "none"), ("cols", "none"), ("sort", "style loss"),
        ]  # fmt: skip
        found = {"first paint": float(paint)}
        for element, text in changes:
            found[f"{element} = {text}"] = float(driver.execute_async_script(change, element, text))
        return found
    finally:
        driver.quit()


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = make_run(Path(name) / "run", given.jobs)
        began = time.perf_counter()
        built = build_report(store)
        first = time.perf_counter() - began
        began = time.perf_counter()
        build_report(store)
        again = time.perf_counter() - began
        figures: dict[str, float] = {
            "jobs": built.jobs,
            "build s": first,
            "build again s": again,
            "page MB": built.path.stat().st_size / 1e6,
        }
        if shutil.which("chromedriver"):
            figures |= {f"{what} ms": ms for what, ms in look(built.path).items()}
    if given.json:
        print(json.dumps(figures))
        return
    for what, value in figures.items():
        print(f"{what:32} {value:10.2f}")


if __name__ == "__main__":
    main()
