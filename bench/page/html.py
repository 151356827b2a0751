"""The report's page: tables, figures and sections in one file that loads nothing from elsewhere."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from bench.page.run_files import Json, number

_CSS = """
:root { color-scheme: light dark; --paper: #fdfdfc; --card: #ffffff; --ink: #1d2127;
  --faint: #6a717c; --line: #e3e5e8; --accent: #3b82c4; --warn: #9a5b00; --warnbg: #fff5e2; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --card: #1b1f24; --ink: #e4e7eb;
  --faint: #98a1ad; --line: #31373f; --accent: #6aa9e0; --warn: #f0bb6a; --warnbg: #2e2616; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.5rem 1.5rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.015em; }
h2 { font-size: 1.35rem; margin: 3.2rem 0 .4rem; padding-top: 1rem;
  border-top: 1px solid var(--line); letter-spacing: -.01em; }
h3 { font-size: 1.02rem; margin: 1.8rem 0 .3rem; }
p { margin: .4rem 0 .8rem; max-width: 44rem; }
p.lead, .quiet { color: var(--faint); }
nav { margin: 1rem 0 0; font-size: .93rem; } nav a { margin-right: 1.1rem; white-space: nowrap; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: .2rem; }
th { color: var(--faint); font-weight: 600; vertical-align: bottom; }
tr.strong td { font-weight: 650; }
td small { display: block; font-size: .82em; line-height: 1.25; color: var(--faint);
  font-weight: 400; }
td.wrap { white-space: normal; text-align: left; min-width: 18rem; overflow-wrap: anywhere; }
ul.notes { list-style: none; margin: .8rem 0; padding: .6rem 1rem; background: var(--warnbg);
  color: var(--warn); border-left: 3px solid currentColor; border-radius: 3px; font-size: .92rem; }
.plots { display: flex; flex-wrap: wrap; gap: .6rem 1.6rem; margin: .6rem 0; }
svg { max-width: 100%; height: auto; font-family: inherit; }
code { font: .84em/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--accent); }
dl { display: grid; grid-template-columns: 7rem 1fr; gap: .1rem 1rem; font-size: .88rem;
  margin: .4rem 0 1rem; } dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { background: #fff; } h2 { break-after: avoid; } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table.

    Attributes:
        tint: A value in [0, 1] that the background tells; None leaves it plain.
        below: A second line, small; for an interval.
    """

    text: str
    tint: float | None = None
    below: str = ""


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str | Cell]],
    *,
    strong: int = 0,
    wrap: int | None = None,
) -> str:
    """Return a table; the first `strong` rows stand out, column `wrap` may break its lines."""
    top = "".join(f"<th>{text(name)}</th>" for name in head)
    body = []
    for line, row in enumerate(rows):
        cells = "".join(_cell(cell, wraps=column == wrap) for column, cell in enumerate(row))
        body.append(f'<tr class="strong">{cells}</tr>' if line < strong else f"<tr>{cells}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(cell: str | Cell, *, wraps: bool) -> str:
    if isinstance(cell, str):
        return f'<td class="wrap">{text(cell)}</td>' if wraps else f"<td>{text(cell)}</td>"
    content = text(cell.text) + f"<small>{text(cell.below)}</small>" * bool(cell.below)
    if cell.tint is None:
        return f"<td>{content}</td>"
    # From orange at 0 over nothing at 1/2, a coin toss, to green at 1.
    colour = "#2aa37a" if cell.tint >= 0.5 else "#d9772b"
    share = round(70 * abs(cell.tint - 0.5))
    mixed = f"background:color-mix(in srgb,{colour} {share}%,transparent)"
    return f'<td style="{mixed}">{content}</td>'


def text(value: object) -> str:
    """Return text that is safe between tags and in attributes."""
    return html.escape(str(value))


def paragraph(value: str, *, quiet: bool = False) -> str:
    """Return a paragraph."""
    return f'<p class="quiet">{text(value)}</p>' if quiet else f"<p>{text(value)}</p>"


def heading(value: str) -> str:
    """Return a heading inside a section."""
    return f"<h3>{text(value)}</h3>"


def notes(lines: Sequence[str]) -> str:
    """Return lines that must not be overlooked; nothing for none."""
    return f'<ul class="notes">{"".join(f"<li>{text(x)}</li>" for x in lines)}</ul>' * bool(lines)


def plots(drawn: Sequence[str]) -> str:
    """Return plots side by side, where the page is wide enough."""
    return f'<div class="plots">{"".join(f"<div>{one}</div>" for one in drawn)}</div>'


def details(summary: str, body: str) -> str:
    """Return a part that opens on a click."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """Return names with what they stand for."""
    rows = "".join(f"<dt>{text(a)}</dt><dd><code>{text(b)}</code></dd>" for a, b in pairs)
    return f"<dl>{rows}</dl>"


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return the whole page.

    Args:
        title: Of the page.
        lead: What it shows, in a sentence or two.
        sections: Title and content of each.
    """
    named = [(f"s{number}", *section) for number, section in enumerate(sections)]
    links = "".join(f'<a href="#{key}">{text(name)}</a>' for key, name, _ in named)
    body = "".join(f'<h2 id="{key}">{text(name)}</h2>{content}' for key, name, content in named)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_CSS}</style></head><body><main>"
        f'<h1>{text(title)}</h1><p class="lead">{text(lead)}</p><nav>{links}</nav>'
        f"{body}</main></body></html>\n"
    )


def share(value: object) -> str:
    """Return a share as per cent, or a dash for what is no number."""
    found = number(value)
    return "-" if found is None else f"{found:.1%}"


def count(value: object) -> str:
    """Return a count, or a dash for what is no number."""
    found = number(value)
    return "-" if found is None else f"{found:,.0f}"


def generic_table(found: Sequence[Json]) -> str:
    """Return mappings as a table, a column for each plain value."""
    heads = list(
        dict.fromkeys(
            key for row in found for key, value in row.items() if not isinstance(value, dict | list)
        )
    )
    return table(
        [head.replace("_", " ") for head in heads],
        [[plain(row.get(head)) for head in heads] for row in found],
    )


def plain(value: object) -> str:
    """Return any plain value as text, numbers short."""
    found = number(value)
    if found is None:
        return "-" if value is None or isinstance(value, float) else str(value)
    return f"{found:,.0f}" if found == int(found) and abs(found) >= 1 else f"{found:,.4g}"
