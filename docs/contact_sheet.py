"""Makes the README's first picture from the quickstart's results."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
CONTENTS = ("lake_town", "still_life")
STYLES = ("swirls", "stained_glass", "wave")
CELL = (320, 240)


def main() -> None:
    """Styles along the top, contents down the left, results between."""
    demo, results = ROOT / "manifests/demo", ROOT / "runs/quickstart/images"
    sheet = Image.new("RGB", (4 * CELL[0], 3 * CELL[1]), "white")
    cells = {(column, 0): demo / f"style/{style}.jpg" for column, style in enumerate(STYLES, 1)}
    for row, content in enumerate(CONTENTS, 1):
        cells[0, row] = demo / f"content/{content}.jpg"
        for column, style in enumerate(STYLES, 1):
            cells[column, row] = results / f"{content}.jpg__{style}__strength-medium.png"
    for (column, row), path in cells.items():
        with Image.open(path) as image:
            fitted = image.convert("RGB").resize((CELL[0] - 8, CELL[1] - 8))
        sheet.paste(fitted, (column * CELL[0] + 4, row * CELL[1] + 4))
    sheet.save(ROOT / "docs/quickstart.jpg", quality=88)


if __name__ == "__main__":
    main()
