"""Settings as they are given on the command line, `--set key=value`.

In: words. Out: valid settings. Must not load torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.commands.output import print_warnings
from pipeline.errors import ManifestError
from pipeline.manifest import (
    OLD_NAMES,
    Network,
    Plain,
    Position,
    Settings,
    check_network,
    network_of,
    old_name_warning,
    parse_value,
    position_text,
    settings_problems,
    with_new_names,
    without_secrets,
)


def parse_settings(
    assignments: Sequence[str],
    given: Mapping[str, Any] = MappingProxyType({}),
    *,
    whole: bool = True,
) -> dict[str, Any]:
    """`key=value` words as settings; values are written as in a manifest.

    Args:
        given: valid settings that these go over.
        whole: these are all that there is, so that they have to go together.

    Raises:
        ManifestError: no `=`, an unknown key, or a value out of range.
    """
    values: dict[str, Any] = {}
    problems = []
    for word in assignments:
        key, equals, text = word.partition("=")
        if not equals:
            problems.append(f"--set {word}: write key=value")
        elif key in values:
            problems.append(f"--set {word}: {key} is set twice")
        else:
            values[key] = without_secrets(parse_value(text))
    for position, message in settings_problems({**given, **values}):
        name = ".".join(map(str, position))
        problems.append(f"--set {name}: {message}")
    if whole and not problems:
        problem = Settings.model_validate({**given, **with_new_names(values)}).problem()
        problems += [f"--set: {problem}"] if problem else []
    if problems:
        raise ManifestError(problems)
    print_warnings(f"--set {old_name_warning(name)}" for name in values if name in OLD_NAMES)
    return with_new_names(values)


def named_network(backbone: Plain) -> Network | None:
    """The network that `--set backbone=...` names; its file lies from the working folder.

    Raises:
        ManifestError: its weights are not there, or want another preprocessing.
    """
    if backbone is None:
        return None
    problems: list[str] = []

    def report(place: Position, said: str) -> None:
        problems.append(f"--set {position_text(('backbone', *place))}: {said}")

    network = check_network(Path.cwd(), network_of(backbone), report)
    if problems:
        raise ManifestError(problems)
    return network
