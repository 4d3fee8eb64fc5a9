"""One HTML page with everything inside: styles, pictures and text, nothing from outside.

Owns the look of a page: typography, light and dark ground, sections; and its policy, by which a browser runs the
scripts of the page and no other and loads nothing. Refuses external resources. What is passed as ``html`` is trusted, but
a script in it does not run; text is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lazyzarr.display.blocks import Picture
from lazyzarr.display.html import legend


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page."""

    title: str
    lead: str
    """One or two sentences, plain text."""
    html: str


def policy(scripts: Sequence[str] = ()) -> str:
    """The Content-Security-Policy of a page: its own style sheet and scripts by their digests, pictures inside it.

    Attributes with styles are let through: nothing that they could name is loaded.

    Examples
    --------
    >>> policy().split("; ")[0], policy(["f()"]).count("'sha256-")
    ("default-src 'none'", 2)
    """
    run = " ".join(map(_digest, scripts)) or "'none'"
    return (
        f"default-src 'none'; script-src {run}; style-src {_digest(_STYLE)}; style-src-attr 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def page(
    title: str,
    lead: str,
    figures: Mapping[str, str],
    sections: Sequence[Section],
    *,
    scripts: Sequence[str] = (),
) -> str:
    """The page.

    Parameters
    ----------
    title, lead
        Heading and the sentence below it, plain text.
    figures
        Name to value, shown large; plain text.
    sections
        The parts, in order.
    scripts
        What runs when the page is there; without an ampersand and a less-than sign, so that the page is well-formed XML.

    Examples
    --------
    >>> "src=" in page("t", "l", {"requests": "3"}, [Section("s", "", "<p>x</p>")])
    False
    """
    strip = "".join(f"<div><b>{html.escape(v)}</b><span>{html.escape(k)}</span></div>" for k, v in figures.items())
    return "".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(scripts)}"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            f"<header><h1>{html.escape(title)}</h1><p>{html.escape(lead)}</p></header>",
            f'<div class="figures">{strip}</div>' if figures else "",
            *map(_section, sections),
            "</main>",
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>\n",
        ]
    )


def listing(text: str) -> str:
    """Text in columns."""
    return f"<pre>{html.escape(text)}</pre>"


def framed(found: Picture, caption: str = "") -> str:
    """A picture of blocks with its legend."""
    said = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="wide">{found.svg}</div>{legend(found)}{said}</figure>'


def side_by_side(parts: Sequence[str]) -> str:
    """Pieces of HTML next to one another where there is room."""
    return f'<div class="pair">{"".join(parts)}</div>'


def gallery(pictures: Sequence[str]) -> str:
    """Pictures of equal width in rows."""
    return f'<div class="row">{"".join(pictures)}</div>'


def image(png: bytes, caption: str) -> str:
    """A picture kept inside the page."""
    data = base64.b64encode(png).decode()
    said = html.escape(caption)
    return f'<figure><img alt="{said}" src="data:image/png;base64,{data}"/><figcaption>{said}</figcaption></figure>'


def scale(ramp: bytes, low: str, high: str) -> str:
    """A colour scale between two texts."""
    data = base64.b64encode(ramp).decode()
    picture = f'<img alt="colour scale" src="data:image/png;base64,{data}"/>'
    return f'<div class="scale"><span>{html.escape(low)}</span>{picture}<span>{html.escape(high)}</span></div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, wraps: Collection[int] = ()) -> str:
    """A table of plain texts; only the columns named in ``wraps`` are broken into lines."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td{_WRAPS * (k in wraps)}>{html.escape(cell)}</td>" for k, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def items(texts: Sequence[str]) -> str:
    """A list of plain texts."""
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>"


def folded(title: str, inside: str) -> str:
    """HTML that is shown when its title is clicked."""
    return f"<details><summary>{html.escape(title)}</summary>{inside}</details>"


def _digest(text: str) -> str:
    """How a policy names an inline script or style sheet."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _section(part: Section) -> str:
    lead = f'<p class="lead">{html.escape(part.lead)}</p>' if part.lead else ""
    return f"<section><h2>{html.escape(part.title)}</h2>{lead}{part.html}</section>"


_WRAPS = ' class="wraps"'
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2731;--soft:#5b6874;--line:#dfe4e8;--ground:#fbfbfa;--card:#fff;--key:#0d5c8f}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa6b1;--line:#333d47;--ground:#14191e;--card:#1b2229;
--key:#7fc0ec}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.6 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1060px;margin:0 auto;padding:56px 28px 72px}
header{max-width:760px}
h1{font-size:34px;line-height:1.15;letter-spacing:-.02em;margin:0 0 12px;font-weight:680}
header p{font-size:17px;color:var(--soft);margin:0;text-wrap:pretty}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));margin:34px 0 8px;
border-top:1px solid var(--line);border-bottom:1px solid var(--line)}
.figures div{padding:16px 12px 16px 0;display:flex;flex-direction:column}
.figures b{font-size:24px;line-height:1.25;font-weight:640;font-variant-numeric:tabular-nums;color:var(--key)}
.figures span{color:var(--soft);font-size:13px}
section{margin-top:46px}
h2{font-size:20px;letter-spacing:-.01em;margin:0 0 6px;font-weight:640}
.lead{color:var(--soft);max-width:760px;margin:0 0 16px;text-wrap:pretty}
td.wraps{white-space:normal}
.wide{overflow-x:auto}
svg,img{display:block;max-width:none}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px;overflow-x:auto;margin:0;
font:12.5px/1.55 ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:560;color:var(--soft);font-size:13px;padding:6px 24px 6px 0;
border-bottom:1px solid var(--line);white-space:nowrap}
td{padding:7px 24px 7px 0;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
ul{margin:0;padding-left:20px}li{margin:3px 0}
details{margin-top:10px}summary{cursor:pointer;color:var(--key);margin-bottom:8px}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:24px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr));gap:20px}
figure{margin:0}figure img{width:100%;height:auto;border-radius:6px}
figcaption{color:var(--soft);font-size:13px;margin-top:6px}
.scale{display:flex;align-items:center;gap:10px;color:var(--soft);font-size:13px;margin-top:14px}
.scale img{width:220px;height:10px;border-radius:3px}
""".strip()
