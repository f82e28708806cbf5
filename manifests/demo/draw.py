"""Draw the demo pictures (two contents, three styles) with numpy and Pillow alone.

Every picture is procedural and seeded, so a run always gives the same files:
a lakeside town, a ray-traced still life, swirling oil paint, stained glass and a
woodblock wave.

    python manifests/demo/draw.py [--out FOLDER] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[Any]
Rgb = tuple[float, float, float]
Point = tuple[float, float]

SCALE = 2
MAX_BYTES = 250_000


# --------------------------------------------------------------------------- toolkit


def noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float], octaves: int = 1
) -> Array:
    """Smooth noise in 0..1 whose features are about `cell` (x, y) pixels large."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cx, cy = (max(c / 2**octave, 1.0) for c in cell)
        grid = (math.ceil(shape[0] / cy) + 3, math.ceil(shape[1] / cx) + 3)
        lattice = Image.fromarray(rng.standard_normal(grid).astype(np.float32))
        box = (1.0, 1.0, 1.0 + shape[1] / cx, 1.0 + shape[0] / cy)
        layer = lattice.resize(shape[::-1], Image.Resampling.BICUBIC, box)
        total += np.asarray(layer) * 0.5**octave
    low, high = np.quantile(total[::4, ::4], [0.005, 0.995])
    return np.clip((total - low) / (high - low), 0, 1)


def blur(image: Array, radius: float) -> Array:
    """Blur by three box passes, close to a Gaussian of sigma `radius`."""
    out = image.astype(np.float32)
    half = max(1, round(radius * 0.87))
    for axis in (0, 1):
        for _ in range(3):
            pad = [(half + 1, half) if a == axis else (0, 0) for a in range(out.ndim)]
            sums = np.cumsum(np.pad(out, pad, mode="edge"), axis=axis, dtype=np.float64)
            n = sums.shape[axis]
            upper = np.take(sums, range(2 * half + 1, n), axis)
            lower = np.take(sums, range(n - 2 * half - 1), axis)
            out = ((upper - lower) / (2 * half + 1)).astype(np.float32)
    return out


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array | Rgb, b: Array | Rgb, t: Array | float) -> Array:
    """Blend colors `a` and `b` with a weight per pixel or a single weight."""
    weight = np.asarray(t, np.float32)
    if weight.ndim:
        weight = weight[..., None]
    return np.asarray(a, np.float32) * (1 - weight) + np.asarray(b, np.float32) * weight


def ramp(t: Array, colors: Sequence[Rgb]) -> Array:
    """Look `t` in 0..1 up on an evenly spaced color ramp."""
    stops = np.linspace(0, 1, len(colors))
    table = np.asarray(colors, np.float32)
    channels = [np.interp(t, stops, table[:, c]) for c in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def relief(height: Array, strength: float) -> Array:
    """Brightness of a surface of that height, lit from the upper left."""
    dy, dx = np.gradient(height)
    return 1 + strength * (dx + dy)


def ink(color: Sequence[float], alpha: float = 1.0) -> tuple[int, int, int, int]:
    """Turn a 0..1 color into the 8-bit RGBA that ImageDraw takes."""
    r, g, b = (round(255 * min(max(float(c), 0.0), 1.0)) for c in color)
    return r, g, b, round(255 * alpha)


def grid(width: int, height: int) -> tuple[Array, Array]:
    """Pixel center coordinates x and y of a picture in supersampled pixels."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


def to_image(rgb: Array) -> Image.Image:
    """Convert 0..1 floats to an 8-bit image."""
    return Image.fromarray((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))


def to_array(image: Image.Image) -> Array:
    """Convert an 8-bit image to 0..1 floats."""
    return np.asarray(image, np.float32) / 255


def spline(points: Sequence[Point], count: int) -> Array:
    """Catmull-Rom curve through `points`, sampled at `count` places."""
    p = np.asarray(points, np.float64)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, len(points) - 1, count)
    i = np.minimum(t.astype(int), len(points) - 2)
    f = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (
        2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * (b - c) + d - a) * f**3
    )


def flat(path: Array) -> list[float]:
    """Flatten an (n, 2) path to the list ImageDraw takes."""
    flattened: list[float] = path.ravel().tolist()
    return flattened


# --------------------------------------------------------------------------- swirls

STARS = (
    (0.12, 0.16, 34), (0.30, 0.10, 22), (0.27, 0.40, 26), (0.47, 0.13, 24), (0.60, 0.30, 20),
    (0.84, 0.17, 62), (0.68, 0.09, 22), (0.93, 0.47, 26), (0.08, 0.46, 24), (0.73, 0.52, 24),
)  # fmt: skip
EDDIES = (
    (0.42, 0.36, 120, 1.0), (0.61, 0.45, 80, -0.9), (0.14, 0.31, 70, -0.7), (0.86, 0.36, 75, 0.7),
    (0.30, 0.60, 60, 0.7), (0.52, 0.64, 48, -0.6), (0.08, 0.62, 52, -0.6),
)  # fmt: skip
NIGHT = (
    (0.02, 0.04, 0.17), (0.04, 0.12, 0.38), (0.09, 0.25, 0.58),
    (0.24, 0.48, 0.76), (0.52, 0.74, 0.84), (0.86, 0.90, 0.78),
)  # fmt: skip
FIRE = ((0.99, 0.96, 0.72), (1.0, 0.85, 0.26), (0.97, 0.60, 0.10), (0.80, 0.38, 0.10))
LAND = ((0.02, 0.06, 0.12), (0.05, 0.20, 0.24), (0.16, 0.38, 0.28), (0.55, 0.58, 0.20))


def hill_line(x: Array, width: int, height: int) -> Array:
    """Height of the ground under the night sky at each x."""
    u = x / width
    return height * (0.80 - 0.07 * np.sin(4.2 * u + 0.4) - 0.035 * np.sin(11 * u + 1.0))


def swirl_flow(x: Array, y: Array, width: int, height: int) -> tuple[Array, Array]:
    """Direction of the strokes: a drifting wind, eddies, and rings around the stars."""
    u, v = np.full_like(x, 1.0), 0.45 * np.sin(x / width * 7 + 1) + 0 * y
    for cx, cy, radius, spin in EDDIES:
        dx, dy = x - cx * width, y - cy * height
        pull = 6.0 * spin * np.exp(-(dx * dx + dy * dy) / (2 * (SCALE * radius * 0.8) ** 2))
        reach = np.hypot(dx, dy) + SCALE * 6
        u, v = u - pull * (dy + 0.16 * dx) / reach, v + pull * (dx - 0.16 * dy) / reach
    for cx, cy, radius in STARS:
        dx, dy = x - cx * width, y - cy * height
        pull = 9.0 * np.exp(-(dx * dx + dy * dy) / (2 * (SCALE * radius * 1.1) ** 2))
        reach = np.hypot(dx, dy) + 1
        u, v = u - pull * dy / reach, v + pull * dx / reach
    return u, v


def land_flow(x: Array, y: Array, width: int, height: int) -> tuple[Array, Array]:
    """Direction of the strokes on the ground: furrows that roll with the hills."""
    slope = np.gradient(hill_line(x, width, height), axis=1) / np.gradient(x, axis=1)
    depth = (y - hill_line(x, width, height)) / height
    return np.ones_like(x), slope * 1.4 + 0.9 * np.sin(9 * x / width + 16 * depth)


def swirl_colors(rng: np.random.Generator, x: Array, y: Array, size: tuple[int, int]) -> Array:
    """Color under each point: ribbons of blue, glowing stars, dark rolling land."""
    width, height = size
    phase = 2.4 * noise(rng, x.shape, (90, 60), 2)
    for cx, cy, radius, spin in EDDIES:
        dx, dy = x - cx * width, y - cy * height
        r = np.hypot(dx, dy) / (SCALE * radius)
        phase += spin * np.exp(-r * r * 0.6) * (np.arctan2(dy, dx) * spin + 5.2 * r)
    tone = 0.36 + 0.30 * np.sin(2.6 * phase + 2.2 * y / height) + 0.24 * (y / height - 0.4)
    sky = ramp(np.clip(tone, 0, 1), NIGHT)
    for cx, cy, radius in STARS:
        r = np.hypot(x - cx * width, y - cy * height) / (SCALE * radius)
        ring = 0.10 * np.sin(r * 9.5)
        glow = np.exp(-((r * 0.62) ** 2.4)) * (0.93 + ring)
        sky = mix(sky, ramp(np.clip(r * 0.52 + ring, 0, 1), FIRE), np.clip(glow * 1.2, 0, 1))
    depth = (y - hill_line(x, width, height)) / height
    furrow = 0.42 + 0.40 * np.sin(9 * x / width + 46 * depth + 3 * noise(rng, x.shape, (70, 50)))
    return mix(sky, ramp(furrow - 0.9 * np.exp(-depth * 40), LAND), (depth > 0).astype(np.float32))


def trace(starts: Array, flow: Array, steps: int, stride: float) -> Array:
    """Follow the flow from every start at once: paths of shape (n, steps, 2)."""
    cell, (rows, cols) = 4 * SCALE, flow.shape[:2]
    points, paths = starts.astype(np.float64), []
    for _ in range(steps):
        paths.append(points)
        column = np.clip(points[:, 0] / cell, 0, cols - 1).astype(int)
        row = np.clip(points[:, 1] / cell, 0, rows - 1).astype(int)
        points = points + stride * flow[row, column]
    return np.stack(paths, 1)


def brush(
    draws: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw],
    rng: np.random.Generator,
    path: Array,
    color: Array,
    width: float,
) -> None:
    """Lay one stroke, bristle by bristle, on the color and on the paint height."""
    tangent = np.gradient(path, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
    count = max(5, int(width / 2.6))
    load = np.cumsum(rng.normal(0, 0.028, (count, 3)), 0) + rng.normal(0, 0.028, (count, 1))
    rim = np.abs(np.linspace(-1, 1, count)) > 0.8
    ridge = rng.uniform(0.30, 0.9, count) + np.where(rim, 0.3, 0)
    arch = np.sin(np.linspace(0.25, math.pi - 0.12, len(path)))[:, None] ** 0.4
    for i in rng.permutation(count):
        side = (i + 0.5) / count - 0.5
        first = int(rng.integers(0, 3) + 3 * side * side * 4)
        last = len(path) - int(rng.integers(0, 4) + 2 * side * side * 4)
        bristle = flat((path + normal * side * width * arch)[first:last])
        line = max(2, round(width / count * 1.7))
        draws[0].line(bristle, ink(color + load[i] - load.mean(0)), line)
        draws[1].line(bristle, round(255 * min(ridge[i], 1.0)), line)


def swirl_field(size: tuple[int, int]) -> Array:
    """Unit stroke directions on a coarse grid."""
    width, height = size
    y, x = np.mgrid[0 : height : 4 * SCALE, 0 : width : 4 * SCALE].astype(np.float32)
    sky, land = swirl_flow(x, y, width, height), land_flow(x, y, width, height)
    ground = y > hill_line(x, width, height)
    field = np.stack([np.where(ground, b, a) for a, b in zip(sky, land, strict=True)], -1)
    return field / (np.linalg.norm(field, axis=-1, keepdims=True) + 1e-6)


def jittered(rng: np.random.Generator, size: tuple[int, int], spacing: float) -> Array:
    """Shuffled points that cover the picture evenly, a little beyond its edges."""
    xs = np.arange(-spacing, size[0] + spacing, spacing)
    ys = np.arange(-spacing, size[1] + spacing, spacing)
    points = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
    points = points + rng.uniform(-0.6, 0.6, points.shape) * spacing
    return rng.permutation(points)


def draw_swirls(rng: np.random.Generator) -> Array:
    """Night sky in thick, swirling strokes of oil, painted large to small."""
    size = (768 * SCALE, 608 * SCALE)
    x, y = grid(*size)
    colors, flow = swirl_colors(rng, x, y, size), swirl_field(size)
    paint, height = to_image(blur(colors, 12) * 0.6), Image.new("L", size, 90)
    draws = (ImageDraw.Draw(paint), ImageDraw.Draw(height))
    for width, spacing, length in ((26, 24, 110), (18, 13, 90), (12, 10.5, 66), (8, 11, 44)):
        paths = trace(jittered(rng, size, spacing * SCALE), flow, 18, length * SCALE / 18)
        for path in paths:
            center = path[9].astype(int)
            column, row = np.clip(center, 0, np.array(size) - 1)
            color = colors[row, column] + rng.normal(0, 0.035, 3) + rng.normal(0, 0.045)
            brush(draws, rng, path, color, width * SCALE * rng.uniform(0.75, 1.2))
    light = relief(blur(to_array(height), 1.0), 1.5)
    shine = np.clip(light - 1.18, 0, 1)[..., None] * 0.5
    return to_array(paint) * np.clip(light, 0.45, 1.5)[..., None] + shine


# --------------------------------------------------------------------------- stained glass

RUBY, AMBER, GOLD = (0.72, 0.03, 0.07), (0.95, 0.50, 0.05), (0.99, 0.80, 0.20)
COBALT, AZURE, TEAL = (0.04, 0.12, 0.62), (0.10, 0.42, 0.86), (0.02, 0.50, 0.52)
GREEN, LIME, VIOLET = (0.03, 0.42, 0.16), (0.52, 0.72, 0.14), (0.36, 0.08, 0.52)
ROSE, PEARL = (0.90, 0.28, 0.42), (0.90, 0.88, 0.74)


@dataclass
class Glazing:
    """The window under construction: a cell number per pixel, a color per cell."""

    cells: Array
    colors: list[Rgb]

    def add(self, where: Array, index: Array, palette: Callable[[int], Rgb]) -> None:
        """Cut new cells, numbered from 0 by `index`, into the region `where`."""
        first, count = len(self.colors), int(index[where].max()) + 1
        self.cells[where] = first + index[where]
        self.colors.extend(palette(i) for i in range(count))


def nearest_seed(points: Array, x: Array, y: Array) -> Array:
    """Number of the closest seed for every pixel (a Voronoi partition)."""
    best, owner = np.full(x.shape, np.inf, np.float32), np.zeros(x.shape, np.int32)
    for i, (px, py) in enumerate(points):
        reach = 190
        rows = slice(max(0, int(py) - reach), max(0, int(py) + reach))
        cols = slice(max(0, int(px) - reach), max(0, int(px) + reach))
        distance = (x[rows, cols] - px) ** 2 + (y[rows, cols] - py) ** 2
        closer = distance < best[rows, cols]
        best[rows, cols][closer] = distance[closer]
        owner[rows, cols][closer] = i
    return owner


def glass_ground(rng: np.random.Generator, x: Array, y: Array) -> Glazing:
    """Irregular curved panes of blue and violet behind the ornament."""
    side = x.shape[0]
    warp = [40 * (noise(rng, x.shape, (170, 170)) - 0.5) for _ in range(2)]
    points = jittered(rng, (side, side), 92)
    owner = nearest_seed(points, x + warp[0], y + warp[1])
    cool = (COBALT, COBALT, AZURE, TEAL, VIOLET, COBALT, AZURE)
    glazing = Glazing(np.zeros(x.shape, np.int32), [])
    picks = rng.integers(0, len(cool), len(points))
    glazing.add(np.ones(x.shape, bool), owner, lambda i: cool[picks[i]])
    return glazing


def add_vine(glazing: Glazing, x: Array, y: Array, offset: float, flip: float) -> None:
    """A winding green band, cut across into short panes."""
    side = x.shape[0]
    middle = side * (0.5 + flip * (offset + 0.085 * np.sin(y / side * 2 * math.pi * 2)))
    across = np.abs(x - middle)
    index = (y / 74).astype(np.int32)
    shades = (GREEN, LIME, GREEN, TEAL, LIME)
    glazing.add(across < 26, index, lambda i: shades[i % 5])


def add_rose(
    glazing: Glazing, x: Array, y: Array, place: tuple[float, float, float], petals: int
) -> None:
    """A flower medallion: an eye, rings of scalloped petals, and a pearl rim."""
    cx, cy, radius = place
    dx, dy = x - cx, y - cy
    r, angle = np.hypot(dx, dy) / radius, np.arctan2(dy, dx)
    wedge = angle / (2 * math.pi) * petals + petals
    scallop = np.abs(np.cos(wedge * math.pi))
    rings = (
        (1.16, petals * 2, 0.0, 0.0, (PEARL, AZURE)),
        (1.00, petals, 0.16, 0.0, (RUBY, ROSE)),
        (0.66, petals, 0.20, 0.5, (AMBER, GOLD)),
        (0.36, petals, 0.0, 0.0, (VIOLET, RUBY)),
        (0.17, 1, 0.0, 0.0, (GOLD, GOLD)),
    )
    for reach, count, depth, shift, pair in rings:
        bulge = scallop if shift else np.abs(np.sin(wedge * math.pi))
        index = ((wedge / petals + shift / petals) * count).astype(np.int32) % count
        glazing.add(r < reach * (1 - depth * (1 - bulge)), index, lambda i, p=pair: p[i % 2])


def add_border(glazing: Glazing, x: Array, y: Array) -> None:
    """A frame of small alternating panes."""
    side = x.shape[0]
    edge = np.minimum(np.minimum(x, side - x), np.minimum(y, side - y))
    along = np.where(np.minimum(x, side - x) < np.minimum(y, side - y), y, x)
    turn = np.where(np.minimum(x, side - x) < np.minimum(y, side - y), 0, 16) + np.where(
        x + y > side, 32, 0
    )
    index = (along / side * 16).astype(np.int32) + turn
    glazing.add(edge < 56, index, lambda i: (RUBY, GOLD, GREEN, GOLD)[i % 4])


def pane_light(rng: np.random.Generator, cells: Array, x: Array, y: Array) -> Array:
    """Brightness inside the panes: a slope of light in each, streaks, and bubbles."""
    size = np.maximum(np.bincount(cells.ravel()), 1)
    cx = (np.bincount(cells.ravel(), x.ravel()) / size).astype(np.float32)
    cy = (np.bincount(cells.ravel(), y.ravel()) / size).astype(np.float32)
    turn = rng.uniform(0, 2 * math.pi, len(size))
    extent = np.sqrt(size).astype(np.float32)
    slope = (x - cx[cells]) * np.cos(turn)[cells] + (y - cy[cells]) * np.sin(turn)[cells]
    streaks = [noise(rng, x.shape, cell, 3) for cell in ((120, 18), (18, 120), (40, 40))]
    texture = np.choose(rng.integers(0, 3, len(size))[cells], streaks)
    base = rng.uniform(0.72, 1.2, len(size))[cells]
    return base * (1 + 0.55 * slope / extent[cells]) * (0.55 + 0.85 * texture)


def draw_stained_glass(rng: np.random.Generator) -> Array:
    """A leaded window of jewel-colored panes around flower medallions."""
    side = 768 * SCALE
    x, y = grid(side, side)
    glazing = glass_ground(rng, x, y)
    for offset, flip in ((0.27, 1.0), (0.27, -1.0)):
        add_vine(glazing, x, y, offset, flip)
    for u, v, radius, petals in (
        (0.5, 0.5, 330, 12), (0.17, 0.17, 150, 8), (0.83, 0.17, 150, 8), (0.17, 0.83, 150, 8),
        (0.83, 0.83, 150, 8), (0.5, 0.14, 105, 6), (0.5, 0.86, 105, 6), (0.12, 0.5, 105, 6),
        (0.88, 0.5, 105, 6),
    ):  # fmt: skip
        add_rose(glazing, x, y, (u * side, v * side, radius), petals)
    add_border(glazing, x, y)
    cells = glazing.cells
    color = np.asarray(glazing.colors, np.float32)
    color = np.clip(color + rng.normal(0, 0.035, color.shape), 0, 1).astype(np.float32)[cells]
    return lead(color, cells, pane_light(rng, cells, x, y))


def lead(color: Array, cells: Array, light: Array) -> Array:
    """Light the panes and lay rounded lead cames along every joint."""
    joint = np.zeros(cells.shape, np.float32)
    joint[:, 1:] = cells[:, 1:] != cells[:, :-1]
    joint[1:] = np.maximum(joint[1:], cells[1:] != cells[:-1])
    near = blur(joint, 3.4)
    came = smoothstep(0.055, 0.085, near)
    patina = np.clip(blur(joint, 11) * 5.5, 0, 1)
    glass = color * (light * (1.12 - 0.5 * patina))[..., None]
    glass = glass + 0.35 * np.clip(light - 1.05, 0, 1)[..., None] * (0.3 + color)
    round_metal = np.clip(relief(blur(near, 1.5), 16), 0.2, 2.2) * 0.11 + 0.015
    metal = round_metal[..., None] * np.array([0.92, 0.98, 1.08], np.float32)
    return mix(glass, metal, came)


# --------------------------------------------------------------------------- wave

PAPER, FOAM, SUN = (0.93, 0.85, 0.66), (0.97, 0.94, 0.84), (0.83, 0.30, 0.17)
INK, PRUSSIAN, MID = (0.05, 0.08, 0.19), (0.07, 0.18, 0.42), (0.20, 0.40, 0.62)
PALE, SAND = (0.58, 0.72, 0.76), (0.86, 0.72, 0.47)

OUTER = (
    (-150, 640), (-60, 480), (-10, 350), (50, 225), (130, 125), (225, 72), (320, 72),
    (395, 112), (432, 172), (434, 225),
)  # fmt: skip
INNER = (
    (700, 650), (560, 590), (420, 560), (310, 505), (245, 425), (222, 335), (240, 250),
    (292, 192), (350, 176), (400, 192), (434, 225),
)  # fmt: skip
BANDS = (
    (0.00, PRUSSIAN), (0.12, FOAM), (0.145, PRUSSIAN), (0.17, MID), (0.26, PALE), (0.29, PRUSSIAN),
    (0.40, FOAM), (0.43, MID), (0.50, PRUSSIAN), (0.58, PALE), (0.61, PRUSSIAN), (0.69, FOAM),
    (0.715, MID), (0.78, PRUSSIAN), (0.85, PALE), (0.875, PRUSSIAN), (0.94, FOAM), (0.965, MID),
)  # fmt: skip


@dataclass
class Print:
    """A sheet being printed: drawing in 768 px units, with contour lines in ink."""

    draw: ImageDraw.ImageDraw
    scale: float
    line: float = 2.2

    def fill(self, path: Array, color: Rgb) -> None:
        """Print a flat shape."""
        self.draw.polygon(flat(path * self.scale), fill=ink(color))

    def stroke(self, path: Array, color: Rgb = INK, width: float = 0.0) -> None:
        """Print a line of the given or the usual width."""
        thick = max(1, round((width or self.line) * self.scale))
        self.draw.line(flat(path * self.scale), fill=ink(color), width=thick, joint="curve")

    def disc(self, x: float, y: float, radius: float, color: Rgb) -> None:
        """Print a disc."""
        box = [(x - radius), (y - radius), (x + radius), (y + radius)]
        self.draw.ellipse([v * self.scale for v in box], fill=ink(color))


def claw(start: Point, heading: float, length: float, bend: float, depth: int) -> list[Array]:
    """A hooked finger of foam with smaller fingers on it: polygons, largest first."""
    s = np.linspace(0, 1, 16)
    angle = heading + bend * s**1.3
    step = np.stack([np.cos(angle), np.sin(angle)], 1) * length / 15
    spine = np.asarray(start) + np.vstack([np.zeros((1, 2)), np.cumsum(step, 0)[:-1]])
    width = length * (0.055 + 0.065 * np.sin(2.6 * s + 0.6)) * (1 - s**3) ** 0.8
    side = np.stack([-np.sin(angle), np.cos(angle)], 1) * width[:, None]
    shapes = [np.vstack([spine + side, (spine - side)[::-1]])]
    if depth:
        for place, turn, part in ((4, -0.9, 0.50), (8, -0.75, 0.54), (7, 0.9, 0.42)):
            root = (float(spine[place, 0]), float(spine[place, 1]))
            lean = math.copysign(1, bend) * turn
            shapes += claw(root, angle[place] + lean, length * part, bend * 1.15, depth - 1)
    return shapes


def print_claw(sheet: Print, shapes: Sequence[Array]) -> None:
    """Print one finger: contour first, then the cream, then a blue accent inside."""
    for shape in shapes:
        sheet.stroke(np.vstack([shape, shape[:2]]), INK, sheet.line * 1.9)
    for shape in shapes:
        sheet.fill(shape, FOAM)
    for shape in shapes:
        half = len(shape) // 2
        accent = 0.72 * shape[1 : half - 5] + 0.28 * shape[::-1][1 : half - 5]
        sheet.stroke(accent, PALE, sheet.line * 0.9)


def print_bubbles(sheet: Print, centers: Array, radii: Array, tones: Sequence[Rgb]) -> None:
    """Print overlapping discs with concentric rings, as one contoured mass per disc."""
    for (x, y), radius in zip(centers.tolist(), radii.tolist(), strict=True):
        sheet.disc(x, y, radius + sheet.line * 0.8, INK)
        for i, tone in enumerate(tones):
            sheet.disc(x, y, radius * (1 - i / len(tones)), tone)


def placed(points: Sequence[Point], place: tuple[float, float, float, float], n: int) -> Array:
    """Control points, moved to (x, y), scaled and stretched sideways, as a curve."""
    x, y, scale, stretch = place
    return spline(points, n) * np.array([scale * stretch, scale]) + np.array([x, y])


def print_body(sheet: Print, outer: Array, inner: Array) -> None:
    """Print the wave's body as stripes that run up its face and close at the tip."""
    sheet.stroke(outer, INK, sheet.line * 2.4)
    edges = [a for a, _ in BANDS] + [1.0]
    for (a, color), b in zip(BANDS, edges[1:], strict=True):
        left, right = outer + (inner - outer) * a, outer + (inner - outer) * b
        sheet.fill(np.vstack([left, right[::-1]]), color)
    for (a, color), b in zip(BANDS, edges[1:], strict=True):
        if color == PRUSSIAN and b - a > 0.05:
            for part in (0.25, 0.5, 0.75):
                line = outer + (inner - outer) * (a + (b - a) * part)
                sheet.stroke(line[: 150 - int(60 * part)], MID, sheet.line * 0.5)
    for a in edges:
        sheet.stroke(outer + (inner - outer) * a, INK, sheet.line * 0.8)
    sheet.stroke(inner, INK, sheet.line * 1.5)


def print_crest(
    sheet: Print, rng: np.random.Generator, outer: Array, inner: Array, size: float
) -> None:
    """Print the foam: a scalloped cap along the lip with claws outside and inside."""
    n, flip = len(outer), math.copysign(1, float(inner[0, 0] - outer[0, 0]))
    tangent = np.gradient(outer, axis=0)
    heading = np.arctan2(tangent[:, 1], tangent[:, 0])
    for i in np.linspace(0.36, 0.96, 17) * (n - 1):
        k = int(i)
        out = heading[k] - flip * rng.uniform(0.7, 1.2)
        length = size * rng.uniform(38, 62)
        print_claw(sheet, claw(tuple(outer[k]), out, length, flip * 1.7, 2))
    rim = outer + (inner - outer) * 0.13
    for row, keep in ((0.17, 0.34), (0.06, 0.38)):
        index = (np.linspace(keep, 0.985, 30) * (n - 1)).astype(int)
        line = (outer + (inner - outer) * row)[index]
        radii = size * rng.uniform(8, 14, 30)
        print_bubbles(sheet, line, radii, (FOAM, FOAM, PALE, FOAM))
    for i in np.linspace(0.40, 1.0, 19) * (n - 1):
        k = int(i)
        down = heading[k] + flip * rng.uniform(0.55, 0.95)
        length = size * rng.uniform(46, 82)
        print_claw(sheet, claw(tuple(rim[k]), down, length, flip * 1.6, 2))


def print_wave(
    sheet: Print, rng: np.random.Generator, place: tuple[float, float, float, float]
) -> None:
    """Print one breaking wave; a negative stretch makes it break to the left."""
    outer, inner = placed(OUTER, place, 160), placed(INNER, place, 160)
    print_body(sheet, outer, inner)
    print_crest(sheet, rng, outer, inner, place[2])


def print_puff(sheet: Print, x: float, y: float, radius: float) -> None:
    """Print one round of a scroll cloud: crescents that close into a curl."""
    tones = (FOAM, PALE, FOAM, SAND)
    sheet.disc(x, y, radius + 2, INK)
    for i, tone in enumerate(tones):
        slip = 0.16 * radius * i
        sheet.disc(x + slip * 0.7, y + slip, radius * (1 - 0.23 * i) - 1.2, INK)
        sheet.disc(x + slip * 0.7, y + slip, radius * (1 - 0.23 * i) - 2.2 * (i > 0), tone)


def print_clouds(sheet: Print, rng: np.random.Generator, width: float) -> None:
    """Print drifts of scroll clouds and wind bars over the sky, clear of the sun."""
    for row, y in enumerate((22, 84, 140, 200, 252)):
        for x in np.arange(-40 + 80 * (row % 2), width + 60, 160):
            cx, cy = x + rng.uniform(-20, 20), y + rng.uniform(-8, 8)
            if math.hypot(cx - 625, cy - 140) < 105:
                continue
            for lift in range(4):
                reach, slide = rng.uniform(45, 105), rng.uniform(-30, 30)
                bar = np.array([[cx + slide - reach, cy], [cx + slide + reach, cy]])
                bar += np.array([0, 8.0 * lift - 2])
                sheet.stroke(bar, INK, 8.4)
                sheet.stroke(bar, (PALE, FOAM, SAND, PALE)[lift], 6.2)
            for dx, dy in ((-38, 2), (38, 4), (-16, -13), (16, -10), (0, 4)):
                print_puff(sheet, cx + dx, cy + dy, rng.uniform(14, 23))


def print_swell(sheet: Print, width: float, height: float) -> None:
    """Print the sea behind the waves: overlapping swells with stripes along them."""
    x = np.linspace(-10, width + 10, 240)
    tones = (PALE, PRUSSIAN, MID, FOAM, PRUSSIAN, MID, PALE, PRUSSIAN, MID)
    for i in range(26):
        depth = i / 25
        y = (
            300
            + 270 * depth**1.25
            + (5 + 22 * depth) * np.abs(np.sin(x / (34 + 60 * depth) + 1.9 * i)) * -1
        )
        line = np.stack([x, y], 1)
        sheet.fill(np.vstack([line, [[width + 10, height + 9], [-10, height + 9]]]), tones[i % 9])
        sheet.stroke(line, INK, 1.7)


def print_spray(sheet: Print, rng: np.random.Generator, count: int) -> None:
    """Scatter drops around the great wave's lip."""
    for _ in range(count):
        angle, far = rng.uniform(-2.6, 1.2), rng.uniform(0.55, 1.5)
        x, y = 330 + 210 * far * math.cos(angle), 205 + 165 * far * math.sin(angle)
        radius = rng.uniform(1.4, 4.2)
        sheet.disc(x, y, radius + 1.3, INK)
        sheet.disc(x, y, radius, FOAM)


def wood_grain(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Array:
    """Brightness of the block's grain: long wavy year rings, pores, and uneven rubbing."""
    y = np.mgrid[0 : shape[0], 0 : shape[1]][0].astype(np.float32) / scale
    warp = noise(rng, shape, (420 * scale, 60 * scale), 2)
    rings = 0.5 + 0.5 * np.sin(y * 0.42 + 46 * warp)
    pores = noise(rng, shape, (26 * scale, 1.2 * scale))
    rubbing = noise(rng, shape, (60 * scale, 40 * scale), 3)
    return 1 - 0.10 * rings**3 - 0.09 * pores**2 - 0.12 * (rubbing - 0.5)


def draw_wave(rng: np.random.Generator) -> Array:
    """A great wave with clawed foam, cut as a color woodblock print."""
    scale, width, height = 3, 768, 576
    y = np.linspace(0, 1, height * scale)[:, None] + np.zeros((1, width * scale))
    image = to_image(ramp(np.clip(y * 1.8, 0, 1), (SAND, PAPER, FOAM, PAPER)))
    sheet = Print(ImageDraw.Draw(image), scale)
    sheet.disc(625, 140, 74, INK)
    sheet.disc(625, 140, 71.5, SUN)
    print_clouds(sheet, rng, width)
    print_swell(sheet, width, height)
    for place in ((440, 268, 0.5, 1.0), (830, 235, 0.55, -1.0)):
        print_wave(sheet, rng, place)
    print_wave(sheet, rng, (10, 0, 1.0, 1.0))
    print_spray(sheet, rng, 90)
    for place in (
        (300, 345, 0.42, 1.0), (530, 350, 0.44, 1.0), (-30, 385, 0.44, 1.0), (790, 372, 0.4, -1.0),
        (150, 418, 0.38, 1.0), (400, 425, 0.36, 1.0), (610, 440, 0.34, 1.0),
    ):  # fmt: skip
        print_wave(sheet, rng, place)
    grain = wood_grain(rng, (height * scale, width * scale), scale)
    return to_array(image) * grain[..., None]


# --------------------------------------------------------------------------- still life

EYE = np.array([0.0, 3.3, 9.6], np.float32)
LOOK = np.array([0.0, 0.72, 0.0], np.float32)
WINDOW = np.array([-6.5, 6.6, 4.6], np.float32)
WINDOW_U = np.array([0.58, 0.0, 0.81], np.float32)
WINDOW_V = np.array([0.45, 0.79, -0.32], np.float32)
TABLE_EDGE, WALL = 2.35, -3.4
SUNLIGHT, SKYLIGHT, BOUNCE = (1.62, 1.42, 1.12), (0.24, 0.28, 0.36), (0.30, 0.23, 0.16)

Surface = Callable[[Array, Array], tuple[Array, Array]]


@dataclass
class Solid:
    """A traced object: a signed distance in local space, and how its surface looks.

    `surface` maps local points and normals to colors and (possibly bumped) normals.
    """

    center: Array
    radius: float
    distance: Callable[[Array], Array]
    surface: Surface
    gloss: float = 0.35
    veil: float = 0.0


def unit(v: Array) -> Array:
    """Normalize vectors along the last axis."""
    scaled: Array = v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-9)
    return scaled


def dots(p: Array, scale: float, seed: int) -> Array:
    """Solid noise in 0..1 from a few warped sine waves; cheap and seamless."""
    rng = np.random.default_rng(seed)
    total = np.zeros(p.shape[:-1], np.float32)
    for octave in range(4):
        for _ in range(3):
            wave = (rng.normal(0, scale * 1.9**octave, 3)).astype(np.float32)
            total += np.sin(p @ wave + rng.uniform(0, 6) + total) * 0.6**octave
    return np.clip(0.5 + total * 0.16, 0, 1)


def sphere(radius: float) -> Callable[[Array], Array]:
    """Distance to a ball."""
    return lambda p: np.linalg.norm(p, axis=-1) - radius


def apple_shape(radius: float) -> Callable[[Array], Array]:
    """Distance to an apple: a ball with a dimple at both ends, narrower below, and a stem."""

    def distance(p: Array) -> Array:
        flat_r = np.hypot(p[..., 0], p[..., 2]) / radius
        y = p[..., 1] / radius
        ring = np.hypot(flat_r - 0.40, y * 0.86 + 0.05 * flat_r) - 0.64 - 0.05 * y
        stem = np.hypot(flat_r - 0.10 * np.maximum(y - 0.4, 0), 0) - 0.045
        stem = np.maximum(stem, np.maximum(0.25 - y, y - 0.86))
        return np.minimum(ring * 0.85, stem * 0.9) * radius

    return distance


def pear_shape(radius: float, tilt: float) -> Callable[[Array], Array]:
    """Distance to a pear: two balls blended, leaning by `tilt`, with a stem."""

    def distance(p: Array) -> Array:
        x = p[..., 0] - tilt * np.maximum(p[..., 1], 0)
        q = np.stack([x, p[..., 1], p[..., 2]], -1) / radius
        low = np.linalg.norm(q, axis=-1) - 1.0
        high = np.linalg.norm(q - np.array([0, 1.12, 0], np.float32), axis=-1) - 0.52
        h = np.clip(0.5 + 0.5 * (high - low) / 0.75, 0, 1)
        body = high * (1 - h) + low * h - 0.75 * h * (1 - h)
        stem = np.hypot(q[..., 0] - 0.15 * (q[..., 1] - 1.6), q[..., 2]) - 0.05
        stem = np.maximum(stem, np.abs(q[..., 1] - 1.75) - 0.28)
        return np.minimum(body, stem) * radius * 0.85

    return distance


def turned(profile: Sequence[Point], wall: float) -> Callable[[Array], Array]:
    """Distance to a vessel turned on a wheel: its profile is a (radius, height) curve."""
    points = spline(profile, 40).astype(np.float32)

    def distance(p: Array) -> Array:
        flat_r, y = np.hypot(p[..., 0], p[..., 2]), p[..., 1]
        best = np.full(flat_r.shape, np.inf, np.float32)
        for (ax, ay), (bx, by) in zip(points[:-1].tolist(), points[1:].tolist(), strict=True):
            ex, ey = bx - ax, by - ay
            t = ((flat_r - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey + 1e-9)
            t = np.clip(t, 0, 1)
            best = np.minimum(best, (flat_r - ax - t * ex) ** 2 + (y - ay - t * ey) ** 2)
        return np.sqrt(best) - wall

    return distance


def jug_shape() -> Callable[[Array], Array]:
    """Distance to a bellied jug with a handle."""
    pot = turned(
        ((0.0, 0.05), (0.55, 0.06), (0.86, 0.55), (0.88, 1.0), (0.52, 1.62), (0.46, 1.9),
         (0.62, 2.25)),
        0.05,
    )  # fmt: skip

    def distance(p: Array) -> Array:
        x, y = p[..., 0] + 0.66, (p[..., 1] - 1.52) * 0.86
        handle = np.hypot(np.hypot(x, y) - 0.50, p[..., 2]) - 0.095
        lip = np.stack([p[..., 0] - 0.22 * smoothstep(1.8, 2.3, p[..., 1]), *p.T[1:]], -1)
        return np.minimum(pot(lip), np.maximum(handle, p[..., 0] + 0.40)) * 0.85

    return distance


def apple_skin(blush: Rgb, ground: Rgb, seed: int) -> Surface:
    """Streaked, speckled apple skin: blush on one side, ground color near the stem."""

    def surface(p: Array, n: Array) -> tuple[Array, Array]:
        angle = np.arctan2(p[..., 2], p[..., 0])
        streak = dots(np.stack([np.cos(angle) * 3, np.sin(angle) * 3, p[..., 1]], -1), 2.6, seed)
        patch = dots(p, 1.5, seed + 1) + 0.5 * n[..., 0] * np.sin(seed) - 0.55 * (n[..., 1] > 0.94)
        color = mix(ground, blush, smoothstep(0.12, 0.62, patch * 0.55 + streak * 0.45))
        color = mix(color, ground, 0.5 * smoothstep(0.86, 0.95, dots(p, 34, seed + 2)))
        woody = (np.hypot(p[..., 0], p[..., 2]) < 0.05) & (p[..., 1] > 0.16)
        return mix(color, (0.20, 0.12, 0.06), woody.astype(np.float32)), n

    return surface


def pear_skin(seed: int, radius: float) -> Surface:
    """Yellow-green pear skin with a warm cheek and brown freckles."""

    def surface(p: Array, n: Array) -> tuple[Array, Array]:
        green, gold, cheek = (0.50, 0.55, 0.10), (0.82, 0.66, 0.15), (0.75, 0.33, 0.10)
        color = mix(green, gold, smoothstep(0.3, 0.7, dots(p, 1.3, seed)))
        color = mix(color, cheek, 0.7 * smoothstep(0.1, 0.9, n[..., 0]))
        color = mix(color, (0.36, 0.26, 0.08), 0.45 * smoothstep(0.74, 0.9, dots(p, 34, seed)))
        return mix(color, (0.22, 0.14, 0.07), smoothstep(1.5, 1.56, p[..., 1] / radius)), n

    return surface


def orange_skin(seed: int) -> Surface:
    """Pitted orange peel."""

    def surface(p: Array, n: Array) -> tuple[Array, Array]:
        pits = np.stack([dots(p, 16, seed + k) for k in range(3)], -1) - 0.5
        color = mix((0.98, 0.45, 0.03), (0.90, 0.33, 0.02), dots(p, 2.5, seed))
        navel = smoothstep(0.975, 0.99, n @ unit(np.array([0.5, 0.75, 0.5], np.float32)))
        return mix(color, (0.35, 0.38, 0.10), navel), unit(n + 0.16 * pits)

    return surface


def grape_skin(seed: int) -> Surface:
    """Dark grape skin with a dusty bloom."""

    def surface(p: Array, n: Array) -> tuple[Array, Array]:
        dark = ((0.20, 0.03, 0.13), (0.27, 0.04, 0.12), (0.13, 0.03, 0.17))[seed % 3]
        return mix(dark, (0.42, 0.38, 0.55), 0.42 * smoothstep(0.35, 0.9, dots(p, 7, seed))), n

    return surface


def glaze(body: Rgb, band: Rgb, rings: Sequence[Point]) -> Surface:
    """Glazed ware with painted rings between pairs of heights."""

    def surface(p: Array, n: Array) -> tuple[Array, Array]:
        y = p[..., 1] + 0.012 * (dots(p, 6, 3) - 0.5)
        color = mix(body, (0.70, 0.62, 0.50), 0.25 * dots(p, 2.0, 5))
        for low, high in rings:
            inside = smoothstep(low - 0.012, low + 0.012, y) * smoothstep(
                high + 0.012, high - 0.012, y
            )
            color = mix(color, band, 0.9 * inside)
        return color, n

    return surface


def bottle_glass(p: Array, n: Array) -> tuple[Array, Array]:
    """Dark green glass with a wax cap and a paper label."""
    rim = smoothstep(0.35, 1.0, np.abs(n[..., 0]))
    color = mix((0.012, 0.045, 0.022), (0.10, 0.30, 0.09), rim * (p[..., 1] < 2.1))
    label = (p[..., 1] > 0.62) & (p[..., 1] < 1.42)
    paper = mix((0.80, 0.72, 0.55), (0.66, 0.55, 0.38), dots(p, 3, 9))
    frame = (np.abs(np.abs(p[..., 1] - 1.02) - 0.31) < 0.02) & label
    paper = mix(paper, (0.45, 0.10, 0.08), frame.astype(np.float32))
    color = mix(color, paper, label.astype(np.float32))
    return mix(color, (0.42, 0.05, 0.05), smoothstep(2.98, 3.0, p[..., 1])), n


def at(x: float, y: float, z: float) -> Array:
    """A point in the scene."""
    return np.array([x, y, z], np.float32)


def grape_bunch(rng: np.random.Generator) -> list[Solid]:
    """A bunch of grapes lying on the cloth, piled in a tapering heap."""
    grapes: list[Solid] = []
    for layer, (count, y) in enumerate(((22, 0.19), (14, 0.46), (6, 0.70))):
        for i in range(count):
            u = (i + 0.5) / count
            turn = i * 2.39996 + layer
            reach = math.sqrt(u) * (0.95 - 0.26 * layer)
            x, z = 1.25 * reach * math.cos(turn), 0.62 * reach * math.sin(turn)
            r = rng.uniform(0.165, 0.205)
            spot = at(2.42 + x - 0.15 * layer, y + rng.uniform(-0.03, 0.04), 1.02 + z + 0.25 * x)
            grapes.append(Solid(spot, r, sphere(r), grape_skin(i + layer), 0.5, 0.25))
    return grapes


def bowl_fruit() -> list[Solid]:
    """The fruit heaped in the bowl."""
    red, yellow = (0.66, 0.05, 0.04), (0.86, 0.62, 0.14)
    lime, green = (0.62, 0.60, 0.1), (0.50, 0.62, 0.12)
    return [
        Solid(at(-0.62, 1.12, 0.45), 0.72, apple_shape(0.60), apple_skin(red, yellow, 11)),
        Solid(at(0.36, 1.10, 0.62), 0.58, sphere(0.58), orange_skin(4), 0.25),
        Solid(at(0.98, 1.10, 0.0), 0.72, apple_shape(0.58), apple_skin(lime, green, 5)),
        Solid(at(0.15, 1.15, -0.55), 0.60, sphere(0.60), orange_skin(8), 0.25),
        Solid(at(-0.75, 1.15, -0.45), 0.56, sphere(0.56), orange_skin(6), 0.25),
        Solid(at(-0.05, 1.72, 0.12), 1.5, pear_shape(0.50, 0.30), pear_skin(7, 0.50)),
    ]


def still_life_solids(rng: np.random.Generator) -> list[Solid]:
    """Everything that stands on the table."""
    red, yellow = (0.70, 0.08, 0.05), (0.90, 0.66, 0.18)
    bowl = ((0.0, 0.10), (0.55, 0.08), (0.75, 0.14), (1.30, 0.52), (1.62, 0.98), (1.70, 1.04))
    bottle = (
        (0.0, 0.03), (0.40, 0.03), (0.47, 0.12), (0.47, 1.6), (0.44, 1.95), (0.20, 2.38),
        (0.15, 2.65), (0.15, 3.25), (0.12, 3.36), (0.0, 3.38),
    )  # fmt: skip
    cream, blue = (0.86, 0.82, 0.72), (0.10, 0.20, 0.48)
    rings = ((0.42, 0.50), (0.56, 0.60), (1.30, 1.34), (1.40, 1.50), (2.10, 2.30))
    return [
        Solid(at(0.05, 0, 0), 2.1, turned(bowl, 0.06),
              glaze((0.16, 0.34, 0.46), cream, ((0.80, 0.86), (0.91, 0.94), (0.30, 0.34))), 0.55),
        Solid(at(-2.55, 0, -0.35), 2.6, jug_shape(), glaze(cream, blue, rings), 0.6),
        Solid(at(2.05, 0, -1.05), 3.5, turned(bottle, 0.03), bottle_glass, 0.9),
        *bowl_fruit(),
        Solid(at(-1.75, 0.52, 1.35), 0.70, apple_shape(0.56), apple_skin(red, yellow, 2)),
        Solid(at(-2.95, 0.48, 1.25), 1.3, pear_shape(0.49, -0.22), pear_skin(3, 0.49)),
        Solid(at(0.35, 0.46, 1.72), 0.47, sphere(0.47), orange_skin(2), 0.25),
        *grape_bunch(rng),
    ]  # fmt: skip


def march(solid: Solid, origin: Array, ray: Array, limit: Array) -> Array:
    """Distance along each ray to the solid, or infinity if it misses or lies past `limit`."""
    offset = origin - solid.center
    along = -np.sum(offset * ray, -1)
    gap = np.sum(offset * offset, -1) - along * along
    half = np.sqrt(np.maximum(solid.radius**2 * 1.02 - gap, 0))
    found = np.full(along.shape, np.inf, np.float32)
    live = np.flatnonzero((half > 0) & (along + half > 0) & (along - half < limit))
    t = np.maximum(along - half, 0)[live]
    end = np.minimum(along + half, limit)[live]
    for _ in range(48):
        if not len(live):
            break
        step = solid.distance(offset[live] + ray[live] * t[:, None])
        hit = step < 0.004
        found[live[hit]] = t[hit]
        t = t + np.maximum(step, 0.003)
        keep = ~hit & (t < end)
        live, t, end = live[keep], t[keep], end[keep]
    return found


def camera_rays(width: int, height: int) -> Array:
    """Unit view directions, one per pixel."""
    x, y = grid(width, height)
    forward = unit(LOOK - EYE)
    right = unit(np.cross(forward, np.array([0, 1, 0], np.float32)))
    up = np.cross(right, forward)
    u, v = (x + 0.5) / width - 0.5, (0.5 * height - y) / width
    rays = forward + 0.80 * (u[..., None] * right + v[..., None] * up)
    return unit(rays).reshape(-1, 3).astype(np.float32)


def cloth_fold(x: Array, y: Array) -> Array:
    """How far the hanging cloth stands out: pleats that deepen downwards."""
    deep = np.clip(-y, 0, 2)
    swing = np.sin(x * 3.1 + 0.9 * np.sin(x * 1.3)) + 0.5 * np.sin(x * 6.7 + 1.0 + 0.6 * y)
    return deep * 0.16 * swing - 0.02 * deep


def trace_room(ray: Array) -> tuple[Array, Array, Array]:
    """Distance, normal, and kind (0 wall, 1 table top, 2 hanging cloth) of the backdrop."""
    top = -EYE[1] / np.minimum(ray[:, 1], -1e-4)
    point = EYE + ray * top[:, None]
    far = (WALL - EYE[2]) / ray[:, 2]
    kind = np.where((ray[:, 1] < 0) & (point[:, 2] > WALL), 1, 0)
    kind[(kind == 1) & (point[:, 2] > TABLE_EDGE)] = 2
    t = np.where(kind == 0, far, top)
    front = (TABLE_EDGE - EYE[2]) / ray[:, 2]
    for _ in range(4):
        p = EYE + ray * front[:, None]
        front = (TABLE_EDGE + cloth_fold(p[:, 0], p[:, 1]) - EYE[2]) / ray[:, 2]
    t = np.where(kind == 2, front, t).astype(np.float32)
    return t, room_normal(EYE + ray * t[:, None], kind), kind


def room_normal(p: Array, kind: Array) -> Array:
    """Normals of wall and cloth; the table top carries soft wrinkles and rolls at its edge."""
    normal = np.zeros_like(p)
    normal[kind == 0, 2] = 1
    x, y, z = p.T
    wrinkle = dots(np.stack([x * 0.5, y, z * 1.4], -1), 0.9, 21)
    ridge = dots(np.stack([x * 0.5 + 0.02, y, z * 1.4 + 0.03], -1), 0.9, 21) - wrinkle
    roll = smoothstep(TABLE_EDGE - 0.14, TABLE_EDGE, z)
    table = np.stack([-6.0 * ridge, 1 - 0.45 * roll, roll * 0.8 - 5.0 * ridge], -1)
    slope = (cloth_fold(x + 0.01, y) - cloth_fold(x - 0.01, y)) / 0.02
    drape = np.stack([-slope * 1.2, 0.30 + 0 * x, np.ones_like(x)], -1)
    normal[kind == 1], normal[kind == 2] = table[kind == 1], drape[kind == 2]
    return unit(normal).astype(np.float32)


def room_color(p: Array, kind: Array) -> Array:
    """Plaster wall, and a linen cloth with woven stripes."""
    x, y, z = p.T
    mottled = dots(p * at(1, 1, 0), 1.1, 31)
    wall = mix((0.30, 0.34, 0.30), (0.46, 0.46, 0.37), mottled)
    wall = wall * (0.90 + 0.2 * dots(p * at(1, 1, 0), 4, 33))[:, None]
    down = np.where(kind == 2, TABLE_EDGE - y, z)
    cloth = mix((0.83, 0.79, 0.70), (0.74, 0.69, 0.60), dots(p, 3, 35))
    for place, half in ((1.98, 0.035), (2.12, 0.012), (2.75, 0.10), (2.95, 0.02), (2.58, 0.02)):
        line = smoothstep(half + 0.012, half, np.abs(down - place))
        cloth = mix(cloth, (0.62, 0.10, 0.10), 0.85 * line)
    weave = 1 + 0.035 * np.sin(x * 170) * np.sin(down * 170)
    return mix(cloth * weave[:, None], wall, (kind == 0).astype(np.float32))


def window_glint(p: Array, mirrored: Array) -> Array:
    """How much of the four-pane window a mirrored ray sees."""
    facing = unit(np.cross(WINDOW_U, WINDOW_V))
    t = ((WINDOW - p) @ facing) / (mirrored @ facing + 1e-6)
    spot = p + mirrored * t[:, None] - WINDOW
    u, v = np.abs(spot @ unit(WINDOW_U)), np.abs(spot @ unit(WINDOW_V))
    pane = smoothstep(1.9, 1.5, u) * smoothstep(2.4, 2.0, v)
    bars = smoothstep(0.05, 0.2, u) * smoothstep(0.05, 0.2, v)
    glint: Array = np.where(t > 0, pane * bars, 0)
    return glint


def lit_share(rng: np.random.Generator, p: Array, n: Array, solids: Sequence[Solid]) -> Array:
    """Share of the window that each point sees, from four jittered shadow rays."""
    total = np.zeros(len(p), np.float32)
    start = p + n * 0.02
    for i in range(4):
        u = ((i % 2) + rng.random(len(p), np.float32)) - 1
        v = ((i // 2) + rng.random(len(p), np.float32)) - 1
        goal = WINDOW + 1.3 * (u[:, None] * WINDOW_U + v[:, None] * WINDOW_V)
        ray = unit(goal - start).astype(np.float32)
        facing = np.sum(n * ray, -1)
        open_ = np.flatnonzero(facing > 0)
        for solid in solids:
            limit = np.full(len(open_), 30, np.float32)
            open_ = open_[np.isinf(march(solid, start[open_], ray[open_], limit))]
        total[open_] += facing[open_] / 4
    return total


def openness(p: Array, n: Array, solids: Sequence[Solid], owner: Array) -> Array:
    """Ambient light left over between the objects, each taken as a ball."""
    left = np.ones(len(p), np.float32)
    for i, solid in enumerate(solids):
        size = min(solid.radius, 0.62)
        middle = solid.center + at(0, 0.5 if solid.radius > 0.8 else 0.0, 0)
        to = middle - p
        far = np.linalg.norm(to, axis=-1)
        shade = np.clip(0.25 + np.sum(to * n, -1) / (far + 1e-6), 0, 1)
        shade *= np.clip((size / (far + 1e-6)) ** 2, 0, 0.75)
        left *= np.where(owner == i, 1, 1 - shade)
    on_solid = owner >= 0
    contact = smoothstep(-0.05, 0.5, p[:, 1]) * 0.6 + 0.4
    return left * np.where(on_solid, contact, 1)


def first_hits(ray: Array, solids: Sequence[Solid]) -> tuple[Array, Array, Array, Array]:
    """What every view ray meets: point, normal, color, and the solid's number or -1."""
    depth, normal, kind = trace_room(ray)
    color = room_color(EYE + ray * depth[:, None], kind)
    owner = np.full(len(ray), -1)
    for i, solid in enumerate(solids):
        found = march(solid, np.broadcast_to(EYE, ray.shape), ray, depth)
        hit = np.flatnonzero(found < depth)
        depth[hit], owner[hit] = found[hit], i
        local = EYE + ray[hit] * depth[hit, None] - solid.center
        slopes = [
            solid.distance(local + e) - solid.distance(local - e)
            for e in np.eye(3, dtype=np.float32) * 0.006
        ]
        color[hit], normal[hit] = solid.surface(local, unit(np.stack(slopes, -1)))
    return EYE + ray * depth[:, None], normal, color, owner


def shade(
    ray: Array, scene: tuple[Array, Array, Array, Array], lit: Array, ambient: Array, gloss: Array
) -> Array:
    """Combine window light, soft fill, warm bounce, and reflections of the window."""
    point, normal, color, _ = scene
    up = normal[:, 1:2]
    fill = np.asarray(SKYLIGHT) * (0.65 + 0.35 * up) + np.asarray(BOUNCE) * (0.55 - 0.45 * up)
    light = np.asarray(SUNLIGHT) * lit[:, None] + fill * ambient[:, None]
    facing = -np.sum(ray * normal, -1)
    mirrored = ray + 2 * facing[:, None] * normal
    edge = np.clip(1 - facing, 0, 1) ** 4
    glint = window_glint(point, mirrored) * smoothstep(0, 0.12, lit)
    sheen = gloss * (1.25 * glint * (0.35 + edge) + 0.20 * edge * ambient)
    return color * light + sheen[:, None] * np.array([1.0, 0.97, 0.92])


def draw_still_life(rng: np.random.Generator) -> Array:
    """A table with fruit, a bowl, a jug and a bottle, lit by a window on the left."""
    width, height = 768 * SCALE, 576 * SCALE
    solids, ray = still_life_solids(rng), camera_rays(width, height)
    scene = first_hits(ray, solids)
    point, normal, _, owner = scene
    lit, ambient = lit_share(rng, point, normal, solids), openness(point, normal, solids, owner)
    gloss = np.array([s.gloss for s in solids] + [0.0], np.float32)[owner]
    rgb = shade(ray, scene, lit, ambient, gloss).reshape(height, width, 3)
    x, y = grid(width, height)
    pool = np.exp(-(((x / width - 0.36) / 0.55) ** 2) - ((y / height - 0.42) / 0.75) ** 2)
    rgb = rgb * (0.62 + 0.55 * pool)[..., None]
    rgb = 1 - np.exp(-1.55 * rgb)
    return np.clip(rgb, 0, 1) ** (1 / 1.25) + 0.012 * rng.standard_normal(rgb.shape)


# --------------------------------------------------------------------------- lake town

SHORE = 376.0
WALLS = (
    (0.88, 0.70, 0.42), (0.80, 0.42, 0.33), (0.90, 0.86, 0.76), (0.62, 0.72, 0.78),
    (0.86, 0.58, 0.46), (0.93, 0.80, 0.52), (0.66, 0.25, 0.20), (0.74, 0.78, 0.62),
    (0.90, 0.74, 0.68),
)  # fmt: skip
ROOFS = ((0.56, 0.24, 0.15), (0.48, 0.20, 0.14), (0.62, 0.31, 0.19), (0.36, 0.24, 0.22))
SHUTTERS = ((0.16, 0.34, 0.26), (0.20, 0.30, 0.44), (0.44, 0.20, 0.14), (0.30, 0.36, 0.22))
HAZE = (0.74, 0.80, 0.86)


@dataclass
class House:
    """A house seen slightly from the right: its front, in 768 px units."""

    x: float
    base: float
    width: float
    wall: float
    roof: float
    color: Rgb
    tiles: Rgb
    shutter: Rgb
    gable: bool


@dataclass
class View:
    """The townscape being drawn: polygons with optional transparency, in 768 px units."""

    draw: ImageDraw.ImageDraw

    def shape(self, points: Sequence[Point], color: Sequence[float], alpha: float = 1.0) -> None:
        """Fill a polygon."""
        self.draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=ink(color, alpha))

    def rect(
        self, box: tuple[float, float, float, float], color: Sequence[float], alpha: float = 1.0
    ) -> None:
        """Fill the rectangle (left, top, right, bottom)."""
        x0, y0, x1, y1 = (round(v * SCALE) for v in box)
        if x1 > x0 and y1 > y0:
            self.draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=ink(color, alpha))

    def line(self, points: Sequence[Point], color: Sequence[float], width: float) -> None:
        """Draw a polyline."""
        path = [(x * SCALE, y * SCALE) for x, y in points]
        self.draw.line(path, fill=ink(color), width=max(1, round(width * SCALE)))


def tint(color: Sequence[float], gain: float, warm: float = 0.0) -> Rgb:
    """Scale a color's brightness and shift it towards warm or cool."""
    r, g, b = color
    return r * gain * (1 + warm), g * gain, b * gain * (1 - warm)


def paint_sky(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Afternoon sky with heaped clouds lit from the upper left."""
    level = np.clip(y / (SCALE * 330), 0, 1)
    sky = ramp(level, ((0.20, 0.43, 0.74), (0.46, 0.66, 0.86), (0.86, 0.85, 0.80)))
    puffs = noise(rng, x.shape, (300, 130), 6)
    banks = noise(rng, x.shape, (620, 220), 2)
    density = puffs * 0.6 + banks * 0.6 - 0.10 * level
    cover = smoothstep(0.56, 0.74, density)
    toward_sun = blur(np.roll(density, (14, 18), (0, 1)), 10)
    lit = np.clip(0.62 + 3.2 * (blur(density, 2) - toward_sun), 0, 1)
    cloud = ramp(lit, ((0.56, 0.60, 0.70), (0.86, 0.84, 0.84), (1.0, 0.97, 0.90)))
    return mix(sky, cloud, cover * (0.95 - 0.35 * level))


def ridge(rng: np.random.Generator, width: int, rough: float) -> Array:
    """A mountain skyline in 0..1."""
    sheet = noise(rng, (8, width), (rough * SCALE, 900), 6)
    return sheet[4]


def paint_mountain(
    rng: np.random.Generator, picture: Array, skyline: Array, haze: float, snow: float
) -> Array:
    """One range: gullies lit from the left, snow on high ground, haze with distance."""
    rows, cols = picture.shape[:2]
    x, y = grid(cols, rows)
    warp = 60 * noise(rng, (rows, cols), (60, 60), 3)
    sheet = noise(rng, (rows, cols + 400), (190, 230), 7)
    shear = np.clip(x + 0.7 * (y - skyline[None, :]) * np.sin(x / 170) + warp, 0, cols + 399)
    folds = 1 - np.abs(2 * sheet[y.astype(int), shear.astype(int)] - 1)
    light = np.clip(relief(blur(folds, 1.5), 22), 0.15, 2.0)
    depth = (y - skyline[None, :]) / SCALE
    rock = ramp(np.clip(depth / 110 + 0.2 * folds, 0, 1), (
        (0.46, 0.43, 0.43), (0.33, 0.37, 0.30), (0.20, 0.30, 0.18), (0.15, 0.25, 0.13),
    ))  # fmt: skip
    white = smoothstep(5, -5, y / SCALE + 0.5 * warp - 60 * folds + 26 - snow)
    rock = mix(rock, (0.93, 0.93, 0.95), white)
    shaded = rock * (0.30 + 0.62 * light)[..., None] * np.array([1.02, 0.98, 0.94])
    shaded = mix(shaded, (0.30, 0.38, 0.55), 0.35 * np.clip(1 - light, 0, 1))
    shaded = mix(shaded, HAZE, np.clip(haze + depth / 500, 0, 0.9))
    return mix(picture, shaded, smoothstep(-0.6, 0.6, depth))


def paint_forest(rng: np.random.Generator, picture: Array, skyline: Array, haze: float) -> Array:
    """A wooded hill whose crowns catch the light; meadows show between the trees."""
    rows, cols = picture.shape[:2]
    y = np.mgrid[0:rows, 0:cols][0].astype(np.float32)
    crowns = noise(rng, (rows, cols), (15, 17), 2)
    depth = y - skyline[None, :] + 16 * (crowns - 0.3)
    light = np.clip(relief(blur(crowns, 1.2), 5.0), 0.2, 2.0)
    patches = noise(rng, (rows, cols), (230, 70), 3)
    trees = mix((0.06, 0.15, 0.07), (0.25, 0.32, 0.10), crowns) * light[..., None]
    meadow = mix((0.42, 0.50, 0.18), (0.55, 0.55, 0.26), patches)
    ground = mix(trees, meadow, smoothstep(0.60, 0.64, patches))
    ground = mix(ground, HAZE, haze)
    return mix(picture, ground, smoothstep(-1, 1, depth))


def draw_window(view: View, house: House, box: tuple[float, float, float, float]) -> None:
    """A window with reveal, reflecting panes, cross bars, sill and shutters."""
    x0, y0, x1, y1 = box
    w = x1 - x0
    view.rect((x0 - w * 0.14, y0 - w * 0.14, x1 + w * 0.14, y1), tint((0.93, 0.90, 0.82), 0.96))
    view.rect(box, (0.10, 0.13, 0.17))
    view.rect((x0, y0 + (y1 - y0) * 0.30, x1, y1), (0.22, 0.28, 0.34))
    view.shape(((x0, y0 + w * 0.9), (x1, y0 + w * 0.2), (x1, y0 + w * 0.8), (x0, y0 + w * 1.5)),
               (0.62, 0.70, 0.76), 0.55)  # fmt: skip
    middle = (x0 + x1) / 2
    view.rect((middle - 0.5, y0, middle + 0.5, y1), (0.86, 0.83, 0.76))
    view.rect((x0, y0 + (y1 - y0) * 0.4, x1, y0 + (y1 - y0) * 0.4 + 1), (0.86, 0.83, 0.76))
    for left in (x0 - w * 0.72, x1 + w * 0.12):
        view.rect((left, y0, left + w * 0.6, y1), house.shutter)
        view.rect((left + w * 0.6, y0 + 1, left + w * 0.7, y1 + 1), (0, 0, 0), 0.35)
        for slat in np.arange(y0 + 1.5, y1 - 1, 2.0):
            view.rect((left + 0.5, slat, left + w * 0.6 - 0.5, slat + 0.5), (0, 0, 0), 0.30)
    view.rect((x0 - w * 0.2, y1, x1 + w * 0.2, y1 + 1.5), (0.95, 0.92, 0.85))
    view.rect((x0 - w * 0.2, y1 + 1.5, x1 + w * 0.3, y1 + 3), (0, 0, 0), 0.30)


def draw_floors(view: View, rng: np.random.Generator, house: House) -> None:
    """Windows floor by floor, and a door, shop front or awning at street level."""
    columns = max(2, round(house.width / 21))
    floors = max(2, round(house.wall / 26))
    pitch, floor = house.width / columns, house.wall / floors
    top = house.base - house.wall
    for floor in range(floors - 1):
        for column in range(columns):
            x = house.x + (column + 0.5) * pitch
            w, y = pitch * 0.30, top + floor * (floor + 0.24)
            draw_window(view, house, (x - w / 2, y, x + w / 2, y + floor * 0.56))
    street = top + floor * (floors - 1)
    view.rect((house.x, street - 1.2, house.x + house.width, street + 0.6),
              tint(house.color, 1.12))  # fmt: skip
    for column in range(columns):
        x = house.x + (column + 0.5) * pitch
        door = (x - pitch * 0.30, street + floor * 0.25, x + pitch * 0.30, house.base)
        view.rect(door, tint(house.shutter, 0.55))
        view.rect((door[0] + 1.5, door[1] + 1.5, door[2] - 1.5, house.base - 5), (0.10, 0.10, 0.11))
        if rng.random() < 0.45:
            draw_awning(view, rng, x, street + floor * 0.22, pitch * 0.42)


def draw_awning(view: View, rng: np.random.Generator, x: float, y: float, half: float) -> None:
    """A striped shop awning and the shadow below it."""
    hue = ((0.78, 0.16, 0.12), (0.12, 0.38, 0.34), (0.90, 0.62, 0.14))[int(rng.integers(3))]
    view.rect((x - half, y + 6, x + half, y + 11), (0, 0, 0), 0.40)
    for i in range(6):
        a, b = x + half * (i / 3 - 1), x + half * ((i + 1) / 3 - 1)
        tone = hue if i % 2 else (0.95, 0.92, 0.86)
        view.shape(((a, y), (b, y), (b + (b - x) * 0.15, y + 7), (a + (a - x) * 0.15, y + 7)), tone)


def draw_tiles(view: View, corners: Sequence[Point], color: Rgb, rng: np.random.Generator) -> None:
    """A roof plane (bottom left, bottom right, top right, top left) with courses of tiles."""
    view.shape(corners, color)
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
    rows = max(3, int(abs(ay - dy) / 2.0))
    for i in range(rows):
        t, u = i / rows, (i + 0.75) / rows
        left, right = (ax + (dx - ax) * t, ay + (dy - ay) * t), (
            bx + (cx - bx) * t, by + (cy - by) * t
        )  # fmt: skip
        view.line((left, right), tint(color, 0.72), 0.5)
        for _ in range(int(abs(bx - ax) / 7)):
            f, g = rng.random(), rng.uniform(0.03, 0.10)
            gain = rng.uniform(0.75, 1.35)
            up = (dy - ay) * (u - t)
            p = (left[0] + (right[0] - left[0]) * f, left[1] + (right[1] - left[1]) * f)
            q = (p[0] + (right[0] - left[0]) * g, p[1] + (right[1] - left[1]) * g)
            view.shape((p, q, (q[0], q[1] + up), (p[0], p[1] + up)), tint(color, gain), 0.55)


def draw_gable_roof(view: View, rng: np.random.Generator, house: House) -> None:
    """A pointed front: side roof plane in light, gable wall, boards and their shadow."""
    x0, x1, top = house.x, house.x + house.width, house.base - house.wall
    peak = ((x0 + x1) / 2, top - house.roof)
    back = (house.width * 0.34, -house.roof * 0.10)
    draw_tiles(view, ((x1 + 3, top + 3), (x1 + 3 + back[0], top + 3 + back[1]),
                      (peak[0] + back[0], peak[1] + back[1]), peak),
               tint(house.tiles, 0.66), rng)  # fmt: skip
    view.shape(((x0, top), peak, (x1, top)), tint(house.color, 0.98, 0.03))
    view.shape(((x0 - 2, top + 5), peak, (x1 + 3, top + 5), (peak[0], peak[1] + 7)),
               (0.10, 0.06, 0.08), 0.35)  # fmt: skip
    view.line(((x0 - 3, top + 3), peak), tint(house.tiles, 1.35, 0.05), 2.6)
    view.line((peak, (x1 + 3, top + 3)), tint(house.tiles, 0.8), 2.6)
    r = house.width * 0.07
    draw_window(view, house, (peak[0] - r, top - house.roof * 0.42, peak[0] + r, top - 3))


def draw_eave_roof(view: View, rng: np.random.Generator, house: House) -> None:
    """A roof sloping to the street, with dormers and a gutter shadow."""
    x0, x1, top = house.x - 2, house.x + house.width + 2, house.base - house.wall
    rise = house.roof * 0.72
    inset = house.width * 0.04
    draw_tiles(view, ((x0, top + 1), (x1, top + 1), (x1 - inset, top - rise),
                      (x0 + inset, top - rise)), tint(house.tiles, 1.08, 0.04), rng)  # fmt: skip
    for i in range(max(1, round(house.width / 40))):
        x = x0 + (x1 - x0) * (i + 0.5) / max(1, round(house.width / 40))
        view.shape(((x + 5, top - 4), (x + 13, top - 4), (x + 5, top - rise * 0.6)), (0, 0, 0), 0.3)
        view.rect((x - 5, top - rise * 0.55, x + 5, top - 3), tint(house.color, 1.0))
        view.rect((x - 3, top - rise * 0.48, x + 3, top - 4), (0.14, 0.17, 0.22))
        view.shape(((x - 7, top - rise * 0.5), (x, top - rise * 0.86), (x + 7, top - rise * 0.5)),
                   tint(house.tiles, 0.85))  # fmt: skip
    view.rect((x0, top, x1, top + 1.5), tint(house.tiles, 0.5))
    view.rect((house.x, top + 1.5, house.x + house.width, top + 6), (0.08, 0.05, 0.08), 0.38)


def draw_house(view: View, rng: np.random.Generator, house: House) -> None:
    """One house: wall with weathering, roof, chimney, windows."""
    x0, x1, top = house.x, house.x + house.width, house.base - house.wall
    cx = x0 + house.width * rng.choice([0.22, 0.78])
    stack = top - house.roof * rng.uniform(0.75, 0.95)
    view.rect((x0, top, x1, house.base), house.color)
    for i in range(10):
        band = house.base - house.wall * 0.035 * i
        view.rect((x0, band, x1, house.base), (0.12, 0.08, 0.06), 0.03)
        view.rect((x1 - house.width * 0.03 * i, top, x1, house.base), (0.10, 0.10, 0.20), 0.028)
    view.rect((cx - 4, stack, cx, top), tint((0.62, 0.42, 0.34), 1.1))
    view.rect((cx, stack, cx + 3, top), tint((0.62, 0.42, 0.34), 0.6))
    view.rect((cx - 5, stack - 2, cx + 4, stack), (0.40, 0.32, 0.28))
    (draw_gable_roof if house.gable else draw_eave_roof)(view, rng, house)
    draw_floors(view, rng, house)
    view.rect((x1 - 0.7, top, x1 + 0.7, house.base), (0, 0, 0), 0.35)


def house_row(
    rng: np.random.Generator, span: tuple[float, float], base: float, size: float, haze: float
) -> list[House]:
    """A row of neighboring houses of mixed color, height and roof."""
    houses: list[House] = []
    x, last = span[0], -1
    while x < span[1]:
        pick = int(rng.integers(len(WALLS)))
        pick = (pick + 1) % len(WALLS) if pick == last else pick
        width, wall = size * rng.uniform(0.8, 1.25), size * rng.uniform(1.05, 1.6)
        faded = tint(WALLS[pick], rng.uniform(0.80, 1.05), 0.03)
        color = tuple(float(c) for c in mix(faded, HAZE, haze))
        tiles = tuple(float(c) for c in mix(ROOFS[int(rng.integers(4))], HAZE, haze))
        shutter = SHUTTERS[int(rng.integers(4))]
        gable = bool(rng.random() < 0.58)
        lift = base - 4 * math.sin(x * 0.02) * (base < SHORE - 12)
        roof = width * (0.62 if gable else 0.5)
        houses.append(House(x, lift, width, wall, roof, color, tiles, shutter, gable))
        x, last = x + width, pick
    return houses


def draw_tree(view: View, rng: np.random.Generator, x: float, base: float, size: float) -> None:
    """A leafy tree built from dabs, dark below and sunlit at the upper left."""
    view.rect((x - size * 0.06, base - size, x + size * 0.06, base), (0.18, 0.13, 0.09))
    for i in range(150):
        angle, far = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random()) * size
        dx, dy = math.cos(angle) * far * 0.62, math.sin(angle) * far * 0.78
        sun = np.clip(0.45 - 0.42 * dx / size - 0.5 * dy / size + rng.normal(0, 0.12), 0, 1)
        sun = sun * min(1.0, 0.45 + i / 120)
        r = size * rng.uniform(0.07, 0.15)
        cx, cy = x + dx, base - size * 1.25 + dy
        leaf = mix((0.05, 0.12, 0.05), (0.50, 0.55, 0.16), float(sun))
        view.draw.ellipse([v * SCALE for v in (cx - r, cy - r, cx + r, cy + r)], fill=ink(leaf))


def draw_church(view: View, rng: np.random.Generator, x: float, base: float) -> None:
    """Nave and bell tower: a lit front, a shaded flank, clock, openings, copper spire."""
    stone, copper = (0.90, 0.84, 0.70), (0.30, 0.52, 0.46)
    draw_tiles(view, ((x + 30, base - 78), (x + 132, base - 78), (x + 122, base - 122),
                      (x + 30, base - 122)), (0.55, 0.25, 0.17), rng)  # fmt: skip
    view.rect((x + 30, base - 78, x + 130, base), tint(stone, 0.9))
    view.rect((x + 30, base - 78, x + 130, base - 72), (0, 0, 0), 0.3)
    top = base - 186
    view.rect((x, top, x + 28, base), tint(stone, 1.06, 0.03))
    view.shape(((x + 28, top), (x + 44, top), (x + 44, base), (x + 28, base)), tint(stone, 0.60))
    for y in (top, top + 44, top + 92):
        view.rect((x - 2, y, x + 28, y + 4), tint(stone, 1.16))
        view.rect((x + 28, y, x + 46, y + 4), tint(stone, 0.72))
        view.rect((x, y + 4, x + 44, y + 7), (0, 0, 0), 0.25)
    for cx, w, dark in ((x + 8, 4.5, 0.2), (x + 20, 4.5, 0.2), (x + 36, 4.5, 0.1)):
        view.rect((cx - w / 2, top + 14, cx + w / 2, top + 38), (dark, dark * 0.8, dark * 0.8))
        view.draw.ellipse([v * SCALE for v in (cx - w / 2, top + 11, cx + w / 2, top + 17)],
                          fill=ink((dark, dark * 0.8, dark * 0.8)))  # fmt: skip
    draw_clock(view, x + 14, top + 68)
    tip = (x + 20, top - 84)
    view.shape(((x - 3, top), tip, (x + 29, top)), tint(copper, 1.2))
    view.shape(((x + 29, top), tip, (x + 47, top)), tint(copper, 0.62))
    for i in range(1, 12):
        t = i / 12
        y = top - 84 * t
        a, b, c = (p + (tip[0] - p) * t for p in (x - 3, x + 29, x + 47))
        view.line(((a, y), (b, y)), tint(copper, 0.95), 0.6)
        view.line(((b, y), (c, y)), tint(copper, 0.48), 0.6)
    view.line((tip, (tip[0], tip[1] - 14)), (0.35, 0.27, 0.12), 1.2)
    view.line(((tip[0] - 4, tip[1] - 9), (tip[0] + 4, tip[1] - 9)), (0.35, 0.27, 0.12), 1.2)


def draw_clock(view: View, x: float, y: float) -> None:
    """The tower clock."""
    for radius, color in ((9.5, (0.25, 0.18, 0.10)), (8.2, (0.95, 0.93, 0.86))):
        box = [v * SCALE for v in (x - radius, y - radius, x + radius, y + radius)]
        view.draw.ellipse(box, fill=ink(color))
    view.line(((x, y), (x + 5.5, y - 2)), (0.1, 0.1, 0.1), 1.2)
    view.line(((x, y), (x - 1, y - 6.5)), (0.1, 0.1, 0.1), 1.0)


def draw_quay(view: View, rng: np.random.Generator) -> None:
    """The stone embankment with people-sized posts and mooring rings."""
    view.rect((0, SHORE - 13, 768, SHORE - 9), (0.72, 0.67, 0.58))
    view.rect((0, SHORE - 9, 768, SHORE + 1), (0.44, 0.40, 0.35))
    for row in range(3):
        x = -8.0
        while x < 768:
            w = rng.uniform(7, 15)
            tone = tint((0.50, 0.46, 0.40), rng.uniform(0.75, 1.2))
            view.rect((x + 0.5, SHORE - 9 + row * 3.3, x + w, SHORE - 6.2 + row * 3.3), tone)
            x += w
    view.rect((0, SHORE - 2, 768, SHORE + 1), (0.10, 0.13, 0.10), 0.75)
    for x in np.arange(14, 768, 30.0):
        view.rect((x, SHORE - 18, x + 1.6, SHORE - 10), (0.16, 0.14, 0.13))


def draw_town(rng: np.random.Generator, picture: Array) -> Array:
    """Rows of houses climbing from the quay, the church among them, and trees."""
    image = to_image(picture)
    view = View(ImageDraw.Draw(image, "RGBA"))
    for house in house_row(rng, (20, 740), SHORE - 108, 25, 0.26):
        draw_house(view, rng, house)
    for x in rng.uniform(20, 740, 26):
        draw_tree(view, rng, x, SHORE - 88 + rng.uniform(-10, 8), rng.uniform(10, 16))
    for house in house_row(rng, (-20, 760), SHORE - 64, 36, 0.13):
        draw_house(view, rng, house)
    draw_church(view, rng, 470, SHORE - 46)
    for x in rng.uniform(0, 768, 14):
        draw_tree(view, rng, x, SHORE - 44, rng.uniform(12, 18))
    for house in house_row(rng, (-26, 690), SHORE - 12, 53, 0.0):
        draw_house(view, rng, house)
    draw_quay(view, rng)
    for x in (704, 738, 768, 238, 20):
        draw_tree(view, rng, x, SHORE - 11, 30 if x > 600 else 18)
    return weather(rng, picture, to_array(image))


def weather(rng: np.random.Generator, before: Array, after: Array) -> Array:
    """Give everything newly drawn the mottle and streaks of plaster and stone."""
    shape = (after.shape[0], after.shape[1])
    streaks = noise(rng, shape, (5, 60), 2)
    mottle = noise(rng, shape, (26, 26), 4)
    fresh = (np.abs(after - before).sum(-1) > 0.02).astype(np.float32)
    gain = 1 + fresh * (0.20 * (mottle - 0.5) + 0.14 * (streaks - 0.5))
    return after * gain[..., None] * np.array([1.04, 1.0, 0.95])


def water_waves(rng: np.random.Generator, x: Array, y: Array) -> tuple[Array, Array]:
    """Slope of the ripples and distance from the shore, in perspective."""
    near = np.maximum(y - SHORE * SCALE, 0) / (200 * SCALE)
    sheet = noise(rng, (1400, 1600), (34, 7), 4)
    swell = noise(rng, (1400, 1600), (150, 40), 2)
    v = 1300 * (near + 0.004) ** 0.42
    u = 800 + (x - x.mean()) / (0.35 + 1.4 * near) * 0.5
    row, column = v.astype(int) % 1400, u.astype(int) % 1600
    return (sheet[row, column] - 0.5) + 0.6 * (swell[row, column] - 0.5), near


def paint_water(rng: np.random.Generator, picture: Array) -> Array:
    """The lake: the town mirrored and broken by ripples, deeper blue towards the viewer."""
    rows, cols = picture.shape[:2]
    x, y = grid(cols, rows)
    slope, near = water_waves(rng, x, y)
    slope = blur(slope, 0.8)
    shore = SHORE * SCALE
    mirror = 2 * shore - y + slope * (3 + 75 * near) * SCALE * 0.55
    row = np.clip(mirror, 0, shore - 2).astype(int)
    column = np.clip(x + slope * (3 + 16 * near) * SCALE, 0, cols - 1).astype(int)
    seen = blur(picture, 1.0)[row, column]
    deep = ramp(np.clip(near, 0, 1), ((0.30, 0.46, 0.54), (0.18, 0.38, 0.50), (0.10, 0.28, 0.42)))
    weight = np.clip(0.16 + 0.22 * near - 0.6 * slope * (0.3 + near), 0, 0.85)
    water = mix(seen * np.array([0.86, 0.92, 0.95]), deep, weight)
    glitter = smoothstep(0.16, 0.50, slope) * (0.15 + 0.6 * near)
    water = mix(water, (0.66, 0.78, 0.88), np.clip(glitter, 0, 0.8))
    water = water * (0.75 + 0.25 * smoothstep(0, 0.05, near))[..., None]
    return mix(picture, water, (y > shore).astype(np.float32))


def draw_sailboat(view: View, x: float, y: float, size: float) -> None:
    """A small sailing boat with two sails and a painted hull."""
    s = size
    view.shape(((x, y - 2.1 * s), (x, y - 0.32 * s), (x - 0.85 * s, y - 0.30 * s)),
               (0.97, 0.93, 0.84))  # fmt: skip
    view.shape(((x, y - 2.1 * s), (x, y - 0.32 * s), (x - 0.25 * s, y - 0.31 * s)),
               (0.78, 0.76, 0.74), 0.8)  # fmt: skip
    view.shape(((x + 0.06 * s, y - 1.9 * s), (x + 0.06 * s, y - 0.34 * s),
                (x + 0.62 * s, y - 0.28 * s)), (0.80, 0.22, 0.14))  # fmt: skip
    for t in (0.3, 0.55, 0.8):
        view.line(((x - 0.85 * s * t, y - 2.1 * s + 1.8 * s * t), (x, y - 2.1 * s + 1.78 * s * t)),
                  (0.80, 0.76, 0.70), 0.6)  # fmt: skip
    view.line(((x, y - 2.2 * s), (x, y - 0.2 * s)), (0.30, 0.20, 0.12), 1.4)
    view.shape(((x - 0.95 * s, y - 0.26 * s), (x + 0.95 * s, y - 0.30 * s), (x + 0.66 * s, y),
                (x - 0.72 * s, y)), (0.14, 0.27, 0.40))  # fmt: skip
    view.shape(((x - 0.95 * s, y - 0.27 * s), (x + 0.95 * s, y - 0.31 * s),
                (x + 0.90 * s, y - 0.21 * s), (x - 0.91 * s, y - 0.18 * s)),
               (0.93, 0.90, 0.82))  # fmt: skip
    view.shape(((x - 0.8 * s, y - 0.06 * s), (x + 0.72 * s, y - 0.06 * s), (x + 0.66 * s, y),
                (x - 0.72 * s, y)), (0.45, 0.12, 0.10))  # fmt: skip


def draw_rowboat(view: View, x: float, y: float, size: float) -> None:
    """A wooden rowing boat with thwarts and planks."""
    s = size
    hull = ((x - s, y - 0.34 * s), (x - 0.5 * s, y - 0.24 * s), (x + 0.4 * s, y - 0.22 * s),
            (x + s, y - 0.38 * s), (x + 0.72 * s, y - 0.02 * s), (x + 0.4 * s, y),
            (x - 0.5 * s, y), (x - 0.8 * s, y - 0.04 * s))  # fmt: skip
    view.shape(((x - s, y - 0.34 * s), (x - 0.3 * s, y - 0.40 * s), (x + 0.4 * s, y - 0.39 * s),
                (x + s, y - 0.38 * s), (x + 0.4 * s, y - 0.2 * s), (x - 0.5 * s, y - 0.22 * s)),
               (0.22, 0.13, 0.08))  # fmt: skip
    for t in (-0.45, 0.05, 0.5):
        view.shape(((x + t * s, y - 0.39 * s), (x + (t + 0.14) * s, y - 0.39 * s),
                    (x + (t + 0.10) * s, y - 0.2 * s), (x + (t - 0.04) * s, y - 0.2 * s)),
                   (0.68, 0.50, 0.30))  # fmt: skip
    view.shape(hull, (0.60, 0.20, 0.13))
    for lift, tone in ((0.0, 1.45), (0.07, 0.8), (0.14, 0.7)):
        line = [(px, py + lift * s) for px, py in hull[:4]]
        view.line(line, tint((0.70, 0.36, 0.20), tone), 1.5 if lift == 0 else 0.6)


def add_boat(picture: Array, drawer: Callable[[View], None], waterline: float) -> Array:
    """Draw a boat and, under its waterline, its broken mirror image."""
    rows, cols = picture.shape[:2]
    layer = Image.new("RGBA", (cols, rows), (0, 0, 0, 0))
    drawer(View(ImageDraw.Draw(layer)))
    boat = to_array(layer)
    x, y = grid(cols, rows)
    below = y - waterline * SCALE
    sway = np.sin(below * 0.55 / SCALE + 3 * np.sin(below * 0.09)) * (1 + below * 0.05)
    row = np.clip(waterline * SCALE - below * 1.05, 0, rows - 1).astype(int)
    column = np.clip(x + sway * SCALE, 0, cols - 1).astype(int)
    image = boat[row, column]
    fade = image[..., 3] * (below > 0) * np.clip(0.75 - below / (150 * SCALE), 0, 1)
    picture = mix(picture, image[..., :3] * np.array([0.62, 0.72, 0.76]), blur(fade, 0.7))
    return mix(picture, boat[..., :3], boat[..., 3])


def grade(rng: np.random.Generator, picture: Array) -> Array:
    """Photographic finish: warm light from the left, vignette, soft lens, film curve."""
    rows, cols = picture.shape[:2]
    x, y = grid(cols, rows)
    glow = np.exp(-(((x / cols) - 0.1) ** 2 + ((y / rows) - 0.25) ** 2) * 3)
    picture = picture * (1 + 0.12 * glow[..., None] * np.array([1.0, 0.75, 0.35]))
    corner = ((x / cols - 0.5) ** 2 + (y / rows - 0.5) ** 2) * 2
    picture = np.clip(picture * (1.05 - 0.28 * corner[..., None]), 0, 1)
    picture = 0.6 * picture + 0.4 * picture * picture * (3 - 2 * picture)
    picture = 0.6 * picture + 0.4 * blur(picture, 1.0)
    return picture + 0.012 * rng.standard_normal((rows, cols, 1))


def draw_lake_town(rng: np.random.Generator) -> Array:
    """A lakeside town under mountains, mirrored in the water."""
    rows, cols = 576 * SCALE, 768 * SCALE
    x, y = grid(cols, rows)
    u = np.arange(cols) / cols
    picture = paint_sky(rng, x, y)
    far = 168 - 105 * ridge(rng, cols, 150) * (0.55 + 0.45 * np.cos((u - 0.30) * 5))
    picture = paint_mountain(rng, picture, SCALE * far, 0.34, 128)
    middle = 215 - 62 * ridge(rng, cols, 190) - 46 * (u - 0.6) ** 2
    picture = paint_mountain(rng, picture, SCALE * middle, 0.20, 60)
    for level, swell, haze in ((250, 44, 0.22), (285, 34, 0.10)):
        hill = level - swell * ridge(rng, cols, 260) - 12 * np.cos(u * 6)
        picture = paint_forest(rng, picture, SCALE * hill, haze)
    picture = paint_water(rng, draw_town(rng, picture))
    picture = add_boat(picture, lambda view: draw_sailboat(view, 590, 462, 36), 461)
    picture = add_boat(picture, lambda view: draw_rowboat(view, 190, 505, 46), 503)
    return grade(rng, picture)


# --------------------------------------------------------------------------- command

PICTURES: dict[str, tuple[Callable[[np.random.Generator], Array], str]] = {
    "lake_town": (draw_lake_town, "content"),
    "still_life": (draw_still_life, "content"),
    "swirls": (draw_swirls, "style"),
    "stained_glass": (draw_stained_glass, "style"),
    "wave": (draw_wave, "style"),
}


def save(rgb: Array, path: Path) -> int:
    """Reduce the supersampled picture to 768 px and save it as JPEG; returns its bytes."""
    image = to_image(rgb)
    ratio = 768 / max(image.size)
    size = (round(image.width * ratio), round(image.height * ratio))
    image = image.resize(size, Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in range(92, 60, -2):
        image.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size <= MAX_BYTES:
            break
    return path.stat().st_size


def main() -> None:
    """Draw the pictures named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", nargs="+", choices=sorted(PICTURES), default=list(PICTURES))
    args = parser.parse_args()
    for name in args.only:
        draw, folder = PICTURES[name]
        path = args.out / folder / f"{name}.jpg"
        size = save(draw(np.random.default_rng(2024)), path)
        print(f"{path} {size // 1000} kB")


if __name__ == "__main__":
    main()
