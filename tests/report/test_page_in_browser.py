"""The report in a browser: axes, filter, sort, compare, favorites, keys. Skipped without one."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_run import EVIL, add_job

from pipeline.manifest import load_manifest
from pipeline.report import build_report
from pipeline.store import Failure, RunFolder

selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = selenium.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,900"):
        options.add_argument(argument)
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


class Page:
    """A report of 2 contents x 2 styles x 3 weights and a failed job, open in a browser."""

    def __init__(self, browser: Any, run: Path, picture: Callable[..., Path]) -> None:
        self.browser, self.run = browser, run
        names = ("a", "b", "red", f"x{EVIL.replace('/', '_')}")
        self.pictures = [picture(f"{n}.png", i) for i, n in enumerate(names)]
        for i, content in enumerate(self.pictures[:2]):
            for j, style in enumerate(self.pictures[2:]):
                for weight in (2.0, 5.0, 10.0):
                    add_job(run, content, style, (90 * i, 90 * j, 9), style_weight=weight)
        RunFolder(run).add_failure(
            Failure(
                name="b__red__lost",
                error=EVIL,
                content=str(self.pictures[1]),
                style="red",
                style_parts={str(self.pictures[2]): 1.0},
                swept={"style_weight": 99.0},
            )
        )
        build_report(RunFolder(run))
        browser.get((run / "report.html").as_uri())
        browser.execute_script("localStorage.clear()")
        browser.refresh()

    def ask(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self.browser.execute_script(f"return {script}")

    def choose(self, select: str, text: str) -> None:
        """Picks an option by its text, as a reader does."""
        from selenium.webdriver.support.ui import Select

        Select(self.browser.find_element("id", select)).select_by_visible_text(text)

    def wait(self, script: str, what: Any = True) -> None:
        """Until an expression has a value."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser, 10, 0.05).until(lambda _: self.ask(script) == what, script)

    def reload(self) -> None:
        """Loads the page anew with what it had stored.

        Handed over by hand: on a busy machine Chromium may lose a file's storage between the two.
        """
        stored = self.ask("JSON.stringify({...localStorage})")
        script = f"Object.assign(localStorage, {stored})"
        command = "Page.addScriptToEvaluateOnNewDocument"
        handle = self.browser.execute_cdp_cmd(command, {"source": script})
        self.browser.refresh()
        self.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", handle)

    def press(self, *keys: str) -> None:
        """Presses keys where the focus is."""
        for key in keys:
            self.browser.switch_to.active_element.send_keys(key)


COUNT = "document.getElementById('count').textContent"
TILES = "document.querySelectorAll('.tile').length"


@pytest.fixture
def page(browser: Any, tmp_path: Path, picture: Callable[..., Path]) -> Page:
    page = Page(browser, tmp_path / "run", picture)
    page.wait(TILES, 4)  # cells are built as they come into sight
    return page


def test_axes_and_filters_choose_what_is_shown(page: Page) -> None:
    page.wait(TILES, 4)  # content x style at the first weight
    page.choose("filter-style_weight", "99")
    page.wait(TILES, 1)
    assert page.ask("document.querySelector('.tile.failed').textContent") == f"failed: {EVIL}"
    page.choose("cols", "style_weight")
    page.wait("document.querySelectorAll('.col').length", 4)
    page.choose("rows", "none")
    page.choose("cols", "none")
    page.choose("filter-style_weight", "all")
    page.choose("filter-style", "all")
    page.wait(TILES, 13)
    assert page.ask("document.getElementById('shown').textContent") == "13 of 13 jobs shown"
    assert page.ask("document.querySelectorAll('script').length") <= 3  # no name became one
    images = "[...document.querySelectorAll('.tile img')]"
    page.wait(f"{images}.every(i => i.complete && i.naturalWidth > 0 && i.alt)")


def test_sorting_puts_the_failed_last(page: Page) -> None:
    page.choose("rows", "none")
    page.choose("cols", "none")
    page.choose("filter-style_weight", "all")
    page.choose("sort", "total loss")
    page.wait(TILES, 13)
    assert page.ask("[...document.querySelectorAll('.tile')].at(-1).classList.contains('failed')")


def test_keys_move_open_mark_and_compare(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.ask("document.querySelector(\".tile[tabindex='0']\").focus()")
    page.press(Keys.ARROW_RIGHT)
    label = page.ask("document.activeElement.getAttribute('aria-label')")
    assert "content a" in label and "style x" in label
    page.press(Keys.ENTER)
    page.wait("document.getElementById('viewer').open")
    page.wait("document.querySelectorAll('#facts polyline').length", 3)
    first = page.ask("document.getElementById('name').textContent")
    page.press(Keys.ARROW_RIGHT)
    assert page.ask("document.getElementById('name').textContent") != first
    page.press("f")
    page.wait(COUNT, "1")
    page.press("c", Keys.ARROW_RIGHT, "c")
    page.wait("document.getElementById('compare').open")
    page.wait("document.getElementById('right').naturalWidth", 64)
    clip = "getComputedStyle(document.getElementById('left')).clipPath"
    before = page.ask(clip)
    page.press(Keys.ARROW_RIGHT)
    assert page.ask(clip) != before
    page.browser.find_element("id", "way").click()
    boxes = "['left', 'right'].map(i => document.getElementById(i).getBoundingClientRect().left)"
    left, right = page.ask(boxes)
    assert right > left + 100
    page.press(Keys.ESCAPE)
    page.wait("document.getElementById('compare').open", False)


def test_favorites_stay_and_become_a_manifest_of_just_those_jobs(page: Page) -> None:
    for star in page.browser.find_elements("css selector", ".star")[:2]:
        page.browser.execute_script("arguments[0].click()", star)
    page.wait(COUNT, "2")
    page.reload()
    page.wait(COUNT, "2")
    page.browser.find_element("id", "only").click()
    page.wait(TILES, 2)
    text = page.ask("nst.manifest(2)")
    (page.run.parent / "favorites.yaml").write_text(text)
    manifest = load_manifest(page.run.parent / "favorites.yaml")
    assert manifest.settings["size"] == 128 and manifest.backbone == "lite"
    assert [pair.settings for pair in manifest.pairs] == [{"style_weight": 2.0}] * 2
    assert {c.path for c in manifest.contents} == {page.pictures[0]}


def test_light_dark_and_phone(page: Page) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    before = page.ask(color)
    page.browser.find_element("id", "theme").click()
    assert page.ask(color) != before
    page.browser.set_window_size(500, 900)
    assert page.ask("document.documentElement.scrollWidth <= window.innerWidth")
    page.browser.set_window_size(1300, 900)
