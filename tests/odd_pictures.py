"""Picture files that decoders disagree on, each built here, with what is right.

`python tests/odd_pictures.py` builds them all and prints what comes of each.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageCms

WIDTH, HEIGHT = 24, 16
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Odd:
    """One file.

    Attributes:
        build: writes it.
        right: 8-bit levels H x W x 3, from the numbers that were written; or what its error says.
        codes: of the notices that reading it gives.
        off: mean difference from `right` that is allowed.
    """

    build: Callable[[Path], object]
    right: Array | str
    codes: tuple[str, ...] = ()
    off: float = 0.0
    alpha: Array | None = field(default=None)


def ramp() -> Array:
    """0 to 1, H x W, every value another one."""
    return np.linspace(0, 1, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)


def colors() -> Array:
    """0 to 1, H x W x 3."""
    values = ramp()
    return np.stack([values, values[::-1], values[:, ::-1] ** 2], 2)


def levels(values: Array) -> Array:
    """0 to 1 as 8-bit RGB."""
    found = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.repeat(found[..., None], 3, 2) if found.ndim == 2 else found


def whole(values: Array, bits: int) -> Array:
    """0 to 1 as whole numbers of so many bits."""
    return np.rint(values * ((1 << bits) - 1)).astype(f"u{bits // 8}")


def tiff(values: Array, **options: Any) -> Callable[[Path], object]:
    import tifffile

    options = {"metadata": None, **options}
    return lambda path: tifffile.imwrite(path, values, **options)


def deep_png(values: Array, color: int, transparent: bytes = b"") -> Callable[[Path], object]:
    """A 16-bit PNG, chunk by chunk."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, color, 0, 0, 0)
    chunks = [(b"IHDR", header), *([(b"tRNS", transparent)] if transparent else [])]
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return lambda path: path.write_bytes(png_of(chunks))


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def with_chunk(kind: bytes, data: bytes) -> Callable[[Path], object]:
    """An 8-bit PNG with one more chunk before its pixels."""

    def build(path: Path) -> None:
        plain = saved("PNG")
        path.write_bytes(plain[:33] + png_of([(kind, data)])[8:] + plain[33:])

    return build


def saved(format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels(colors())).save(buffer, format, **options)
    return buffer.getvalue()


def cut_jpeg(end: int, **options: Any) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(saved("JPEG", quality=95, **options)[:end])


def jpeg_levels(**options: Any) -> Array:
    data = saved("JPEG", quality=95, **options)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def turned_tiff(orientation: int) -> Callable[[Path], object]:
    tags = [(274, "H", 1, orientation, True)]
    return tiff(levels(colors()), photometric="rgb", extratags=tags)


def retagged(build: Callable[[Path], object], tag: int, value: int) -> Callable[[Path], object]:
    """A little-endian TIFF whose header says something else than its samples are."""

    def rebuilt(path: Path) -> None:
        build(path)
        data = bytearray(path.read_bytes())
        start = struct.unpack_from("<I", data, 4)[0]
        for index in range(struct.unpack_from("<H", data, start)[0]):
            place = start + 2 + 12 * index
            if struct.unpack_from("<H", data, place)[0] == tag:
                struct.pack_into("<H", data, place + 8, value)
        path.write_bytes(data)

    return rebuilt


def several(format: str) -> Callable[[Path], object]:
    """Three pictures in one file, the first of them the one that is taken."""

    def build(path: Path) -> None:
        first = Image.fromarray(levels(colors()))
        rest = [Image.new("RGB", first.size, name) for name in ("red", "lime")]
        options = {"lossless": True} if format == "WEBP" else {}
        first.save(path, format, save_all=True, append_images=rest, **options)

    return build


def strange_profile(path: Path) -> None:
    """A profile whose color space is no text."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[16:20] = b"\xff\xfe\xfd\xfc"
    Image.fromarray(levels(colors())).save(path, "PNG", icc_profile=bytes(data))


def _transparent() -> tuple[Array, Array, Array]:
    """16-bit gray, one level of it transparent; what is seen on white, and the alpha."""
    values = whole(ramp(), 16)
    values[4:8, 4:12] = 1234
    seen = levels(values / 65535)
    alpha = np.where(values == 1234, 0, 255).astype(np.uint8)
    seen[alpha == 0] = 255
    return values, seen, alpha


def _transparent_color() -> tuple[Array, Array, Array]:
    """The same of 16-bit RGB."""
    values = whole(colors(), 16)
    values[4:8, 4:12] = (300, 40_000, 65_535)
    alpha = np.where((values == (300, 40_000, 65_535)).all(2), 0, 255).astype(np.uint8)
    seen = levels(values / 65535)
    seen[alpha == 0] = 255
    return values, seen, alpha


def odd_pictures() -> Iterator[tuple[str, Odd]]:
    """File name and what is right, case by case."""
    gray, rgb = ramp(), colors()
    white_zero = {"photometric": "miniswhite"}
    planes = np.moveaxis(whole(rgb, 16), 2, 0)
    in_planes = {"photometric": "rgb", "planarconfig": "separate"}
    half = np.full((HEIGHT, WIDTH), 0.5)
    with_alpha = np.stack([gray, half], 2)
    seen = levels(gray * 0.5 + 0.5)
    yield "gray-16-white-is-zero.tiff", Odd(tiff(whole(gray, 16), **white_zero), levels(1 - gray))
    yield "rgb-16-planes.tiff", Odd(tiff(planes, **in_planes), levels(rgb))
    yield "rgb-16.tiff", Odd(tiff(whole(rgb, 16), photometric="rgb"), levels(rgb), off=0.6)
    yield "gray-32.tiff", Odd(tiff(whole(gray, 32)), levels(gray))
    yield "rgb-32.tiff", Odd(tiff(whole(rgb, 32), photometric="rgb"), levels(rgb))
    yield "gray-float.tiff", Odd(tiff(gray.astype("f4")), levels(gray))
    yield "gray-float-highlights.tiff", Odd(tiff((gray * 1.5).astype("f4")), levels(gray * 1.5))
    yield "gray-float-255.tiff", Odd(tiff((gray * 255).astype("f4")), "above 1, up to 255")
    nan = np.where(gray > 0.9, np.nan, gray).astype("f4")
    dark = np.where(gray > 0.9, 200.0, 0.0).astype("f4")
    yield "gray-float-dark-255.tiff", Odd(tiff(dark), "above 1, up to 200")
    yield "gray-float-nan.tiff", Odd(tiff(nan), "NaN or infinite")
    yield "gray-half.tiff", Odd(tiff(gray.astype("f2")), levels(gray), off=0.2)
    yield "rgb-half.tiff", Odd(tiff(rgb.astype("f2"), photometric="rgb"), levels(rgb), off=0.2)
    yield "rgb-float.tiff", Odd(tiff(rgb.astype("f4"), photometric="rgb"), levels(rgb))
    yield "gray-double.tiff", Odd(tiff(gray), levels(gray))
    alphas = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
    yield "gray-alpha-16.tiff", Odd(tiff(whole(with_alpha, 16), **alphas), seen, off=0.6)
    alphas = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    premultiplied = np.concatenate([rgb * 0.5, half[..., None]], 2)
    wanted = levels(rgb * 0.5 + 0.5)
    yield "rgb-float-alpha.tiff", Odd(tiff(premultiplied.astype("f4"), **alphas), wanted, off=0.8)
    signed = (gray * 9 - 4).astype("i2")
    yield "gray-16-signed.tiff", Odd(tiff(signed), "16-bit signed gray TIFF with values below 0")
    small = whole(gray, 16).astype("u4")
    yield "gray-32-of-16.tiff", Odd(tiff(small), levels(gray), ("guessed_range",))
    pillows = Image.fromarray(whole(gray, 16).astype("i4"))
    yield "gray-32-of-pillow.tiff", Odd(lambda p: pillows.save(p), levels(gray), ("guessed_range",))
    packed = {"compression": "zlib", "byteorder": ">"}
    yield "gray-float-big.tiff", Odd(tiff(gray.astype("f4"), **packed), levels(gray))
    yield (
        "big-bigtiff.tiff",
        Odd(tiff(levels(rgb), photometric="rgb", bigtiff=True, byteorder=">"), levels(rgb)),
    )
    spare = np.concatenate([whole(rgb, 16), np.zeros((HEIGHT, WIDTH, 1), "u2")], 2)
    unsaid = {"photometric": "rgb", "extrasamples": ["unspecified"], "planarconfig": "separate"}
    yield "rgb-16-spare.tiff", Odd(tiff(np.moveaxis(spare, 2, 0), **unsaid), levels(rgb))
    both = np.stack([whole(gray * 0.5, 8), np.full((HEIGHT, WIDTH), 128, "u1")], 2)
    premultiplied_gray = {"photometric": "minisblack", "extrasamples": ["assocalpha"]}
    shown = levels(gray * 0.5 + 127 / 255)
    yield "gray-8-premultiplied.tiff", Odd(tiff(both, **premultiplied_gray), shown, off=1.0)
    yield "gray-12.tiff", Odd(retagged(tiff(whole(gray, 16)), 258, 12), "12-bit gray TIFF is not")
    zstd = retagged(tiff(rgb.astype("f4"), photometric="rgb"), 259, 50000)
    yield "rgb-float-zstd.tiff", Odd(zstd, "ZSTD.*needs a package more|damaged or truncated")
    lzma = retagged(tiff(rgb.astype("f4"), photometric="rgb"), 259, 34925)
    yield "rgb-float-lzma.tiff", Odd(lzma, "damaged or truncated|LZMA.*needs a package more")
    yield (
        "pages-deep.tiff",
        Odd(tiff(np.stack([planes] * 3), **in_planes), levels(rgb), ("first_of_several",)),
    )
    yield "gray-complex.tiff", Odd(tiff(gray.astype("c8")), "64-bit complex gray TIFF")
    separated = {"photometric": "separated", "planarconfig": "separate"}
    inks = np.stack([whole(gray, 16)] * 4)
    yield "cmyk-16-planes.tiff", Odd(tiff(inks, **separated), "16-bit CMYK TIFF in planes")
    for orientation, turns in ((6, 3), (8, 1)):
        upright = np.rot90(levels(rgb), turns)
        yield f"turned-{orientation}.tiff", Odd(turned_tiff(orientation), upright)
        tags = [(274, "H", 1, orientation, True)]
        deep = tiff(planes, **in_planes, extratags=tags)
        yield f"turned-{orientation}-planes.tiff", Odd(deep, upright)
    values, shown, alpha = _transparent()
    build = deep_png(values, 0, struct.pack(">H", 1234))
    yield "gray-16-transparent.png", Odd(build, shown, alpha=alpha)
    values, shown, alpha = _transparent_color()
    build = deep_png(values.reshape(HEIGHT, -1), 2, struct.pack(">HHH", 300, 40_000, 65_535))
    # Pixels count by three in a row of so many samples.
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    yield "rgb-16-transparent.png", Odd(_renamed(build, header), shown, off=0.6, alpha=alpha)
    for bits, step in ((2, 85), (4, 17)):
        yield f"gray-{bits}-transparent.png", small_gray(bits, step)
    text = b"Comment\0" + b"x" * 3_000_000
    right = levels(rgb)
    yield "text-3-mb.png", Odd(with_chunk(b"tEXt", text), right, ("large_chunk",))
    packed = b"Comment\0\0" + zlib.compress(b"x" * 3_000_000)
    yield "packed-text-3-mb.png", Odd(with_chunk(b"zTXt", packed), right, ("large_chunk",))
    profile = b"large\0\0" + zlib.compress(bytes(3_000_000))
    codes = ("large_chunk", "unusable_profile")
    yield "profile-3-mb.png", Odd(with_chunk(b"iCCP", profile), right, codes)
    yield "strange-profile.png", Odd(strange_profile, right, ("unusable_profile",))
    jpeg = jpeg_levels()
    yield "no-end.jpg", Odd(cut_jpeg(-2), jpeg, ("no_end_marker",))
    layered = jpeg_levels(progressive=True)
    yield "no-end-layered.jpg", Odd(cut_jpeg(-2, progressive=True), layered, ("no_end_marker",))
    yield "cut.jpg", Odd(cut_jpeg(-8), "damaged or truncated")
    yield "cut-layered.jpg", Odd(cut_jpeg(-8, progressive=True), "damaged or truncated")
    yield "moving.webp", Odd(several("WEBP"), right, ("first_of_several",))
    yield "pages.tiff", Odd(several("TIFF"), right, ("first_of_several",))


def small_gray(bits: int, step: int) -> Odd:
    """A PNG of few gray levels, of which the second is transparent."""
    values = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) % (1 << bits)
    packed = np.zeros((HEIGHT, WIDTH * bits // 8), np.uint8)
    each = 8 // bits
    for place in range(each):
        packed |= (values[:, place::each] << (8 - bits * (place + 1))).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", b"\0\1"), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    alpha = np.where(values == 1, 0, 255).astype(np.uint8)
    seen = np.repeat(np.where(values == 1, 255, values * step)[..., None], 3, 2)
    return Odd(lambda path: path.write_bytes(png_of(chunks)), seen.astype(np.uint8), alpha=alpha)


def _renamed(build: Callable[[Path], object], header: bytes) -> Callable[[Path], object]:
    """A PNG with another header."""

    def rebuilt(path: Path) -> None:
        build(path)
        data = path.read_bytes()
        path.write_bytes(data[:8] + png_of([(b"IHDR", header)])[8:] + data[33:])

    return rebuilt


def main() -> None:
    """Prints what comes of each file: the mean difference from what is right, or its error."""
    from pipeline.pictures import read_image, read_size

    with TemporaryDirectory() as folder:
        for name, odd in odd_pictures():
            path = Path(folder) / name
            odd.build(path)
            try:
                size, image = read_size(path), read_image(path)
                said = "" if size == image.size else f", but its header says {size}"
                if isinstance(odd.right, str):
                    said += f", taken though it should not be: {odd.right}"
                elif image.size != odd.right.shape[1::-1]:
                    said += f", of the wrong size {image.size}"
                else:
                    off = np.abs(np.asarray(image).astype(float) - odd.right).mean()
                    said = f"off by {off:.2f} of 255{said}"
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                said = f"{type(error).__name__}: {str(error).replace(folder + '/', '')}"
            print(f"{name}: {said.strip(', ')}", file=sys.stdout)


if __name__ == "__main__":
    main()
