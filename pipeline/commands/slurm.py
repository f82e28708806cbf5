"""`nst slurm`: a run's shards as an array job of Slurm.

In: a manifest and the options of `sbatch`. Out: a script, printed or submitted. Each task runs one
shard into the same run folder on shared storage, and stops in order two minutes before its time is
over; the same job submitted again goes on.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands.init import manifest_in
from pipeline.errors import EngineError
from pipeline.files import real
from pipeline.manifest import load_manifest
from pipeline.terminal import say

_WARNED_S = 120


def array_job(
    manifest_path: Path, array: int, sbatch: Sequence[str], words: Sequence[str], *, submit: bool
) -> int:
    """Prints the script of an array job, or submits it.

    Args:
        array: how many tasks, each a shard.
        sbatch: more options of `sbatch`, such as `--gres=gpu:1`.
        words: more of `nst batch`.

    Raises:
        EngineError: an option that is none of `sbatch`, or it refuses the job or is not there.
        ManifestError: the manifest is not valid.
    """
    for option in sbatch:
        if not option.startswith("-") or "\n" in option:
            raise EngineError(f"--sbatch {option}: write an option of sbatch, such as --gres=gpu:1")
    taken = {"--shard", "--detach"} & {word.partition("=")[0] for word in words}
    if taken:
        raise EngineError(f"{', '.join(sorted(taken))}: each task runs one shard; leave it out")
    path = manifest_in(manifest_path)
    run = load_manifest(path).output
    text = _script(real(path), run, array, sbatch, words)
    if not submit:
        say(text.rstrip("\n"))
        return 0
    try:
        ran = subprocess.run(["sbatch"], input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EngineError(
            f"sbatch cannot be run ({error.strerror}); submit from a node that has Slurm, or leave "
            f"--submit out and copy the script"
        ) from error
    if ran.returncode:
        raise EngineError(f"sbatch refused the job: {ran.stderr.strip() or ran.returncode}")
    say(ran.stdout.strip())
    return 0


def _script(
    manifest: Path, run: Path, array: int, sbatch: Sequence[str], words: Sequence[str]
) -> str:
    command = [sys.executable, "-m", "pipeline", "batch", str(manifest), *words]
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name=nst-{run.name}",
        f"#SBATCH --array=1-{array}",
        f"#SBATCH --output={manifest.parent}/nst-%A_%a.log",
        f"#SBATCH --signal=B:TERM@{_WARNED_S}",
        *(f"#SBATCH {option}" for option in sbatch),
        f'exec {shlex.join(command)} --shard "$SLURM_ARRAY_TASK_ID/{array}"',
    ]
    return "\n".join(lines) + "\n"
