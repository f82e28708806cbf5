"""Which contents go with which styles: pairing, draws, explicit pairs.

In: a manifest. Out: pairs in a stable order, one by one; the list is never held whole.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any, NamedTuple

from pipeline.manifest import LEVELS, Manifest, Picture, Sample, Settings, Style
from pipeline.plan.names import naming_of


class PairIndex(NamedTuple):
    """Content and style as indices into the manifest's, and which of the pairs' own settings."""

    content: int
    style: int
    own: int


class Pairing:
    """The pairs of a manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def __len__(self) -> int:
        return self._main_count() + len(self._extra)

    def __iter__(self) -> Iterator[PairIndex]:
        contents, styles = self.manifest.paired
        if self.manifest.pairing == "zip":
            yield from (PairIndex(i, i, 0) for i in range(min(contents, styles)))
        elif isinstance(self.manifest.pairing, Sample):
            for content in range(contents if styles else 0):
                yield from (PairIndex(content, style, 0) for style in self._sampled(content))
        else:
            for content, style in itertools.product(range(contents), range(styles)):
                yield PairIndex(content, style, 0)
        yield from self._extra

    def drawn(self) -> Iterator[tuple[Picture, Style]]:
        """Content and style of every pair that the pairing makes, without the explicit ones."""
        for pair in itertools.islice(self, self._main_count()):
            yield self.manifest.contents[pair.content], self.manifest.styles[pair.style]

    def count(self) -> int:
        """Pairs, each as often as its content has frames."""
        frames = [len(content.frames) for content in self.manifest.contents]
        if all(number == 1 for number in frames):
            return len(self)
        contents, styles = self.manifest.paired
        main = frames[: min(contents, styles) if self.manifest.pairing == "zip" else contents]
        each = 1 if self.manifest.pairing == "zip" else self._main_count() // max(1, contents)
        return sum(main) * each + sum(frames[pair.content] for pair in self._extra)

    def _main_count(self) -> int:
        contents, styles = self.manifest.paired
        if self.manifest.pairing == "zip":
            return min(contents, styles)
        if isinstance(self.manifest.pairing, Sample):
            return contents * min(self.manifest.pairing.sample, styles)
        return contents * styles

    @cached_property
    def _extra(self) -> list[PairIndex]:
        """Explicit pairs that the pairing does not already make. Of several that come to the same
        settings, such as a backbone by name beside none where it is every job's, one: that without
        settings of its own, else the first."""
        pairs = dict.fromkeys(
            PairIndex(pair.content, pair.style, self._own_index[self._shown(pair.settings)])
            for pair in self.manifest.pairs
        )
        often = Counter((pair.content, pair.style) for pair in pairs)
        kept: dict[tuple[int, int, object], PairIndex] = {}
        for pair in pairs:
            is_made = self._is_made(pair)
            alone = often[pair.content, pair.style] == 1 and not is_made
            meant = pair.own if alone else self._meant(pair.own)
            if is_made and meant == self._meant(0):
                continue
            place = (pair.content, pair.style, meant)
            if place not in kept or not pair.own:
                kept[place] = pair
        return list(kept.values())

    @cached_property
    def _meant(self) -> Callable[[int], object]:
        """What jobs with each of the pairs' own settings are made with, to tell the same ones."""
        manifest = self.manifest
        # At other points of the grid these decide what the rest of the settings are.
        decided = bool({"preset", *LEVELS} & manifest.axes.keys())

        @cache
        def meant(own: int) -> object:
            given = {**manifest.settings, **self.own_settings[own][0]}
            network = manifest.network(given.pop("backbone", None))
            if decided:
                return network, repr(sorted(given.items()))
            return network, Settings.model_validate(manifest.with_versions(given)).model_dump_json()

        return meant

    @cached_property
    def own_settings(self) -> list[tuple[Mapping[str, Any], str]]:
        """The settings that explicit pairs have of their own, each with its label; first none."""
        distinct = {self._shown(p.settings): p.settings for p in self.manifest.pairs if p.settings}
        labels = naming_of(self.manifest).own([self._spelled(own) for own in distinct.values()])
        return [({}, ""), *zip(distinct.values(), labels, strict=True)]

    @cached_property
    def _own_index(self) -> dict[str, int]:
        return {self._shown(own): i for i, (own, _) in enumerate(self.own_settings)}

    def _spelled(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings under the names that the manifest gives them."""
        return {self.manifest.spelled.get(name, name): v for name, v in settings.items()}

    def _shown(self, settings: Mapping[str, Any]) -> str:
        return repr(self._spelled(settings))

    def _is_made(self, pair: PairIndex) -> bool:
        contents, styles = self.manifest.paired
        if pair.content >= contents or pair.style >= styles:
            return False
        if self.manifest.pairing == "zip":
            return pair.content == pair.style
        if isinstance(self.manifest.pairing, Sample):
            return pair.style in self._sampled(pair.content)
        return True

    def _sampled(self, content: int) -> list[int]:
        """The styles drawn for one content; other contents have no say in it."""
        pairing = self.manifest.pairing
        assert isinstance(pairing, Sample)
        label = f"{pairing.seed}/{self.manifest.contents[content].label}"
        draw = random.Random(label.encode(errors="surrogatepass"))  # names need not be UTF-8
        styles = self.manifest.paired[1]
        return sorted(draw.sample(range(styles), min(pairing.sample, styles)))
