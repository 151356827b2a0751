"""`toolrm-guard traces` on real stores: lists, pages and tables of hostile records."""

import datetime
import html.parser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stores import NOW, many, outcome, review, stored, turn
from toolrm_guard import page
from toolrm_guard.cli import main
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.messages import Message
from toolrm_guard.records import OutcomeIndex, OutcomeRecord, ReviewRecord
from toolrm_guard.redaction import redact_record
from toolrm_guard.traces.conversation import conversation_page
from toolrm_guard.traces.listing import result, since

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>[red]\x1b[31m\x07\u202e&lt;"


@pytest.fixture
def store(tmp_path: Path) -> str:
    draft = review(
        "draft",
        turn("b.txt", p=0.1, verdict="reject"),
        decision="correct",
        conversation_id="talk",
        critique="Use a.txt.",
    )
    fixed = review(
        "fixed",
        turn("a.txt", call_id="c1", effect="destructive"),
        turn("b.txt", p=0.1),
        turn("b.txt", p=0.1),
        conversation_id="talk",
        parent_id="draft",
        round=1,
        minute=1,
    )
    said = (
        Message(role="user", text="Delete a.txt"),
        Message(role="tool", text="deleted", name="delete_file", call_id="c1"),
    )
    last = review("last", turn(text="It is gone."), says=said, conversation_id="talk", minute=2)
    other = review("other", turn("x.txt", p=None, tool="get_file"), judged=False, scorer="local",
                   unjudged_reason="ScorerTimeout: late", minute=3)  # fmt: skip
    return stored(
        tmp_path / "t.db", draft, fixed, last, other, outcome(fixed, ok=True, content="gone")
    )


def traces(*arguments: object) -> int:
    return main(["traces", *map(str, arguments)])


def listed(capsys: pytest.CaptureFixture[str], store: str, *flags: str) -> list[str]:
    assert traces("list", store, *flags) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {word for line in lines for word in line.split()}
    return [key for key in ("draft", "fixed", "last", "other") if key in found]


def test_filters_choose_the_reviews(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, store) == ["draft", "fixed", "last", "other"]
    assert listed(capsys, store, "--decision", "correct") == ["draft"]
    assert listed(capsys, store, "--tool", "delete_file") == ["draft", "fixed"]
    assert listed(capsys, store, "--conversation", "talk") == ["draft", "fixed", "last"]
    assert listed(capsys, store, "--scorer", "local") == ["other"]
    assert listed(capsys, store, "--limit", "2") == ["last", "other"]
    assert listed(capsys, store, "--since", "2026-01-01T00:02") == ["last", "other"]
    assert listed(capsys, store, "--since", "1h") == []


def test_since_reads_spans_and_dates() -> None:
    assert since("90m", NOW) == NOW - datetime.timedelta(minutes=90)
    assert since(" 2d ", NOW) == NOW - datetime.timedelta(days=2)
    assert since("2026-01-02", NOW) == datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    assert since("2026-01-02T03:00+01:00", NOW).utcoffset() == datetime.timedelta(hours=1)
    for odd in ("", "yesterday", "-3d", "9999999999d", "999999w", "3y", "x" * 10_000_000):
        with pytest.raises(ConfigurationError, match="neither like"):
            since(odd, NOW)


def test_show_has_candidates_scores_verdicts_and_what_became_of_it(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert traces("show", store, "fix") == 0
    shown = capsys.readouterr().out
    for part in ("Delete a.txt", "0.900", "chosen", "drawn 2 times", "approve", "gone", "draft"):
        assert part in shown
    assert traces("show", store, "other") == 0
    assert "not judged: ScorerTimeout: late" in capsys.readouterr().out


def test_a_review_that_is_not_there_or_not_alone_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stored(tmp_path / "m.db", *many(12))
    assert traces("show", path, "r01") == 1
    assert "3 reviews begin with 'r01'" not in capsys.readouterr().out
    assert traces("show", path, "zzz") == 1
    assert "no review 'zzz'" in capsys.readouterr().err
    assert traces("show", path, "r00") == 1
    assert "10 reviews begin with 'r00'" in capsys.readouterr().err
    assert traces("show", path, "r001") == 0
    assert traces("show", path, "") == 1


def test_the_page_tells_the_conversation_once_and_in_order(store: str, tmp_path: Path) -> None:
    out = tmp_path / "c.html"
    assert traces("export", store, "--html", out, "--conversation", "talk") == 0
    text = out.read_text(encoding="utf-8")
    assert text.count(">Delete a.txt<") == 1, "later contexts repeat what was said"
    order = [
        text.index(x) for x in (">Delete a.txt<", "sent back for", "correction 1", "It is gone")
    ]
    assert text.index("sent back for correction", order[0]) > order[0]
    assert order[0] < order[2] < order[3]
    for part in ("Use a.txt.", "drawn 2 times", "0.90", "task: ok"):
        assert part in text
    assert "x.txt" not in text, "another conversation"


class Tags(html.parser.HTMLParser):
    """Collects elements and attributes as a browser would find them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


ALLOWED = set(
    "html head meta title style body main h1 h2 p div span section pre b i small ul li details "
    "summary".split()
)


def evil(text: str) -> tuple[ReviewRecord, OutcomeRecord]:
    """A review and an outcome with the text wherever a record has one."""
    key = text[:60] or "empty"
    made = review(
        "r1",
        turn(text, call_id=key, tool=text, text=text, error=text[:80], verdict="approve"),
        turn("b", p=0.1),
        says=(
            Message(role="system", text=text),
            Message(role="tool", text=text, name=text, call_id=key, failed=True),
        ),
        tools=[{"name": text, "description": text}],
        scorer="lite",
        critique=text,
        conversation_id="talk",
        unjudged_reason=text,
        judged=False,
    )
    return made, outcome(made, ok=False, content=text, label=text)


@settings(max_examples=60, deadline=None)  # the machine may be busy
@given(text=st.text(max_size=60) | st.just(EVIL))
def test_no_record_can_bring_markup_into_a_page(text: str) -> None:
    made, known = evil(text)
    written = conversation_page([made], OutcomeIndex([known]), store=text)
    tags = Tags()
    tags.feed(written)
    assert tags.tags <= ALLOWED
    assert tags.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "style"}
    assert not set(written) & set("\x1b\x07\u202e\u2066")


def test_no_record_can_bring_escape_codes_or_markup_into_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored(tmp_path / "t.db", *evil(EVIL))
    assert traces("list", store) == 0
    assert traces("show", store, "r1") == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]" in shown, "markup is text"
    assert "<U+001B>" in shown


def test_megabytes_make_a_small_page() -> None:
    made = review("r1", turn("a", text="y" * 2_000_000), says="x" * 10_000_000)
    written = conversation_page([made], OutcomeIndex([]), store="t.db")
    assert len(written) < 50_000
    assert written.count("characters more]") == 2


def test_the_table_has_a_row_a_candidate(store: str, tmp_path: Path) -> None:
    out = tmp_path / "t.parquet"
    assert traces("export", store, "--parquet", out, "--conversation", "talk") == 0
    rows: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    assert [row["review"] for row in rows] == ["draft", "fixed", "fixed", "fixed", "last"]
    assert [row["outcome"] for row in rows] == ["unknown", "right", None, None, "unknown"]
    assert [row["chosen"] for row in rows] == [True, True, False, False, True]
    assert rows[1]["probability"] == 0.9
    assert rows[1]["created_at"] == NOW + datetime.timedelta(minutes=1)


def test_exports_hold_no_secret_that_a_guard_without_a_redactor_stored(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2c3D4e5" * 4
    made = review("r1", turn(secret, call_id="c1"), says=f"use {secret}", conversation_id="talk")
    store = stored(tmp_path / "t.db", made, outcome(made, ok=True, content=f"token {secret}"))
    page_file, table = tmp_path / "c.html", tmp_path / "t.parquet"
    assert traces("export", store, "--html", page_file, "--conversation", "talk") == 0
    assert traces("export", store, "--parquet", table) == 0
    assert secret not in page_file.read_text(encoding="utf-8")
    assert secret not in str(pq.read_table(table).to_pylist())
    pairs = tmp_path / "pairs.jsonl"
    other = review(
        "r2", turn("a", call_id="c2"), turn(secret, p=0.1), says=f"use {secret}", minute=1
    )
    store = stored(tmp_path / "t2.db", other, outcome(other, ok=True))
    assert main(["harvest", store, "--out", str(pairs)]) == 0
    assert secret not in pairs.read_text()


def test_what_a_call_tells_to_be_secret_leaves_its_outcome_which_stays_joined(
    tmp_path: Path,
) -> None:
    path = {"type": "string", "x-sensitive": True}
    tool = {"name": "delete_file", "parameters": {"type": "object", "properties": {"path": path}}}
    made = review("r1", turn("gr8-otter", call_id="c1"), says="go", tools=[tool],
                  conversation_id="told")  # fmt: skip
    store = stored(tmp_path / "t.db", made, outcome(made, ok=True, content="set to gr8-otter"))
    page_file, table = tmp_path / "c.html", tmp_path / "t.parquet"
    assert traces("export", store, "--html", page_file, "--conversation", "told") == 0
    assert traces("export", store, "--parquet", table) == 0
    [row] = pq.read_table(table).to_pylist()
    assert "set to" in row["outcomes"]
    assert "set to" in page_file.read_text(encoding="utf-8")
    assert "otter" not in str(row) + page_file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--html", "c.html"], "name it with --conversation"),
        (["--html", "c.html", "--conversation", "nobody"], "no conversation 'nobody'"),
        (["--parquet", "t.db/x.parquet"], "cannot write"),
    ],
)
def test_an_export_that_cannot_be_says_why(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    placed = [str(tmp_path / x) if x.startswith(("c.", "t.")) else x for x in flags]
    assert traces("export", store, *placed) == 1
    assert said in capsys.readouterr().err


def test_an_empty_store_lists_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = stored(tmp_path / "t.db")
    assert traces("list", store) == 0
    assert "no review fits" in capsys.readouterr().out
    assert traces("export", store, "--parquet", tmp_path / "t.parquet") == 0


@given(st.text())
def test_text_on_a_page_is_never_markup(text: str) -> None:
    safe = page.text(text)
    assert not set(safe) & set("<>\"'")
    assert len(page.visible(text)) >= len(text)


@pytest.mark.parametrize("code", [0x61C, 0xAD, 0x180E, 0x206A, 0xE0001, 0xE0041, 0x202E])
def test_what_nobody_can_see_is_written_out(code: int) -> None:
    assert page.text(f"a{chr(code)}b") == f"a&lt;U+{code:04X}&gt;b"


def test_an_age_before_the_calendar_is_no_age(store: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["forget", store, "--older-than", "999999w"])
    assert main(["forget", store, "--older-than", "52000w"]) == 2  # a dry run


def test_a_conversation_that_is_stored_under_a_hash_is_shown_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = "ghp_" + "a1B2c3D4e5" * 4
    made = redact_record(review("r1", turn("a.txt"), conversation_id=talk))
    store, file = stored(tmp_path / "t.db", made), tmp_path / "c.html"
    for asked in (talk, made.conversation_id):
        assert traces("export", store, "--html", file, "--conversation", asked) == 0
        assert "1 reviews" in capsys.readouterr().out


def test_an_answer_in_the_tools_place_says_nothing_of_the_call() -> None:
    made = review("r1", turn("a.txt", call_id="c"), decision="escalate")
    answered = outcome(made, ok=False, kind="human", label="respond")
    assert result([answered]) == "unknown"
    assert result([outcome(made, ok=False, kind="human", label="reject")]) == "wrong"
    assert result([answered, outcome(made, ok=True)]) == "right"
