"""Selection, near-duplicates, balance, split and files of a harvest."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stores import many, outcome, review, stored, turn
from toolrm_guard.cli import main
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.harvest.funnel import Settings, harvest, prompt_text
from toolrm_guard.harvest.near import distinct, normal
from toolrm_guard.harvest.sampling import water_fill
from toolrm_guard.harvest.split import split
from toolrm_guard.harvest.writing import write
from toolrm_guard.labelled import read_records
from toolrm_guard.messages import Message
from toolrm_guard.records import OutcomeRecord, ReviewRecord


def kept(*entries: Any, **settings: Any) -> Any:
    reviews = [e for e in entries if isinstance(e, ReviewRecord)]
    outcomes = [e for e in entries if isinstance(e, OutcomeRecord)]
    return harvest(reviews, outcomes, Settings(**settings))


def test_the_funnel_adds_up() -> None:
    entries = [*many(30), review("x", turn("a.txt", p=None), judged=False)]
    found, funnel = kept(*entries, per_tool=4)
    assert funnel.reviews == 31
    assert funnel.unused == {"not judged": 1}
    assert funnel.pairs == 30
    assert funnel.pairs - funnel.dropped.total() == funnel.kept == len(found)
    assert funnel.sides.total() == funnel.kept
    assert "pairs kept" in funnel.render()


def test_near_duplicates_go_and_the_best_labelled_one_stays() -> None:
    long = "please delete the file a.txt from my folder because nobody needs it any more"
    plain = review("r1", turn("a.txt"), turn("b.txt", p=0.1), says=long)
    twin = review(
        "r2", turn("a.txt", call_id="c"), turn("B.txt", p=0.1), says=f"{long.upper()} now", minute=1
    )
    other = review("r3", turn("a.txt"), turn("c.txt", p=0.1), says=long, minute=2)
    found, funnel = kept(plain, twin, other, outcome(twin, ok=True))
    assert [item.pair.review.id for item in found] == ["r2", "r3"]
    assert funnel.dropped == {"near-duplicate": 1}


def test_other_values_in_the_calls_are_no_near_duplicate() -> None:
    says = "please delete the file that I told you about yesterday in the evening"
    found, _ = kept(
        review("r1", turn("a1.txt"), turn("b.txt", p=0.1), says=says),
        review("r2", turn("a2.txt"), turn("b.txt", p=0.1), says=says, minute=1),
    )
    assert len(found) == 2


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from("abcdef"), min_size=1, max_size=9).map(" ".join), max_size=12
    ),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_the_near_index_agrees_with_comparing_everything(prompts: list[str], t: float) -> None:
    def shingles(text: str) -> set[str]:
        words = text.split(" ")
        return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    expected, reference = set(), list[set[str]]()
    for number, prompt in enumerate(prompts):
        own = shingles(normal(prompt))
        if all(len(own & o) < t * len(own | o) - 1e-9 for o in reference):
            reference.append(own)
            expected.add(str(number))
    pairs = {str(number): ("sides", prompt) for number, prompt in enumerate(prompts)}
    assert distinct(pairs, t) == expected


def test_a_long_system_message_does_not_make_requests_alike() -> None:
    system = Message(role="system", text=" ".join(f"rule{n}" for n in range(500)))
    found, _ = kept(
        *(
            review(
                f"r{n}",
                turn("a.txt"),
                turn("b.txt", p=0.1),
                says=(system, Message(role="user", text=text)),
                minute=n,
            )
            for n, text in enumerate(["What is new today in my folder?", "Show what I have got"])
        )
    )
    assert len(found) == 2


def test_thousands_of_like_prompts_are_told_apart_in_seconds() -> None:
    shared = " ".join(f"word{n}" for n in range(30))
    pairs = {str(n): ("sides", f"{shared} {n} {n + 1} {n + 2} {n + 3} {n + 4} {n + 5} {n + 6} "
             f"{n + 7} {n + 8}") for n in range(5_000)}  # fmt: skip
    started = time.process_time()
    assert len(distinct(pairs, 0.8)) > 1_000
    assert time.process_time() - started < 10


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.integers(0, 12).map(str), min_size=1, max_size=3), min_size=1, max_size=40
    ),
    st.floats(0.0, 0.9),
    st.integers(0, 5),
)
def test_nothing_that_is_shared_stands_on_both_sides(
    keys: list[list[str]], share: float, seed: int
) -> None:
    sides = split(keys, share, seed)
    held = {key for own, side in zip(keys, sides, strict=True) for key in own if side != "train"}
    trained = {key for own, side in zip(keys, sides, strict=True) for key in own if side == "train"}
    assert not held & trained
    assert sides.count("validation") <= share * len(keys) + 1e-6
    assert split(keys, share, seed) == sides


def test_conversations_and_equal_prompts_stay_together() -> None:
    entries = [*many(40, talks=10)]
    same = [
        review(f"s{n}", turn(f"{n}.x"), turn(f"{n}.y", p=0.1), says="Do  IT", minute=50 + n)
        for n in range(6)
    ]
    found, _ = kept(*entries, *same, validation=0.4)
    by_talk: dict[str, set[str]] = {}
    by_prompt: dict[str, set[str]] = {}
    for item in found:
        by_talk.setdefault(item.root, set()).add(item.side)
        by_prompt.setdefault(normal(prompt_text(item.pair.review)), set()).add(item.side)
    assert {len(sides) for sides in by_talk.values()} == {1}
    assert {len(sides) for sides in by_prompt.values()} == {1}
    assert {item.side for item in found} == {"train", "validation"}


def test_a_rejected_side_from_another_conversation_keeps_that_one_on_its_side() -> None:
    good = review("r1", turn("a.txt", call_id="c1"), says="Same")
    bad = review("r2", turn("b.txt", call_id="c2"), says="Same", minute=1)
    later = review(
        "r3", turn("z.txt"), turn("y.txt", p=0.1), conversation_id="talk-r2", says="More", minute=2
    )
    for seed in range(8):
        found, _ = kept(
            good, bad, later, outcome(good, ok=True), outcome(bad, ok=False),
            validation=0.5, seed=seed,
        )  # fmt: skip
        assert len({item.side for item in found}) == 1


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(0, 50), max_size=8), st.integers(0, 120))
def test_a_limit_is_filled_as_evenly_as_sizes_allow(sizes: dict[str, int], total: int) -> None:
    quotas = water_fill(sizes, total)
    assert sum(quotas.values()) == min(total, sum(sizes.values()))
    assert all(quotas[key] <= sizes[key] for key in sizes)
    short = [quotas[key] for key in sizes if quotas[key] < sizes[key]]
    assert not short or max(quotas.values()) - min(short) <= 1


def test_a_limit_is_shared_by_effects_first_then_by_tools() -> None:
    entries = []
    for n in range(30):
        tool = "get_file" if n < 24 else "delete_file" if n < 28 else "rename_file"
        entries.append(
            review(
                f"r{n:02}",
                turn(f"{n}.txt", tool=tool),
                turn(f"{n}.bak", tool=tool, p=0.1),
                says=f"About the file number {n} and nothing else",
                minute=n,
            )
        )
    found, funnel = kept(*entries, limit=9)
    assert funnel.strata == {
        "read get_file": 4,
        "destructive delete_file": 3,
        "write rename_file": 2,
    }
    assert funnel.dropped == {"over the share of its tool": 21}
    assert len(found) == 9


def test_uncertain_keeps_what_is_near_a_coin_toss() -> None:
    sure = review("r1", turn("a.txt", p=0.95), turn("b.txt", p=0.05), says="One thing")
    unsure = review("r2", turn("a.txt", p=0.6), turn("b.txt", p=0.3), says="Other thing", minute=1)
    found, funnel = kept(sure, unsure, select="uncertain")
    assert [item.pair.review.id for item in found] == ["r2"]
    assert funnel.dropped == {"not of kind 'uncertain'": 1}


def test_disagreement_keeps_split_votes_and_a_scorer_that_was_wrong() -> None:
    agreed = review("r1", turn("a.txt"), turn("a.txt"), turn("b.txt", p=0.1), says="One thing")
    split_vote = review("r2", turn("a.txt"), turn("b.txt", p=0.1), says="Other thing", minute=1)
    wrong = review(
        "r3",
        turn("a.txt", p=0.4, call_id="c"),
        turn("a.txt", p=0.4),
        turn("b.txt", p=0.1),
        says="A third thing",
        minute=2,
    )
    found, _ = kept(agreed, split_vote, wrong, outcome(wrong, ok=True), select="disagreement")
    assert [item.pair.review.id for item in found] == ["r2", "r3"]


def run(tmp_path: Path, store: str, name: str, *flags: str) -> Path:
    out = tmp_path / name
    assert main(["harvest", store, "--out", str(out), *flags]) == 0
    return out


@pytest.mark.parametrize("shape", ["trl_explicit", "trl_implicit", "pointwise"])
def test_the_same_store_and_seed_give_the_same_bytes(tmp_path: Path, shape: str) -> None:
    store = stored(tmp_path / "t.db", *many(20))
    first, second = (run(tmp_path, store, name, "--shape", shape) for name in ("a", "b"))
    for name in ("train.jsonl", "validation.jsonl", "harvest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert len((first / "train.jsonl").read_text().splitlines()) >= 18


def test_rows_have_the_columns_of_the_preference_pipeline_and_their_provenance(
    tmp_path: Path,
) -> None:
    store = stored(tmp_path / "t.db", *many(3))
    out = run(tmp_path, store, "rows.jsonl", "--validation", "0")
    [first, *_] = [json.loads(line) for line in out.read_text().splitlines()]
    assert first["prompt"] == [
        {"role": "user", "content": "Please take care of the file 0.txt, the number 0 of my list"}
    ]
    [chosen] = first["chosen"]
    [rejected] = first["rejected"]
    arguments = [
        json.loads(m["tool_calls"][0]["function"]["arguments"]) for m in (chosen, rejected)
    ]
    assert arguments == [{"path": "0.txt"}, {"path": "0.bak"}]
    assert chosen["tool_calls"][0]["id"] == rejected["tool_calls"][0]["id"]
    assert json.loads(first["tools"])[0]["function"]["name"] == "get_file"
    assert (first["label"], first["rejected_by"], first["split"]) == ("outcome", "score", "train")
    assert first["provenance"] == {
        "store": "t.db",
        "review": "r000",
        "rejected_review": "r000",
        "conversation": "talk0",
        "scorer": "lite",
        "fingerprint": "f" * 64,
        "record_version": 2,
        "version": first["provenance"]["version"],
    }


def test_pointwise_rows_are_labelled_records_with_the_whole_pool(tmp_path: Path) -> None:
    decision = review(
        "r1",
        turn("a.txt", call_id="c1"),
        turn("a.txt"),
        turn("near.txt", p=0.85),
        turn("b.txt", p=0.1),
        turn("zz", p=0.0, error="bad_path"),
    )
    store = stored(tmp_path / "t.db", decision, outcome(decision, ok=True))
    [record] = read_records(run(tmp_path, store, "own.jsonl", "--shape", "pointwise"))
    assert [c.correct for c in record.candidates] == [True, True, None, False, False]
    assert [c.error_type for c in record.candidates] == [None, None, None, "by_score", "bad_path"]
    assert record.reference is not None
    assert record.dialog == "talk-r1"


def test_a_decision_that_only_a_score_vouches_for_is_no_reference(tmp_path: Path) -> None:
    store = stored(tmp_path / "t.db", review("r1", turn("a.txt"), turn("b.txt", p=0.1)))
    [record] = read_records(run(tmp_path, store, "own.jsonl", "--shape", "pointwise"))
    assert record.reference is None


def test_an_empty_store_writes_nothing_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored(tmp_path / "t.db")
    assert main(["harvest", store, "--out", str(tmp_path / "out")]) == 1
    assert "nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored(tmp_path / "t.db", *many(3))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert main(["harvest", store, "--out", str(tmp_path / "mine")]) == 1
    assert "other than a harvest" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_harvest_that_fails_leaves_the_old_one_whole(tmp_path: Path) -> None:
    store = stored(tmp_path / "t.db", *many(6))
    for name in ("folder", "file.jsonl"):
        out = run(tmp_path, store, name)
        before = {p.name: p.read_bytes() for p in ([out] if out.is_file() else out.iterdir())}

        def broken() -> Any:
            yield "train", {"id": "1"}
            raise OSError(28, "No space left on device")

        with pytest.raises(ConfigurationError, match="No space left"):
            write(broken(), out, {})
        after = {p.name: p.read_bytes() for p in ([out] if out.is_file() else out.iterdir())}
        assert before == after
    assert {p.name for p in tmp_path.iterdir()} <= {
        "folder",
        "file.jsonl",
        "t.db",
        "t.db-wal",
        "t.db-shm",
    }


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--min-margin", "2"], "--min-margin 2 is not between"),
        (["--min-margin", "nan"], "--min-margin nan is not between"),
        (["--validation", "1"], "--validation 1 is not between"),
        (["--similar", "0"], "--similar 0 is not between"),
    ],
)
def test_a_setting_out_of_range_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    store = stored(tmp_path / "t.db", *many(3))
    assert main(["harvest", store, "--out", str(tmp_path / "o"), *flags]) == 1
    assert said in capsys.readouterr().err


def test_garbage_in_the_store_costs_only_itself(tmp_path: Path) -> None:
    import sqlite3

    store = stored(tmp_path / "t.db", *many(4))
    with sqlite3.connect(store) as database:
        database.execute(
            "UPDATE reviews SET payload = ? WHERE id = 'r000'", ('{"version": 99, "x": "\x01"}',)
        )
        database.execute("UPDATE reviews SET payload = 'not json' WHERE id = 'r001'")
    database.close()
    out = run(tmp_path, store, "rows.jsonl")
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["r002:0", "r003:0"]


def test_a_file_that_is_no_store_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"\x00\xff" * 5_000)
    assert main(["harvest", str(junk), "--out", str(tmp_path / "o")]) == 1
    assert "junk.db" in capsys.readouterr().err


def test_ten_megabytes_of_arguments_pass_through(tmp_path: Path) -> None:
    huge = "x" * 10_000_000
    decision = review("r1", turn("a.txt", call_id="c1"), turn(huge, p=0.1))
    store = stored(tmp_path / "t.db", decision, outcome(decision, ok=True))
    # A call of that size has a defect when it is read again; what cannot be read teaches nothing.
    assert main(["harvest", store, "--out", str(tmp_path / "o")]) == 1


def test_a_folder_that_holds_more_than_a_harvest_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored(tmp_path / "t.db", *many(5))
    out = run(tmp_path, store, "own")
    assert run(tmp_path, store, "own") == out  # a harvest takes the place of one
    (out / "candidate").mkdir()
    (out / "candidate" / "model.txt").write_text("trees")
    assert main(["harvest", store, "--out", str(out)]) == 1
    assert "something other than a harvest" in capsys.readouterr().err
    assert (out / "candidate" / "model.txt").read_text() == "trees"


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644)])
def test_who_may_read_an_export_is_the_users_to_say(tmp_path: Path, umask: int, mode: int) -> None:
    store = stored(tmp_path / "t.db", *many(5))
    before = os.umask(umask)
    try:
        out = run(tmp_path, store, "rows.jsonl")
    finally:
        os.umask(before)
    assert out.stat().st_mode & 0o777 == mode
    assert {path.name for path in tmp_path.iterdir()} >= {"rows.jsonl", "t.db"}
    assert not list(tmp_path.glob(".rows*"))
