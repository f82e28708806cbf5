"""The report in a browser: what is shown and how, keys, touch, marks, a run that goes on, and
accessibility by axe-core. Skipped without a browser."""

import json
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
# Headless, there is none, and pages look as on a phone.
MOUSE = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = selenium.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1300,900"):
        options.add_argument(argument)
    options.add_argument(f"--blink-settings={MOUSE}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
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
        browser.get("about:blank")  # else another hash of the same page would not load it anew
        browser.get((run / "report.html").as_uri())
        browser.execute_script("localStorage.clear()")
        browser.refresh()

    def emulate(self, width: int, height: int, phone: bool = False, **features: str) -> None:
        """A window of this size; perhaps of a phone, and with media features."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        listed = [{"name": n.replace("_", "-"), "value": v} for n, v in features.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})

    def open_at(self, view: str) -> None:
        """Loads the page with this view in its address."""
        self.browser.get("about:blank")
        self.browser.get((self.run / "report.html").as_uri() + view)

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
SHOWN = "document.getElementById('shown').textContent"
NAME = "document.getElementById('name').textContent"
VIEWER = "document.getElementById('viewer').open"
TILES = "document.querySelectorAll('.tile').length"
IMAGES = "[...document.querySelectorAll('.tile img')]"


@pytest.fixture
def page(browser: Any, tmp_path: Path, picture: Callable[..., Path]) -> Iterator[Page]:
    page = Page(browser, tmp_path / "run", picture)
    page.emulate(1300, 900)
    page.wait(TILES, 4)  # cells are built as they come into sight
    yield page
    wrong = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert not [message for message in wrong if "live.js" not in message]


def test_axes_and_filters_choose_what_is_shown(page: Page) -> None:
    page.wait(TILES, 4)  # content x style at the first weight
    page.choose("filter-style_weight", "99")
    page.wait(TILES, 1)
    assert page.ask("document.querySelector('.tile.failed').textContent") == "failed"
    page.choose("cols", "style weight")
    page.wait("document.querySelectorAll('.col').length", 4)
    page.choose("rows", "none")
    page.choose("cols", "none")
    page.wait(TILES, 13)
    assert page.ask(SHOWN) == "13 of 13 pictures shown"
    assert page.ask("document.querySelectorAll('script').length") <= 3  # no name became one
    page.wait(f"{IMAGES}.every(i => i.complete && i.naturalWidth > 0 && i.alt)")


def test_pictures_side_by_side_say_what_differs(page: Page) -> None:
    page.choose("rows", "none")
    page.choose("cols", "none")
    captions = "[...document.querySelectorAll('.cell small')].map(e => e.textContent)"
    page.wait(f"{captions}.length", 13)
    assert page.ask(captions)[0] == "a · red · style weight 10"
    page.choose("filter-style", "red")
    page.wait(f"{captions}[0]", "a · style weight 10")


def test_sorting_puts_the_failed_last(page: Page) -> None:
    page.choose("rows", "none")
    page.choose("cols", "none")
    page.choose("sort", "total loss")
    page.wait(TILES, 13)
    assert page.ask("[...document.querySelectorAll('.tile')].at(-1).classList.contains('failed')")


def test_what_is_made_comes_before_what_failed(page: Page) -> None:
    for weight in (1.0, 2.0):  # the first content and the first weight have nothing else
        failure = {"name": f"A{weight}", "content": "A.png", "style": "red", "error": "broken"}
        parts = {str(page.pictures[2]): 1.0}
        swept = {"style_weight": weight}
        RunFolder(page.run).add_failure(Failure(**failure, style_parts=parts, swept=swept))
    build_report(RunFolder(page.run))
    page.open_at("")
    failed = "[...document.querySelectorAll('.tile')].map(t => t.classList.contains('failed'))"
    page.wait(SHOWN, "5 of 15 pictures shown: style weight 2")  # the first that has pictures
    assert page.ask(failed) == [False] * 4 + [True]
    rows = "[...document.querySelectorAll('.row .label')].map(e => e.textContent)"
    assert page.ask(rows) == ["a", "b", "A"]
    page.choose("rows", "style weight")
    page.choose("cols", "content")
    page.choose("filter-style", "red")
    page.wait("document.querySelectorAll('.row').length", 5)
    columns = "[...document.querySelectorAll('.col')].map(e => e.textContent)"
    assert page.ask(columns) == ["a", "b", "A"] and page.ask(rows) == ["2", "5", "10", "1", "99"]
    for order in ("name", "time"):
        page.choose("rows", "none")
        page.choose("cols", "none")
        page.choose("filter-style", "all")
        page.choose("sort", order)
        page.wait(TILES, 15)
        assert page.ask(failed) == [False] * 12 + [True] * 3


def test_search_and_failed_only(page: Page) -> None:
    page.choose("rows", "none")
    page.choose("cols", "none")
    page.browser.find_element("id", "search").send_keys("a RED weight 5")
    page.wait(TILES, 1)
    page.browser.find_element("id", "search").clear()
    page.browser.find_element("id", "search").send_keys("nothing of that name")
    page.wait(SHOWN, "0 of 13 pictures shown")
    page.open_at("")
    page.choose("rows", "none")
    page.choose("cols", "none")
    page.choose("show", "failed (1)")
    page.wait(TILES, 1)


def test_a_reason_stands_once_and_in_the_viewer(page: Page) -> None:
    text = page.ask("document.body.innerText")
    assert text.count(EVIL) == 1
    page.choose("show", "failed (1)")
    page.wait(TILES, 1)
    page.browser.find_element("css selector", ".tile.failed").click()
    page.wait("document.getElementById('why').textContent", f"failed: {EVIL}")


def test_the_address_holds_the_view_and_the_picture(page: Page) -> None:
    page.choose("rows", "style")
    page.choose("cols", "style weight")
    page.choose("sort", "time")
    page.browser.find_element("id", "search").send_keys("b")
    page.wait("location.hash.includes('search=b')")
    page.wait(TILES, 7)
    page.browser.find_elements("css selector", ".tile")[1].click()
    page.wait("location.hash.includes('picture=')")
    view, name = page.ask("location.hash"), page.ask(NAME)
    page.open_at(view)
    page.wait(VIEWER)
    assert page.ask(NAME) == name and page.ask("location.hash") == view
    assert page.ask("document.getElementById('rows').selectedOptions[0].textContent") == "style"
    assert page.ask("document.getElementById('sort').value") == "seconds"
    page.browser.find_element("id", "close").click()
    page.wait("location.hash.includes('picture=')", False)
    page.open_at("#rows=nonsense&only+style=gone&size=7&show=what&sort=how&picture=none")
    page.wait(TILES, 4)  # what is not of this run is passed over


def test_the_browsers_way_back_closes_the_viewer(page: Page) -> None:
    page.browser.find_elements("css selector", ".tile")[0].click()
    page.wait(VIEWER)
    page.browser.back()
    page.wait(VIEWER, False)
    page.wait(TILES, 4)


def test_keys_move_open_mark_and_compare(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.ask("document.querySelector(\".tile[tabindex='0']\").focus()")
    page.press(Keys.ARROW_RIGHT)
    label = page.ask("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("a in the style of x") and label.endswith(", style weight 2")
    page.press(Keys.HOME)
    assert "a in the style of red" in page.ask("document.activeElement.ariaLabel")
    page.browser.switch_to.active_element.send_keys(Keys.CONTROL, Keys.END)
    assert "b in the style of x" in page.ask("document.activeElement.ariaLabel")
    page.press(Keys.ARROW_UP, Keys.END)
    assert page.ask("document.activeElement.ariaLabel") == label
    page.press(Keys.ENTER)
    page.wait(VIEWER)
    page.wait("document.querySelectorAll('#facts polyline').length", 3)
    first = page.ask(NAME)
    page.press(Keys.ARROW_RIGHT)
    assert page.ask(NAME) != first
    page.press(Keys.END)
    last = page.ask(NAME)
    page.press(Keys.ARROW_RIGHT)  # round to the first
    page.press(Keys.HOME)
    assert page.ask(NAME) not in (first, last)
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


def test_content_and_style_stand_beside_the_picture(page: Page) -> None:
    page.browser.find_elements("css selector", ".tile")[0].click()
    page.wait("document.querySelectorAll('#sources img').length", 2)
    page.wait("[...document.querySelectorAll('#sources img')].every(i => i.naturalWidth > 0)")
    page.browser.find_element("css selector", "#sources button").click()
    page.wait("document.getElementById('compare').open")
    page.wait("document.getElementById('left').alt", "content a")


def test_favorites_stay_and_become_a_manifest_of_just_those_jobs(page: Page) -> None:
    for star in page.browser.find_elements("css selector", ".star")[:2]:
        page.browser.execute_script("arguments[0].click()", star)
    page.wait(COUNT, "2")
    page.reload()
    page.wait(COUNT, "2")
    page.choose("show", "favorites (2)")
    page.wait(TILES, 2)
    assert page.ask("document.getElementById('px').value") == "128"
    text = page.ask("nst.manifest(128)")
    (page.run.parent / "favorites.yaml").write_text(text)
    manifest = load_manifest(page.run.parent / "favorites.yaml")
    assert manifest.settings["size"] == 128 and manifest.backbone == "lite"
    assert [pair.settings["style_weight"] for pair in manifest.pairs] == [2.0] * 2
    assert {c.path for c in manifest.contents} == {page.pictures[0]}
    page.browser.find_element("id", "export").click()
    said = page.ask("document.getElementById('said').textContent")
    assert said == (
        "favorites.yaml: 2 pictures at 128 px into run-favorites; make them with: "
        "nst batch favorites.yaml"
    )


def test_larger_favorites_keep_their_look(page: Page) -> None:
    run = page.run.parent / "grown"
    content, style = page.pictures[0], page.pictures[2]
    name = add_job(run, content, style, (9, 9, 9), steps=100)
    record = RunFolder(run).record_path(name)
    made = json.loads(record.read_text())
    made["scales"] = [[32, 24, 60], [64, 48, 40]]
    made["settings"]["size_step"] = 16
    record.write_text(json.dumps(made))
    build_report(RunFolder(run))
    page.run = run
    page.open_at("")
    page.wait(TILES, 1)
    page.browser.execute_script("document.querySelector('.star').click()")
    path = page.run.parent / "favorites.yaml"
    for px, steps, step in ((128, (60, 40), 32), (99, (60, 40), None), (64, 100, None)):
        path.write_text(page.ask(f"nst.manifest({px})"))
        manifest = load_manifest(path)
        assert manifest.pairs[0].settings.get("size_step") == step
        assert manifest.settings["size"] == px and manifest.pairs[0].settings["steps"] == steps


def test_rejected_ones_are_saved_by_name_and_are_no_favorites(page: Page) -> None:
    page.ask("document.querySelector(\".tile[tabindex='0']\").focus()")
    page.press("f", "x")
    page.wait("document.getElementById('uncount').textContent", "1")
    page.wait(COUNT, "0")
    assert page.ask("nst.names('rejected')").splitlines()[1:] == ["a__red__style_weight-2.0"]
    page.choose("show", "not rejected (12)")
    page.wait(SHOWN, "3 of 13 pictures shown: style weight 2")


def test_pictures_grow_to_the_full_width_and_the_page_alone_scrolls(page: Page) -> None:
    page.browser.execute_script(
        "const z = document.getElementById('zoom'); z.value = 100; z.oninput()"
    )
    width = "document.querySelector('.tile')?.getBoundingClientRect().width"
    page.wait(f"{width} > 1300 - 2 * 24 - 140 - 40")
    inner = "[...document.querySelectorAll('main *')].filter(e => e.scrollHeight > e.clientHeight"
    inner += " + 1 && ['auto', 'scroll'].includes(getComputedStyle(e).overflowY)).length"
    assert page.ask(inner) == 0
    page.reload()
    page.wait(f"{width} > 1300 - 2 * 24 - 140 - 40")
    page.browser.find_element("id", "fit").click()
    page.wait(f"{width} < 700")


def test_a_sampled_data_set_has_no_empty_places(page: Page) -> None:
    inputs = [page.run.parent / f"{i}.png" for i in range(6)]
    for i, path in enumerate(inputs):
        shutil.copy(page.pictures[i % 4], path)
    run = page.run.parent / "sampled"
    for i in range(6):
        add_job(run, inputs[i], inputs[(i * 5) % 6], (9 * i, 9, 9))
    build_report(RunFolder(run))
    page.run = run
    page.open_at("")
    page.wait(TILES, 6)
    cells = "[...document.querySelectorAll('.cell')].every(c => c.querySelector('.tile'))"
    assert page.ask(cells)
    page.open_at("#rows=content&columns=style")
    page.wait(f"{TILES} >= 4")
    assert page.ask(cells) and "side by side, each with its style" in page.ask(SHOWN)


def test_a_clips_frames_are_one_tile_that_plays(page: Page) -> None:
    run = page.run.parent / "film"
    for number in (1, 2, 3):
        frame = page.run.parent / f"{number}.png"
        shutil.copy(page.pictures[0], frame)
        name = add_job(run, frame, page.pictures[2], (9 * number, 9, 9))
        path = RunFolder(run).record_path(name)
        made = json.loads(path.read_text())
        place = {"path": "/films/walk.mp4", "video": "walk__red", "frame": number, "frames": 3}
        path.write_text(json.dumps(made | {"clip": place}))
    (run / "videos").mkdir()
    (run / "videos/walk__red.mp4").write_bytes(b"no film, but it is there")
    build_report(RunFolder(run))
    page.run = run
    page.open_at("")
    page.wait(TILES, 1)
    assert page.ask("document.querySelector('.badge').textContent") == "▶ 3"
    assert page.ask(SHOWN) == "1 of 1 picture shown"
    page.browser.find_element("css selector", ".tile").click()
    page.wait("document.getElementById('film').src.endsWith('/videos/walk__red.mp4')")
    assert page.ask("document.getElementById('full').hidden")
    assert page.ask(NAME) == "Walk in the style of red"


def test_a_page_of_a_run_that_goes_on_shows_what_is_new(page: Page) -> None:
    store = RunFolder(page.run)
    build_report(store, live=True)
    page.open_at("#sort=seconds")
    page.wait("document.getElementById('live').textContent.startsWith('the run goes on')")
    add_job(page.run, page.pictures[0], page.pictures[2], (1, 2, 3), style_weight=20.0)
    build_report(store)
    page.browser.execute_script(  # what the page asks for every few seconds
        "const s = document.createElement('script'); s.src = 'report/live.js';"
        "document.head.append(s)"
    )
    page.wait("DATA.names.length", 14)
    assert page.ask("DATA.live") is False and page.ask("location.hash").startswith("#")
    assert page.ask("document.getElementById('sort').value") == "seconds"


def test_an_open_picture_is_not_taken_away_by_what_is_new(page: Page) -> None:
    build_report(RunFolder(page.run), live=True)
    page.open_at("")
    page.wait(TILES, 4)
    page.browser.find_elements("css selector", ".tile")[0].click()
    news = json.dumps({"stamp": "other", "live": True, "time": "2026-01-01T00:00:00+00:00"})
    page.browser.execute_script(f"window.here = true; nstLive({news})")
    assert page.ask("window.here") is True and page.ask(VIEWER)


def test_light_dark_and_phone(page: Page) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    before = page.ask(color)
    page.browser.find_element("id", "theme").click()
    assert page.ask(color) != before
    page.emulate(390, 844, phone=True)
    page.open_at("")
    page.wait(TILES, 4)
    assert page.ask("document.documentElement.scrollWidth <= window.innerWidth")


# At 900 px the page only grows taller than the window with its grid.
@pytest.mark.parametrize(
    ("width", "height", "phone"), [(1440, 300, False), (1300, 900, False), (290, 300, True)]
)
def test_nothing_slides_sideways(page: Page, width: int, height: int, phone: bool) -> None:
    page.emulate(width, height, phone)
    page.open_at("#rows=content&columns=style")
    page.wait(f"{TILES} > 3")
    root = "document.documentElement"
    assert page.ask(f"{root}.scrollHeight > {root}.clientHeight")
    assert page.ask(f"{root}.scrollWidth <= {root}.clientWidth")


def test_on_a_phone_stars_and_compare_are_in_sight_and_by_touch(page: Page) -> None:
    page.emulate(390, 844, phone=True)
    page.open_at("#rows=none&columns=none")
    page.wait(f"{TILES} > 4")
    opacity = "getComputedStyle(document.querySelector('.star')).opacity"
    assert float(page.ask(opacity)) > 0.5
    least = "Math.min(...[...document.querySelectorAll('.mark')].map(m => m.offsetWidth))"
    assert page.ask(least) >= 24  # WCAG 2.2's least target
    two = "document.querySelectorAll('.second')"
    page.ask(f"{two}[0].click()")
    page.wait("!document.getElementById('marked').hidden")
    page.ask("document.querySelectorAll('.tile')[1].click()")  # the other one: by the picture
    page.wait("document.getElementById('compare').open")
    page.browser.find_element("id", "done").click()
    page.ask("document.querySelectorAll('.tile')[1].click()")
    page.wait(VIEWER)
    seen = "document.getElementById('star').getBoundingClientRect().bottom <= innerHeight"
    assert page.ask(seen)


@pytest.mark.parametrize(("width", "phone"), [(1300, False), (390, True)])
def test_marks_and_focus_rings_lie_within_their_picture_and_cell(
    page: Page, width: int, phone: bool
) -> None:
    path = page.run / "images/a__red__style_weight-2.0.json"
    made = json.loads(path.read_text())
    made["output"]["size"] = [48, 64]  # upright among others: tiles leave room beside pictures
    path.write_text(json.dumps(made))
    build_report(RunFolder(page.run))
    page.emulate(width, 900, phone)
    page.open_at("#rows=content&columns=style")
    page.wait(TILES, 4)
    assert page.ask("matchMedia('(hover: none)').matches") is phone
    box = "(s) => { const r = document.querySelector(s).getBoundingClientRect();"
    boxes = f"['.cell', '.tile', '.marks'].map({box} return [r.left, r.top, r.right, r.bottom]; }})"
    cell, tile, marks = page.ask(boxes)
    beside = (tile[2] - tile[0]) * (1 - 48 / 64) / 2  # tiles are square then
    picture = [tile[0] + beside, tile[1], tile[2] - beside, tile[3]]
    page.ask("document.querySelector('.tile').focus({ focusVisible: true })")
    rings = "['outlineOffset', 'outlineWidth'].map(n => parseFloat(getComputedStyle(e)[n]))"
    outside = f"(e => {rings}.reduce((a, b) => a + b))(document.activeElement)"
    gaps = [abs(a - b) for a, b in zip(cell, tile, strict=True)]
    assert 3 <= page.ask(outside) <= min(gaps)
    page.ask("document.querySelector('.star').focus({ focusVisible: true })")
    assert page.ask(outside) <= 0
    assert picture[0] <= marks[0] and picture[1] <= marks[1]
    assert marks[2] <= picture[2] and marks[3] <= picture[3]


def test_on_paper_there_are_pictures_and_labels_and_nothing_else(page: Page) -> None:
    page.browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    page.wait("getComputedStyle(document.getElementById('view')).display", "none")
    hidden = "['theme', 'shown', 'marked'].every(i => !document.getElementById(i).offsetHeight)"
    assert page.ask(hidden) and not page.ask("document.querySelector('.marks').offsetHeight")
    assert "style weight 2" in page.ask("document.getElementById('paper').innerText")
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert page.ask(wide) and page.ask("document.querySelector('.tile').offsetWidth > 100")
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_axe_finds_nothing(page: Page, theme: str, width: int) -> None:
    """WCAG A and AA and best practices: the grid with marks, the viewer, two compared."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text()
    page.emulate(width, 900, phone=width < 400, prefers_color_scheme=theme)
    page.open_at("")
    page.wait(TILES, 4)
    page.browser.execute_script("document.getElementById('view').open = true")
    page.ask("document.querySelectorAll('.star')[1].click()")
    page.ask("document.querySelectorAll('.second')[1].click()")

    def violations() -> list[str]:
        page.browser.execute_script(script)
        run = "const done = arguments[0]; axe.run().then(r => done(r.violations))"
        found = page.browser.execute_async_script(run)
        return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]

    assert violations() == []
    page.ask("document.getElementById('stop').click()")
    page.ask("document.querySelectorAll('.tile')[0].click()")
    page.wait("document.querySelectorAll('#facts polyline').length", 3)
    assert violations() == []
    page.browser.find_element("css selector", "#sources button").click()
    page.wait("document.getElementById('compare').open")
    assert violations() == []
