"""Draws the demo contents (a lake town, a still life) and the woodblock wave; see `draw.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).parent
SIZE = (1536, 1152)


def sky(top: tuple[int, int, int], low: tuple[int, int, int]) -> Image.Image:
    """A vertical gradient with soft clouds."""
    ramp = np.linspace(0, 1, SIZE[1])[:, None, None]
    colour = np.array(top) * (1 - ramp) + np.array(low) * ramp
    rng = np.random.default_rng(3)
    cloud = np.zeros((SIZE[1], SIZE[0]))
    for cells, weight in ((5, 0.5), (11, 0.3), (23, 0.2)):
        noise = Image.fromarray((rng.random((cells, cells * 2)) * 255).astype(np.uint8))
        cloud += weight * np.asarray(noise.resize(SIZE, Image.Resampling.BICUBIC)) / 255
    cover = np.clip((cloud - 0.5) * 4, 0, 1)[:, :, None] * (1 - ramp)
    pixels = colour * (1 - cover) + np.array((250, 246, 238)) * cover
    return Image.fromarray(pixels.astype(np.uint8))


def house(draw: ImageDraw.ImageDraw, x: int, width: int, ground: int, seed: int) -> None:
    """One gabled house with rows of windows and a shaded side."""
    rng = np.random.default_rng(seed)
    height = int(rng.integers(190, 330))
    wall = tuple(int(c) for c in rng.integers((150, 110, 80), (245, 215, 185)))
    roof = tuple(int(c) for c in rng.integers((120, 45, 30), (180, 85, 60)))
    top = ground - height
    draw.rectangle((x, top, x + width, ground), wall)
    shade = tuple(int(c * 0.8) for c in wall)
    draw.rectangle((x + int(width * 0.82), top, x + width, ground), shade)
    peak = top - int(width * 0.7)
    draw.polygon([(x - 10, top), (x + width // 2, peak), (x + width + 10, top)], roof)
    for row in range(top + 25, ground - 60, 70):
        for column in range(3):
            left = x + 16 + column * (width - 24) // 3
            box = (left, row, left + width // 6, row + 42)
            draw.rectangle(box, (50, 58, 78), (240, 235, 225), 4)
    draw.rectangle((x + width // 2 - 14, ground - 52, x + width // 2 + 14, ground), (80, 50, 35))


def lake_town() -> Image.Image:
    """Gabled houses and a church by a lake, with mountains behind and their reflection."""
    image = sky((70, 130, 200), (225, 215, 200))
    draw = ImageDraw.Draw(image)
    shore = 730
    rng = np.random.default_rng(1)
    for base, colour in ((430, (128, 148, 178)), (530, (92, 122, 128)), (600, (70, 104, 78))):
        line = [(x, base - int(rng.integers(0, 190))) for x in range(-100, SIZE[0] + 200, 150)]
        draw.polygon([(-100, shore), *line, (SIZE[0] + 100, shore)], colour)
    image = image.filter(ImageFilter.GaussianBlur(2))
    draw = ImageDraw.Draw(image)
    draw.rectangle((640, 250, 740, shore), (212, 196, 170))
    draw.rectangle((712, 250, 740, shore), (172, 156, 134))
    draw.polygon([(622, 250), (690, 40), (758, 250)], (70, 92, 92))
    draw.ellipse((664, 290, 716, 342), (245, 240, 225), (60, 50, 40), 5)
    for number, x in enumerate(range(20, SIZE[0] - 90, 128)):
        house(draw, x, 118, shore, number + 10)
    mirror = image.crop((0, 2 * shore - SIZE[1], SIZE[0], shore)).transpose(
        Image.Transpose.FLIP_TOP_BOTTOM
    )
    water = np.asarray(mirror.filter(ImageFilter.GaussianBlur(3))).astype(float)
    rows = np.arange(water.shape[0])
    shift = (np.sin(rows / 5.0) * (2 + rows / 30)).astype(int)
    water = np.stack([np.roll(line, s, 0) for line, s in zip(water, shift, strict=True)])
    water = water * 0.68 + np.array((38, 72, 102)) * 0.32
    image.paste(Image.fromarray(water.astype(np.uint8)), (0, shore))
    draw = ImageDraw.Draw(image)
    draw.polygon([(250, 950), (560, 950), (500, 1010), (300, 1010)], (110, 50, 32))
    draw.polygon([(400, 690), (400, 935), (540, 935)], (245, 238, 220))
    draw.line((400, 680, 400, 950), (60, 40, 30), 8)
    return image


def ball(
    image: Image.Image, centre: tuple[int, int], radius: int, colour: tuple[int, int, int]
) -> None:
    """A lit sphere with a cast shadow."""
    shadow = Image.new("L", SIZE)
    x, y = centre
    box = (x - radius, y + radius // 2, x + int(radius * 2.1), y + int(radius * 1.15))
    ImageDraw.Draw(shadow).ellipse(box, 130)
    image.paste((40, 24, 20), mask=shadow.filter(ImageFilter.GaussianBlur(18)))
    grid = np.mgrid[-1 : 1 : radius * 2j, -1 : 1 : radius * 2j]
    inside = (grid**2).sum(0) < 1
    depth = np.sqrt(np.clip(1 - (grid**2).sum(0), 0, 1))
    light = np.clip(-0.5 * grid[1] - 0.5 * grid[0] + 0.7 * depth, 0, 1)
    shine = light[:, :, None] ** 30 * 255
    pixels = np.clip(np.array(colour) * (0.25 + 0.85 * light[:, :, None]) + shine, 0, 255)
    sphere = Image.fromarray(pixels.astype(np.uint8))
    mask = Image.fromarray((inside * 255).astype(np.uint8))
    image.paste(sphere, (x - radius, y - radius), mask)


def still_life() -> Image.Image:
    """Fruit in a bowl and a jug on a draped table, lit from the left."""
    ramp = np.linspace(1.15, 0.45, SIZE[0])[None, :, None]
    wall = np.ones((SIZE[1], 1, 1)) * ramp * np.array((120, 108, 84))
    image = Image.fromarray(np.clip(wall, 0, 255).astype(np.uint8))
    x = np.arange(SIZE[0])
    folds = (np.sin(x / 45) + np.sin(x / 19 + 1) * 0.4) * 22
    cloth = np.clip(np.array((205, 196, 182)) * ramp[0] + folds[:, None], 0, 255)
    table = Image.fromarray(np.repeat(cloth[None], 432, 0).astype(np.uint8))
    image.paste(table, (0, 720))
    draw = ImageDraw.Draw(image)
    draw.polygon([(1060, 300), (1200, 300), (1180, 420), (1300, 600), (1270, 860), (1010, 860),
                  (980, 600), (1085, 420)], (52, 88, 122))  # fmt: skip
    draw.polygon([(1040, 620), (1075, 440), (1095, 430), (1080, 640), (1060, 840)], (150, 186, 210))
    draw.arc((1200, 340, 1400, 640), 250, 100, (40, 68, 96), 30)
    for centre, radius, colour in (
        ((480, 590), 120, (198, 52, 40)), ((690, 600), 115, (232, 150, 38)),
        ((590, 500), 108, (150, 176, 60)), ((800, 660), 92, (206, 70, 50)),
        ((390, 670), 88, (236, 176, 50)),
    ):  # fmt: skip
        ball(image, centre, radius, colour)
    draw = ImageDraw.Draw(image)
    draw.pieslice((270, 460, 930, 960), 0, 180, (225, 220, 210))
    draw.pieslice((640, 460, 930, 960), 0, 110, (176, 170, 165))
    draw.line((270, 712, 930, 712), (60, 80, 140), 22)
    rng = np.random.default_rng(5)
    for _ in range(16):
        centre = (int(rng.integers(180, 420)), int(rng.integers(900, 1010)))
        ball(image, centre, 40, (92, 40, 96))
    ball(image, (850, 980), 100, (235, 140, 30))
    return image


def wave() -> Image.Image:
    """A woodblock wave: flat indigo tones, cream foam, dark contours, stripes along the flow."""
    image = Image.new("RGB", SIZE, (236, 222, 188))
    draw = ImageDraw.Draw(image)
    tones = ((190, 200, 190), (112, 148, 170), (44, 84, 128), (20, 44, 84))
    rng = np.random.default_rng(8)
    for layer in range(26):
        base = 120 + layer * 44
        x = np.arange(-60, SIZE[0] + 60, 6)
        phase, length = rng.uniform(0, 6.3), rng.uniform(150, 330)
        swell = 70 * np.abs(np.sin(x / length + phase)) ** 1.6
        y = base - swell + 14 * np.sin(x / 37 + layer)
        outline = [*zip(x.tolist(), y.tolist(), strict=True), (SIZE[0] + 60, 1400), (-60, 1400)]
        draw.polygon(outline, tones[layer % 4])
        for stripe in (14, 26):
            draw.line(list(zip(x.tolist(), (y + stripe).tolist(), strict=True)), (226, 222, 204), 4)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), (12, 24, 48), 7)
        for i in range(0, len(x), 5):
            if swell[i] > 38:
                r = int(rng.integers(9, 24))
                centre = (float(x[i]), float(y[i]) - r * 0.6)
                box = (centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r)
                draw.ellipse(box, (244, 238, 220), (12, 24, 48), 4)
    grain = rng.normal(0, 5, (SIZE[1] // 2, 1, 1)).repeat(SIZE[0], 1).repeat(2, 0)
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def main() -> None:
    """Draws all three, at 768 px."""
    for name, drawn in (
        ("content/lake_town", lake_town()), ("content/still_life", still_life()),
        ("style/wave", wave()),
    ):  # fmt: skip
        path = HERE / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        drawn.resize((768, 576), Image.Resampling.LANCZOS).save(path, quality=88)


if __name__ == "__main__":
    main()
