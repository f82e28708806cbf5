"""What people want of a look, which knob gives it, and what it costs: one table for the command
line and for `docs/looks.md`.

In: nothing. Out: rows. Chosen by looking at pictures of `default`; a new one is a line here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """One way to what is wanted.

    Attributes:
        want: in a person's words.
        write: in the manifest, as YAML: settings, or keys beside `settings:`.
        costs: what is lost for it, in words; empty for nothing.
        time: of a picture over that of `default` at 512 px, by steps and pixels.
    """

    want: str
    write: str
    costs: str = ""
    time: float = 1.0

    @property
    def price(self) -> str:
        """All that it costs, in words."""
        time = "" if self.time == 1 else f"{self.time:g} times the time"
        return "; ".join(filter(None, (time, self.costs))) or "nothing"


WISHES = (
    Wish("more style", "strength: strong", "less of the photograph"),
    Wish("much more style", "strength: extreme", "the style's shapes stand where things were"),
    Wish("more than that", "init: noise", "what the photograph shows is hard to find"),
    Wish("less style", "strength: subtle", "other colors, hardly other shapes"),
    Wish("bigger strokes", "stroke: large", "small things vanish below them"),
    Wish("still bigger strokes", "style_scale: 2", "a larger style picture, read once; as above"),
    Wish("finer strokes", "stroke: fine", "large shapes of the style"),
    Wish("less noise", "tv_weight: 4", "soft edges"),
    Wish("less noise in skies", "style_layers: {conv1_1: 0.4, conv2_1: 0.4, conv3_1: 0.1, "
         "conv4_1: 0.05, conv5_1: 0.05}", "the style's large shapes"),
    Wish("no worms in walls and skies", "neighbor_salience: 2", "large shapes of the style there; "
         "a little less style"),
    Wish("less noise, same shapes", "average_share: 0.4"),
    Wish("keep faces", 'masks: {keep: "{stem}_keep.png"}', "a gray picture beside each photograph, "
         "white where it counts; what is black takes more style"),
    Wish("keep outlines", "laplacian_weight: 0.3", "strokes across them"),
    Wish("keep more of all", "content_layers: [conv3_1, conv4_2]", "bold shapes"),
    Wish("leave a part as it is", 'masks: {content: "{stem}_mask.png"}', "a mask beside each "
         "photograph, black there"),
    Wish("keep the photograph's colors", "color: original_colors", "the painting's"),
    Wish("keep them, light strokes too", "color: preserve_luminance", "the painting's"),
    Wish("the painting's colors at once", "init: content_matched", "a little of the strokes' "
         "freedom"),
    Wish("quicker", "preset: fast", "clean flat areas: fine texture breaks up", 0.2),
    Wish("much quicker", "preset: draft", "as above, and some of the strokes", 0.1),
    Wish("a quick look", "preset: preview", "half the size", 0.2),
    Wish("better, with time", "{scale_factor: 1.6, steps: 300}", time=1.4),
    Wish("better, with much time", "backbone: vgg19", "its weights have to be there", 7.0),
    Wish("larger, the same look", "size: 1024", "four times the memory", 3.6),
    Wish("as before neighbors", "preset: classic", "large shapes", 2.7),
)  # fmt: skip
