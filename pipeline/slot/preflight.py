"""Whether kernels run on a device: asked before the first batch, in a process of its own each, so
that a driver that hangs or kills costs that process alone.

In: devices as the user knows them. Out: what each said of itself. Must not load torch.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from pipeline.slot.visible import in_own_process, own_environment

# To load torch, also from a slow disk, and to set up a GPU; the check itself takes no second.
_ANSWERS_S = 120.0
_HOME = Path(__file__).resolve().parents[2]
_INDEX = "https://download.pytorch.org/whl"


@dataclass(frozen=True)
class Health:
    """What a device said of itself.

    Attributes:
        device: as the user knows it.
        name: of the card.
        capability: of a CUDA GPU, such as `8.9`.
        free, total: bytes of its memory; 0 where it does not say.
        precision: what `auto` stands for there.
        problem: why it cannot be used, or empty.
        mend: what to do about that.
    """

    device: str
    name: str = ""
    capability: str = ""
    free: int = 0
    total: int = 0
    precision: str = ""
    problem: str = ""
    mend: str = ""

    @property
    def reason(self) -> str:
        """The card's name, why it cannot be used and what to do, in a line."""
        named = f" ({self.name})" if self.name else ""
        return f"{self.device}{named}: {self.problem}" + (f"; {self.mend}" if self.mend else "")


def ask_devices(devices: Sequence[str], answers_s: float = _ANSWERS_S) -> list[Health]:
    """Has each device convolve in a process of its own, all side by side.

    Args:
        answers_s: until when each has to have answered.
    """
    deadline = time.monotonic() + answers_s
    begun = [(device, _begin(device)) for device in dict.fromkeys(devices)]
    return [_hear(device, process, deadline, answers_s) for device, process in begun]


def _command(device: str) -> list[str]:
    return [sys.executable, "-m", "pipeline.slot.health", in_own_process(device)]


def _begin(device: str) -> subprocess.Popen[str]:
    # In the folder that this package lies in, which Python then looks into first.
    return subprocess.Popen(
        _command(device), cwd=_HOME, env={**os.environ, **own_environment(device)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace",
    )  # fmt: skip


def _hear(device: str, process: subprocess.Popen[str], deadline: float, answers_s: float) -> Health:
    try:
        said, errors = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)  # no longer: what waits for a driver cannot be killed
        return Health(device, problem=f"did not answer within {answers_s:g} s", mend=_LOOK)
    try:
        values = json.loads(said.strip().splitlines()[-1])
        return replace(Health(**values), device=device)
    except (IndexError, ValueError, TypeError):
        last = (errors.strip().splitlines() or ["nothing was said"])[-1]
        problem = f"its check {_ending(process.returncode)}: {last}"
        return Health(device, problem=problem, mend=_LOOK)


_LOOK = "nvidia-smi, and the system's log, may say more"


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def to_json(health: Health) -> str:
    """One line of JSON, as `ask_devices` reads it."""
    return json.dumps({field.name: getattr(health, field.name) for field in fields(health)})


# --- cards that torch does not see ----------------------------------------------------------------


def cards() -> list[tuple[str, str]]:
    """Name and capability, such as `8.9`, of each card that NVIDIA's own tool shows; empty without
    the tool, and the capability is empty where its version does not know it."""
    tool = shutil.which("nvidia-smi")
    for columns in ("name,compute_cap", "name") if tool else ():
        asked = [str(tool), f"--query-gpu={columns}", "--format=csv,noheader"]
        try:
            ran = subprocess.run(
                asked, capture_output=True, text=True, errors="replace", timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        if ran.returncode == 0:
            rows = csv.reader(ran.stdout.splitlines(), skipinitialspace=True)
            return [(row[0], row[1] if len(row) > 1 else "") for row in rows if row]
    return []


def install_torch(capability: str = "") -> str:
    """How a torch is installed that is built for a card of this capability; of those that nst runs
    with the builds for CUDA 12.6 are for the most cards, and newer cards need CUDA 12.8."""
    build = "cu128" if capability and float(capability) >= 10 else "cu126"
    return f"pip install --force-reinstall torch torchvision --index-url {_INDEX}/{build}"
