"""The zoomable picture in a browser: wheel, drag, buttons and keys move it, texts keep their size; the policy of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lazyzarr as lz
from lazyzarr.cli.verbs import app
from lazyzarr.display import page
from lazyzarr.display.page import Section
from tests.browser import Page, browsing
from tests.display.views import stored

PICTURE = "document.querySelector('figure.zoomable svg')"
PLACES = f"""(() => {{
  const svg = {PICTURE}, box = e => {{ const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; }};
  return {{
    seen: svg.getAttribute("viewBox").split(" ").map(Number),
    whole: box(svg),
    texts: Array.from(svg.querySelectorAll("text"), e => [e.textContent, ...box(e)]),
    boxes: Array.from(svg.querySelectorAll("rect:not(.fragment)"), box).slice(1, 3),
    lines: Array.from(svg.querySelectorAll("rect:not(.fragment)"), e => getComputedStyle(e).vectorEffect).slice(1, 3)
  }};
}})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def shown(browser: Page, tmp_path: Path) -> Page:
    view = lz.concat(
        [stored(tmp_path, "first.zarr", (6, 40), (3, 20)), stored(tmp_path, "other.zarr", (6, 40), (6, 40))]
    )
    lz.save(view.rename_dims(["time", "x"]), tmp_path / "v.zarr")
    done = CliRunner().invoke(app, ["explain", str(tmp_path / "v.zarr"), "--html", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    browser.open((tmp_path / "page.html").as_uri())
    browser.value(f"{PICTURE}.scrollIntoView()")
    return browser


def middle(found: dict[str, Any]) -> tuple[float, float]:
    left, top, width, height = found["whole"]
    return left + width / 2, top + height / 2


def wheel(shown: Page, up: float, *, at: tuple[float, float] | None = None, ctrl: bool = True) -> None:
    x, y = at or middle(shown.value(PLACES))
    before = shown.value(f"{PICTURE}.getAttribute('viewBox')")
    shown.mouse("mouseWheel", x, y, deltaX=0, deltaY=-up, modifiers=2 if ctrl else 0)
    if ctrl:
        shown.until(f"{PICTURE}.getAttribute('viewBox') != {before!r}")


def test_the_wheel_shows_a_part_around_the_pointer(shown: Page) -> None:
    before = shown.value(PLACES)
    left, top, width, height = before["whole"]
    at = (left + width / 4, top + height / 2)
    wheel(shown, 300, at=at)
    after = shown.value(PLACES)
    assert before["seen"][:2] == [0, 0]
    assert after["whole"] == pytest.approx(before["whole"], abs=0.5)
    grown = before["seen"][2] / after["seen"][2]
    assert grown == pytest.approx(2.718, rel=0.01)
    assert before["seen"][3] / after["seen"][3] == pytest.approx(grown)
    # the point below the pointer stays there
    assert after["seen"][0] + after["seen"][2] / 4 == pytest.approx(before["seen"][2] / 4, abs=0.5)
    assert after["seen"][1] + after["seen"][3] / 2 == pytest.approx(before["seen"][3] / 2, abs=0.5)
    wheel(shown, -3000)
    assert shown.value(PLACES)["seen"] == before["seen"]
    assert shown.complaints() == []


def test_texts_and_lines_keep_their_size(shown: Page) -> None:
    before = shown.value(PLACES)
    wheel(shown, 400)
    after = shown.value(PLACES)
    grown = before["seen"][2] / after["seen"][2]
    assert grown > 3
    names = [text[0] for text in before["texts"]]
    assert {"first.zarr", "other.zarr", "time", "x", "40", "12"} <= set(names)
    for old, new in zip(before["texts"], after["texts"], strict=True):
        assert new[3:] == pytest.approx(old[3:], abs=1.5), old[0]
    for old, new in zip(before["boxes"], after["boxes"], strict=True):
        assert new[2:] == pytest.approx([grown * old[2], grown * old[3]], rel=0.01)
    assert set(after["lines"]) == {"non-scaling-stroke"}
    # a name stays in the middle of its box, and the length of an axis as near to its corner
    for text, box in zip(("first.zarr", "other.zarr"), after["boxes"], strict=True):
        _, left, top, width, height = after["texts"][names.index(text)]
        assert left + width / 2 == pytest.approx(box[0] + box[2] / 2, abs=1)
        assert top + height / 2 == pytest.approx(box[1] + box[3] / 2, abs=3)
    distance = [found["texts"][names.index("40")][2] - sum(found["boxes"][1][1::2]) for found in (before, after)]
    assert distance[1] == pytest.approx(distance[0], abs=1)


def test_dragging_moves_the_part(shown: Page) -> None:
    wheel(shown, 300)
    before = shown.value(PLACES)
    x, y = middle(before)
    shown.mouse("mousePressed", x, y, button="left", clickCount=1)
    shown.mouse("mouseMoved", x + 30, y - 20, button="left")
    shown.mouse("mouseMoved", x + 60, y - 40, button="left")
    shown.mouse("mouseReleased", x + 60, y - 40, button="left", clickCount=1)
    after = shown.value(PLACES)
    scale = before["seen"][2] / before["whole"][2]
    assert after["seen"][0] == pytest.approx(before["seen"][0] - 60 * scale, abs=0.5)
    assert after["seen"][1] == pytest.approx(before["seen"][1] + 40 * scale, abs=0.5)
    assert after["seen"][2:] == before["seen"][2:]
    shown.mouse("mouseMoved", x - 100, y)
    assert shown.value(PLACES)["seen"] == after["seen"], "the button is up"


def test_dragging_ends_at_the_border_of_the_picture(shown: Page) -> None:
    wheel(shown, 300)
    x, y = middle(shown.value(PLACES))
    for _ in range(2):
        shown.mouse("mousePressed", x, y, button="left", clickCount=1)
        shown.mouse("mouseMoved", 1190, 890, button="left")  # below the picture
        shown.mouse("mouseReleased", 1190, 890, button="left", clickCount=1)
    found = shown.value(PLACES)
    assert (found["seen"][:2], middle(found)) == ([0, 0], (x, y))
    shown.mouse("mouseMoved", x, y)
    assert shown.value(PLACES)["seen"] == found["seen"], "the button went up outside"


def test_a_wheel_without_the_key_scrolls_the_page(shown: Page) -> None:
    before = shown.value(PLACES)["seen"]
    old = shown.value("scrollY")
    wheel(shown, -200, ctrl=False)
    shown.until(f"scrollY > {old}")
    assert shown.value(PLACES)["seen"] == before


def test_buttons_and_keys(shown: Page) -> None:
    whole = shown.value(PLACES)["seen"]
    press = "document.querySelectorAll('figure.zoomable button')[{}].click()"
    shown.value(press.format(0))
    assert shown.value(PLACES)["seen"][2] == pytest.approx(whole[2] / 1.5)
    shown.value(press.format(2))
    assert shown.value(PLACES)["seen"] == whole
    shown.value(f"{PICTURE}.parentNode.focus()")
    shown.key("+")
    near = shown.value(PLACES)["seen"]
    shown.key("ArrowRight")
    far = shown.value(PLACES)["seen"]
    assert near[2] == pytest.approx(whole[2] / 1.5)
    assert far[0] == pytest.approx(near[0] + near[2] / 8)
    shown.key("0")
    assert shown.value(PLACES)["seen"] == whole


def test_pointing_says_what_is_there(shown: Page) -> None:
    left, top, width, height = shown.value(PLACES)["boxes"][0]
    shown.mouse("mouseMoved", left + width / 4, top + height / 4)
    said = shown.value("document.querySelector('.said').textContent")
    assert "first.zarr chunk (0, 0)\nwindow [0:3, 0:20]" in said


def test_only_scripts_of_the_page_run(browser: Page, tmp_path: Path) -> None:
    """Whoever gets text into a page past the escaping gets no script to run and nothing loaded."""
    evil = (
        "<script>window.evil = 1</script><img src='x' onerror='window.evil = 2'/>"
        "<style>h1 { color: rgb(1, 2, 3) }</style><p id='p' style='color: rgb(4, 5, 6)'>p</p>"
        "<iframe srcdoc='&lt;script&gt;parent.evil = 3&lt;/script&gt;'></iframe>"
    )
    text = page.page("t", "l", {}, [Section("s", "", evil)], scripts=["window.good = 1;"])
    (tmp_path / "x").write_text("picture")
    (tmp_path / "page.html").write_text(text)
    browser.open((tmp_path / "page.html").as_uri())
    assert browser.value("[window.good, window.evil]") == [1, None]
    colours = "[document.querySelector('h1'), document.querySelector('#p')].map(e => getComputedStyle(e).color)"
    assert browser.value(colours)[1] == "rgb(4, 5, 6)"
    assert browser.value(colours)[0] != "rgb(1, 2, 3)"
    assert browser.value("getComputedStyle(document.querySelector('main')).maxWidth") == "1060px"
    assert len([said for said in browser.complaints() if "Content Security Policy" in said]) >= 4
