"""A picture that is zoomed and moved: the picture of the blocks with buttons, keys and a small script.

Owns the script, which changes the part of the picture that is seen and shows the title of what is pointed at; texts
and lines keep their size. Refuses to make the picture: without the script it is there whole, with its titles.
"""

from __future__ import annotations

from lazyzarr.display.blocks import Picture
from lazyzarr.display.html import legend


def zoomable(found: Picture) -> str:
    """A picture of blocks with its legend, for a page that has `SCRIPT`."""
    said = '<pre class="said" role="status" style="white-space:pre-wrap;min-height:7em;margin-top:10px">Point at a part.</pre>'
    return (
        '<figure class="zoomable"><p class="buttons" hidden="hidden"><button type="button" data-by="1.5">zoom in</button> '
        '<button type="button" data-by="0.667">zoom out</button> <button type="button" data-by="0">whole</button> '
        "or Ctrl and wheel, drag, keys + - 0 and arrows</p>"
        f'<div class="wide" tabindex="0">{found.svg}</div>{legend(found)}{said}</figure>'
    )


SCRIPT = """
for (const figure of document.querySelectorAll("figure.zoomable")) {
  const svg = figure.querySelector("svg"), said = figure.querySelector(".said"), seat = svg.parentNode;
  const W = svg.viewBox.baseVal.width, H = svg.viewBox.baseVal.height;
  const size = Number(svg.getAttribute("font-size"));
  let k = 1, x = 0, y = 0, held = null;
  figure.querySelector(".buttons").hidden = false;
  svg.style.cssText = "width:100%;height:auto;user-select:none";
  const show = () => {
    x = Math.min(Math.max(x, 0), W - W / k); y = Math.min(Math.max(y, 0), H - H / k);
    svg.setAttribute("viewBox", [x, y, W / k, H / k].join(" "));
    svg.setAttribute("font-size", size / k);
  };
  const zoom = (by, u, v) => {
    const next = by ? Math.min(Math.max(k * by, 1), 400) : 1;
    x += u * W * (1 / k - 1 / next); y += v * H * (1 / k - 1 / next); k = next; show();
  };
  for (const button of figure.querySelectorAll("button"))
    button.addEventListener("click", () => zoom(Number(button.dataset.by), 0.5, 0.5));
  svg.addEventListener("wheel", e => {
    if (!e.ctrlKey) return;
    e.preventDefault();
    const r = svg.getBoundingClientRect();
    zoom(Math.exp(-e.deltaY / 300), (e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height);
  }, {passive: false});
  svg.addEventListener("pointerdown", e => { held = [e.clientX, e.clientY]; svg.setPointerCapture(e.pointerId); });
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { held = null; });
  svg.addEventListener("pointermove", e => {
    if (!held) return;
    const r = svg.getBoundingClientRect();
    x -= (e.clientX - held[0]) * W / k / r.width; y -= (e.clientY - held[1]) * H / k / r.height;
    held = [e.clientX, e.clientY]; show();
  });
  svg.addEventListener("pointerover", e => {
    const title = e.target.querySelector("title");
    if (title) said.textContent = title.textContent;
  });
  seat.addEventListener("keydown", e => {
    const by = {"+": 1.5, "=": 1.5, "-": 0.667, "0": 0}[e.key];
    const to = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
    if (by !== undefined) zoom(by, 0.5, 0.5);
    if (to) { x += to[0] * W / k / 8; y += to[1] * H / k / 8; show(); }
    if (to || by !== undefined) e.preventDefault();
  });
}
"""
"""Changes nothing but the picture; no ampersand and no less-than sign, as `lazyzarr.display.page` asks."""
