"""The other tools by name, and one command of one as a manifest.

In: a tool's name and words. Out: YAML.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from pipeline.errors import ManifestError
from pipeline.manifest.peers.keras_nst import KERAS_NST
from pipeline.manifest.peers.neural_style import NEURAL_STYLE, NEURAL_STYLE_PT
from pipeline.manifest.peers.neural_style_tf import NEURAL_STYLE_TF
from pipeline.manifest.peers.pastiche import PASTICHE
from pipeline.manifest.peers.pytorch_nst import PYTORCH_NST
from pipeline.manifest.peers.style_transfer_pytorch import STYLE_TRANSFER_PYTORCH
from pipeline.manifest.peers.translation import Tool, Translation
from pipeline.manifest.peers.words import refuse_shell, take_options, without_program
from pipeline.manifest.peers.written import manifest_text, manifest_values

TOOLS: dict[str, Tool] = {
    "neural-style": NEURAL_STYLE,
    "neural-style-pt": NEURAL_STYLE_PT,
    "neural-style-tf": NEURAL_STYLE_TF,
    "style-transfer-pytorch": STYLE_TRANSFER_PYTORCH,
    "pastiche": PASTICHE,
    "pytorch-neural-style-transfer": PYTORCH_NST,
    "neural-style-transfer": KERAS_NST,
}


def tool_named(name: str) -> Tool:
    """The tool of a name.

    Raises:
        ManifestError: none is called so.
    """
    if name not in TOOLS:
        raise ManifestError([f"{name!r}: unknown; known are {', '.join(TOOLS)}"])
    return TOOLS[name]


def import_command(tool: str, words: Sequence[str]) -> str:
    """The manifest that does what another tool's command does, as YAML.

    Args:
        tool: one of `TOOLS`.
        words: the command's words; what starts the program may stand first.

    Raises:
        ManifestError: an unknown tool or option, a value that is wrong, or a shell's words.
    """
    known = tool_named(tool)
    refuse_shell(words)
    found = translated(known, words)
    return manifest_text(manifest_values(found), found, tool)


def translated(tool: Tool, words: Sequence[str]) -> Translation:
    """What a command means.

    Raises:
        ManifestError: an unknown option, or a value that is wrong.
    """
    programs = {*tool.programs, *(PurePath(name).name for name in tool.programs)}
    rest, _ = without_program(words, programs)
    found = Translation(tool.preset)
    plain = take_options(tool, rest, found)
    tool.finish(found, plain)
    return found
