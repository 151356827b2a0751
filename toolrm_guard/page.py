"""Records as HTML: one file that loads nothing, runs nothing, and shows hostile text as text."""

import html
import json
import re
from collections.abc import Iterable, Sequence

from toolrm_guard.records import CallRecord, FindingRecord, MessageRecord

MAX_SHOWN_CHARS = 4_000
"""Of one text on a page; the rest is in the store."""

SAYS = {
    "execute": "executed",
    "correct": "sent back for correction",
    "escalate": "held for a person",
    "reject": "rejected",
}
"""Decisions in words: `correct` alone could be read as right."""

KINDS = {"execute": "good", "correct": "warn", "escalate": "warn", "reject": "bad"}

# Control characters, and those that change the direction of what follows, could show one thing and
# mean another; newline and tab are harmless.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)

_CSS = """
:root { color-scheme: light dark; --paper:#f6f7f8; --card:#fff; --ink:#1c2026; --faint:#667080;
  --line:#dfe3e8; --code:#f2f4f6; --good:#137a4f; --bad:#b3261e; --warn:#8a5300; --accent:#2f6fb0; }
@media (prefers-color-scheme: dark) { :root { --paper:#13161a; --card:#1b1f25; --ink:#e5e8ec;
  --faint:#97a1ae; --line:#323943; --code:#15191e; --good:#5cc998; --bad:#ff8a80; --warn:#f0bb6a;
  --accent:#7db4ea; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI","Liberation Sans",sans-serif; }
main { max-width:900px; margin:0 auto; padding:2rem 1.2rem 4rem; }
h1 { font-size:1.45rem; line-height:1.25; margin:0 0 .3rem; overflow-wrap:anywhere; }
h2 { font-size:1.05rem; margin:2rem 0 .6rem; }
p { margin:.3rem 0; } .quiet { color:var(--faint); } small { font-size:.84em; }
.said { unicode-bidi:isolate; white-space:pre-wrap; overflow-wrap:anywhere; }
.message { margin:.7rem 0; padding:.1rem 0 .1rem .9rem; border-left:3px solid var(--line); }
.message.user { border-color:var(--accent); }
.who { font-size:.78rem; letter-spacing:.03em; color:var(--faint); }
.card { background:var(--card); border:1px solid var(--line); border-radius:8px;
  padding:.8rem 1rem 1rem; margin:1rem 0; }
.head { display:flex; flex-wrap:wrap; gap:.3rem .7rem; align-items:baseline; }
.head .quiet { font-size:.84rem; }
.chip { display:inline-block; font-size:.78rem; font-weight:600; padding:.05rem .5rem;
  border-radius:99px; border:1px solid currentColor; color:var(--faint); white-space:nowrap; }
.good { color:var(--good); } .bad { color:var(--bad); } .warn { color:var(--warn); }
.candidate { border-top:1px solid var(--line); margin-top:.7rem; padding-top:.6rem; }
.candidate.chosen { border-top:2px solid var(--accent); }
.row { display:flex; flex-wrap:wrap; gap:.2rem .7rem; align-items:center; font-size:.84rem; }
.bar { width:7rem; height:.5rem; border-radius:99px; background:var(--line); overflow:hidden; }
.bar i { display:block; height:100%; background:var(--accent); }
pre { margin:.35rem 0; padding:.45rem .7rem; background:var(--code); border-radius:6px;
  white-space:pre-wrap; overflow-wrap:anywhere; unicode-bidi:isolate;
  font:.83rem/1.45 ui-monospace,"SF Mono",Menlo,"DejaVu Sans Mono",monospace; }
pre b { color:var(--accent); }
ul { margin:.3rem 0; padding-left:1.1rem; font-size:.87rem; } li { overflow-wrap:anywhere; }
details { margin:.5rem 0; font-size:.87rem; } summary { cursor:pointer; color:var(--faint); }
table { border-collapse:collapse; font-size:.88rem; font-variant-numeric:tabular-nums; }
th,td { text-align:right; padding:.25rem .8rem .25rem 0; border-bottom:1px solid var(--line); }
th:first-child,td:first-child { text-align:left; } th { color:var(--faint); font-weight:600; }
.two { display:grid; grid-template-columns:1fr 1fr; gap:0 1.4rem; }
@media (max-width:640px) { .two { grid-template-columns:1fr; } }
@media print { body { background:#fff; } .card { break-inside:avoid; } }
"""


def document(title: str, body: str) -> str:
    """Return the whole page.

    Args:
        title: Of the page, as text.
        body: Safe HTML.
    """
    # Nothing may be loaded or run, even if an escape were forgotten.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{text(title)}</title><style>{_CSS}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def visible(value: str) -> str:
    """Return text in which what cannot be seen is written out, as `<U+202E>`."""
    return _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", value)


def shortened(value: str, most: int = MAX_SHOWN_CHARS) -> str:
    """Return text of at most `most` characters, and how many are left out."""
    left = len(value) - most
    return value if left <= 0 else f"{value[:most]} [... {left:,} characters more]"


def text(value: object, most: int = MAX_SHOWN_CHARS) -> str:
    """Return text that is safe between tags and in quoted attributes."""
    return html.escape(visible(shortened(str(value), most)))


def said(value: str) -> str:
    """Return what somebody said, as a block."""
    return f'<div class="said">{text(value)}</div>' if value.strip() else ""


def chip(label: str, kind: str = "") -> str:
    """Return a small label; `kind` is `good`, `bad`, `warn` or nothing."""
    return f'<span class="chip {kind}">{text(label, 80)}</span>'


def call(record: CallRecord) -> str:
    """Return a call as code."""
    name = f"<b>{text(record.name, 200)}</b>"
    if record.defect:
        return f'<pre>{name} <span class="bad">{text(record.defect)}</span></pre>'
    shown = json.dumps(record.arguments, ensure_ascii=False)
    if len(shown) > 70:
        shown = json.dumps(record.arguments, ensure_ascii=False, indent=1)
    return f"<pre>{name} {text(shown)}</pre>"


def calls(records: Iterable[CallRecord]) -> str:
    """Return calls as code, one below the other."""
    return "".join(map(call, records))


def findings(records: Sequence[FindingRecord]) -> str:
    """Return findings as a list; nothing for none."""
    items = "".join(
        f'<li class="{"bad" if found.severity == "error" else "warn"}">'
        f"<b>{text(found.code, 80)}</b> {text(found.message, 600)}"
        f"{f' <small>at {text(found.path, 200)}</small>' if found.path else ''}</li>"
        for found in records
    )
    return f"<ul>{items}</ul>" if items else ""


def messages(records: Iterable[MessageRecord]) -> str:
    """Return a conversation."""
    return "".join(map(_message, records))


def _message(record: MessageRecord) -> str:
    who = record.role + (f" {record.name}" if record.name else "")
    failed = " " + chip("failed", "bad") if record.failed else ""
    return (
        f'<div class="message {record.role}"><div class="who">{text(who, 200)}{failed}</div>'
        f"{said(record.text)}{calls(record.calls)}</div>"
    )


def bar(probability: float | None) -> str:
    """Return a probability as a number and a bar; a dash where there is none."""
    if probability is None:
        return '<span class="quiet">no score</span>'
    return (
        f'<span class="bar"><i style="width:{probability:.0%}"></i></span>'
        f"<span>{probability:.2f}</span>"
    )
