"""The page without a browser: contrast by WCAG's formula, and a name for every control."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.report import build_report
from pipeline.report.page import _SCRIPTS
from pipeline.store import RunFolder

WEB = Path(__file__).parents[2] / "pipeline/report/web"
CSS = (WEB / "report.css").read_text()
VOID = {"img", "input", "meta", "link", "br"}


def colors(theme: str) -> dict[str, str]:
    """The palette of a theme, by name."""
    light = dict(re.findall(r"--(\w+): (#[0-9a-f]+)", CSS.split("@media")[0]))
    dark = dict(re.findall(r"--(\w+): (#[0-9a-f]+)", CSS.split(":root.dark {")[1].split("}")[0]))
    return light if theme == "light" else light | dark


def luminance(color: str) -> float:
    """WCAG's relative luminance, in [0, 1]."""
    digits = color[1:] if len(color) == 7 else "".join(c + c for c in color[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio, 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_black_on_white_is_21() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)  # a well-known near miss


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "raised"])
def test_texts_and_edges_have_the_contrast_that_wcag_aa_wants(theme: str, ground: str) -> None:
    palette = colors(theme)
    texts = ("ink", "soft", "accent", "bad", "gold", "c1", "c2", "c3", "c4")
    low = {name: contrast(palette[name], palette[ground]) for name in texts}
    assert {name: ratio for name, ratio in low.items() if ratio < 4.5} == {}
    assert contrast(palette["edge"], palette[ground]) >= 3  # of controls


def test_dark_by_the_system_is_dark_by_the_button() -> None:
    system = CSS.split(":root:not(.light) {")[1].split("}")[0]
    button = CSS.split(":root.dark {")[1].split("}")[0]
    assert system.split() == button.split()


class _Controls(HTMLParser):
    """Finds controls, and what each is called by: its label, its own words or `aria-label`."""

    def __init__(self) -> None:
        super().__init__()
        self.path: list[tuple[str, dict[str, str | None]]] = []
        self.named: dict[str, str] = {}
        self.open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        if tag in ("button", "select", "input", "dialog", "output"):
            label = next((a["said"] for t, a in self.path if t == "label" and a["said"]), "")
            by = own.get("aria-label") or own.get("aria-labelledby")
            self.named[str(own.get("id"))] = by or (label or "")
        if tag not in VOID:
            self.path.append((tag, own | {"said": ""}))

    def handle_endtag(self, tag: str) -> None:
        while self.path and self.path.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag, own in self.path:
            if tag == "label" and data.strip():
                own["said"] = (own["said"] or "") + data.strip()
            if tag == "button" and any(c.isalpha() for c in data):
                self.named[str(own["id"])] = self.named[str(own["id"])] or data.strip()


def test_every_control_has_a_name(run: Path) -> None:
    build_report(RunFolder(run))
    body = (run / "report.html").read_text().split("<script>")[0]
    found = _Controls()
    found.feed(body)
    assert len(found.named) > 20 and {name for name, by in found.named.items() if not by} == set()


def test_every_id_that_a_script_asks_for_is_there_once() -> None:
    page = (WEB / "report.html").read_text()
    asked = {
        name
        for script in _SCRIPTS
        for name in re.findall(r'\$\("(\w+)"\)', (WEB / script).read_text())
    }
    ids = re.findall(r'\bid="(\w+)"', page)
    assert asked <= set(ids) and len(ids) == len(set(ids))


def test_all_scripts_are_on_the_page_and_none_asks_the_network(run: Path) -> None:
    assert {path.name for path in WEB.glob("*.js")} == set(_SCRIPTS)
    build_report(RunFolder(run))
    text = (run / "report.html").read_text()
    assert not re.search(r"https?://(?!www\.w3\.org)", text) and "@import" not in text
    assert all(len((WEB / name).read_text().splitlines()) <= 400 for name in _SCRIPTS)
