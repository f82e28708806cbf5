"""Which jobs of a plan are meant, and in which order.

In: a plan and a person's choice. Out: jobs, one by one; the plan is never held whole.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, nearest
from pipeline.plan.classes import NO_PLACE, PLACES, place_values
from pipeline.plan.counts import job_values
from pipeline.plan.jobs import Job, Plan
from pipeline.plan.labels import value_text
from pipeline.plan.order import Order


@dataclass(frozen=True)
class Rule:
    """Jobs whose value of an axis matches.

    Attributes:
        option: that says it, for messages.
        axis: `content`, `style`, `class`, `split` or a swept setting.
        pattern: as for file names, of the value as `nst plan` shows it; or a number.
    """

    option: str
    axis: str
    pattern: str

    def takes(self, value: str | None) -> bool:
        """Whether a value matches."""
        if value is None:
            return False
        return fnmatchcase(value, self.pattern) or value == _number(self.pattern)


def _number(pattern: str) -> str:
    """A number as a value is shown."""
    try:
        return value_text(float(pattern))
    except ValueError:
        return pattern


def parse_rules(option: str, words: Sequence[str]) -> tuple[Rule, ...]:
    """`axis=pattern` words as rules.

    Raises:
        ManifestError: a word without `=`.
    """
    wrong = [f"{option} {word}: write axis=value, such as style=wave" for word in words
             if "=" not in word]  # fmt: skip
    if wrong:
        raise ManifestError(wrong)
    return tuple(Rule(option, *word.split("=", 1)) for word in words)


def match(rules: Iterable[Rule], values: Mapping[str, str]) -> bool:
    """Whether all axes that the rules name match, each by any of its rules."""
    found: dict[str, bool] = {}
    for rule in rules:
        found[rule.axis] = found.get(rule.axis, False) or rule.takes(values.get(rule.axis))
    return all(found.values())


def check_rules(rules: Iterable[Rule], plan: Plan) -> None:
    """Whether each rule is about an axis that the plan has, and matches something of it.

    Raises:
        ManifestError: naming what there is.
    """
    axes = _axes(plan)
    problems = []
    for rule in rules:
        known = axes.get(rule.axis)
        where = f"{rule.option} {rule.axis}={rule.pattern}"
        if known is None:
            problems.append(f"{where}: no such axis{nearest(rule.axis, list(axes))}")
        elif not any(map(rule.takes, known)):
            problems.append(f"{where}: no {rule.axis} matches{nearest(rule.pattern, known)}")
    if problems:
        raise ManifestError(problems)


def _axes(plan: Plan) -> dict[str, list[str]]:
    """The values of each axis, as `nst plan` shows them."""
    manifest = plan.manifest
    axes = {
        "content": [content.label for content in manifest.contents],
        "style": [style.label for style in manifest.styles],
        **_places(manifest),
        **{name: list(map(value_text, values)) for name, values in manifest.axes.items()},
    }
    for own, _ in plan.pairing.own_settings:
        for name, value in own.items():
            axes.setdefault(name, []).append(value_text(value))
    return {name: list(dict.fromkeys(values)) for name, values in axes.items()}


def _places(manifest: Manifest) -> dict[str, list[str]]:
    """Classes and splits of the contents; an axis that no content has a value of is none."""
    found: dict[str, dict[str, None]] = {axis: {} for axis in PLACES}
    for content in manifest.contents:
        for axis, value in place_values(content.below).items():
            found[axis][value] = None
    return {axis: list(values) for axis, values in found.items() if set(values) - {NO_PLACE}}


@dataclass(frozen=True)
class Choice:
    """The jobs that a run is about; all frames of a clip count as one.

    Attributes:
        only: rules; several of one axis are alternatives.
        limit: so many of those, the first; 0: all.
        sample: so many of what is left, drawn; 0: all.
        seed: of the draw, and of the order `shuffle`.
    """

    only: tuple[Rule, ...] = ()
    limit: int = 0
    sample: int = 0
    seed: int = 0
    order: Order = "plan"

    @property
    def partial(self) -> bool:
        """Whether it may leave jobs aside."""
        return bool(self.only or self.limit or self.sample)

    def jobs(self, plan: Plan) -> Iterator[Job]:
        """The chosen jobs, in order.

        Raises:
            ManifestError: a rule that matches nothing.
        """
        check_rules(self.only, plan)
        if not self.sample:
            yield from self._limited(plan)
            return
        ranks = dict.fromkeys(map(_lot, self._limited(plan)))
        drawn = set(heapq.nsmallest(self.sample, ranks, key=self._rank))
        yield from (job for job in self._limited(plan) if _lot(job) in drawn)

    def _limited(self, plan: Plan) -> Iterator[Job]:
        lots, last = 0, ""
        for job in plan.jobs(self.order, self.seed):
            if self.only and not match(self.only, job_values(job)):
                continue
            if _lot(job) != last:
                lots, last = lots + 1, _lot(job)
            if self.limit and lots > self.limit:
                return
            yield job

    def _rank(self, lot: str) -> bytes:
        """By which jobs are drawn: random, and the same whatever else is in the plan."""
        return hashlib.sha256(f"{self.seed}/{lot}".encode(errors="surrogateescape")).digest()


def _lot(job: Job) -> str:
    return job.place.chain if job.place else job.name
