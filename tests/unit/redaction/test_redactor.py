"""What is secret leaves a text and a record; what is not stays, and candidates stay apart."""

import base64
import datetime
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.secrets import made_up, settings_of
from toolrm_guard import Call, ConfigurationError, FakeScorer, Guard
from toolrm_guard.records import CallRecord, CandidateRecord, OutcomeRecord, ReviewRecord
from toolrm_guard.redaction import Redactor, redact_record, redact_text

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SECRETS = {kind: value for kind, value in made_up(1).items() if kind != "password"}
PASSWORD = made_up(1)["password"]
SIGN_IN = {
    "name": "sign_in",
    "parameters": {
        "type": "object",
        "properties": {
            "user": {"type": "string"},
            "code": {"type": "string", "x-sensitive": True},
            "note": {"type": "string"},
        },
    },
}


def review(*candidates: CandidateRecord, **fields: Any) -> ReviewRecord:
    given: dict[str, Any] = {
        "id": "r", "created_at": NOW, "scorer": "fake", "messages": [], "tools": [SIGN_IN],
        "candidates": candidates, "chosen": 0, "decision": "execute", "judged": True,
        "total_ms": 1.0, "scorer_ms": 1.0, "conversation_id": "talk",
    }  # fmt: skip
    return ReviewRecord(**{**given, **fields})


def candidate(name: str = "sign_in", **arguments: Any) -> CandidateRecord:
    digest = Call(name=name, arguments=arguments).digest
    return CandidateRecord(
        calls=[CallRecord(id="c1", name=name, arguments=arguments, digest=digest)]
    )


def outcome(**fields: Any) -> OutcomeRecord:
    given: dict[str, Any] = {"call_id": "c1", "kind": "execution", "ok": True, "created_at": NOW}
    return OutcomeRecord(**{**given, "conversation_id": "talk", **fields})


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_by_its_shape_wherever_it_stands(kind: str) -> None:
    secret = SECRETS[kind]
    for around in ("{}", "use {} please", "a={}&b=1", '{{"a": "{}"}}', "'{}'", "a\n{}\nb", "({})."):
        clean = redact_text(around.format(secret))
        assert secret[10:] not in clean
        assert "<redacted:" in clean
        assert redact_text(clean) == clean


@pytest.mark.parametrize("setting", settings_of(""))
def test_a_password_is_found_by_what_stands_beside_it(setting: str) -> None:
    text = settings_of(PASSWORD)[setting]
    clean = redact_text(text)
    for form in (PASSWORD, PASSWORD.rstrip("!"), text.split()[-1] if setting == "basic" else "\0"):
        assert form not in clean
    assert redact_text(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "The password is required, and must be at least 8 characters long.",
        "Password: at least 8 characters",
        "tokens: 1200, max_tokens=100, next page token: none",
        "Order 1234567890123456 of 2026-11-25 14:00:00, ref 550e8400-e29b-41d4-a716-446655440000",
        "commit 3f2a9c7b1d4e5f60718293a4b5c6d7e8f9012345 in https://example.com:8080/a/b?c=d",
        "task-force-on-everything-and-more, desk-lamp-for-the-office-in-oslo",
        "def f(password: str, token: str | None = None) -> None: ...",
        'os.environ["API_KEY"], api_key = ${API_KEY}, password=<your password>',
        "bearer instruments and basic arithmetic",
        "bob@example.com, +1 212-456-7890",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_personal_data_is_replaced_on_request() -> None:
    text = "bob@example.com, +1 212-456-7890, on 2026-11-25"
    assert Redactor(personal=["email", "phone"]).redact_text(text) == (
        "<redacted:email>, <redacted:phone>, on 2026-11-25"
    )


def test_a_kind_of_ones_own_is_found_and_a_bad_pattern_is_told() -> None:
    own = Redactor(custom={"ticket": r"no\. (?P<secret>T-\d+)"})
    assert own.redact_text("see no. T-42") == "see no. <redacted:ticket>"
    for bad in ({"custom": {"t": "("}}, {"custom": {"a b": "x"}}, {"personal": ["name"]}):
        with pytest.raises(ConfigurationError, match=r"'\('|'a b'|'name'"):
            Redactor(**bad)


def test_the_same_value_has_the_same_placeholder_and_another_one_another() -> None:
    first, second = made_up(1)["github"], made_up(2)["github"]
    assert redact_text(f"{first} {second} {first}") == (
        "<redacted:github_token> <redacted:github_token:2> <redacted:github_token>"
    )


def test_a_record_without_secrets_is_the_very_same() -> None:
    record = review(candidate(user="bob"))
    assert redact_record(record) is record


def test_a_sensitive_argument_is_replaced_wherever_it_stands_in_the_record() -> None:
    code = "gr8-otter"
    record = review(
        candidate(user="bob", code=code, note=f"code={code} was given"),
        candidate(user="bob", code="lime77", note=""),
        messages=[{"role": "user", "text": f"I am bob, {code}"}],
        critique=f"`code`: '{code[:12]}' is not in the conversation",
        unjudged_reason=f"ValueError: {code}",
    )
    clean = redact_record(record)
    assert code not in clean.to_json()
    assert "lime77" not in clean.to_json()
    codes = [c.calls[0].arguments["code"] for c in clean.candidates]
    assert codes == ["<redacted:sensitive>", "<redacted:sensitive:2>"]
    assert clean.candidates[0].calls[0].arguments["user"] == "bob"
    assert clean.messages[0].text == "I am bob, <redacted:sensitive>"
    assert redact_record(clean) == clean


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"x-sensitive": True, "type": "integer"}, 481516),
        ({"x-sensitive": True, "type": "number"}, 48151.625),
        ({"type": "object", "properties": {"pin": {"x-sensitive": True}}}, {"pin": "481516"}),
        ({"x-sensitive": True, "type": "object"}, {"any": ["481516"]}),
        ({"type": "array", "items": {"x-sensitive": True}}, ["481516"]),
        ({"anyOf": [{"type": "string", "x-sensitive": True}, {"type": "null"}]}, "481516"),
        ({"$ref": "#/$defs/Pin"}, "481516"),
        ({"additionalProperties": {"x-sensitive": True}}, {"anything": "481516"}),
    ],
)
def test_a_schema_marks_values_however_deep_they_are(schema: Any, value: Any) -> None:
    tool = {
        "name": "sign_in",
        "parameters": {
            "properties": {"v": schema},
            "$defs": {"Pin": {"x-sensitive": True}, "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}]}},
        },
    }
    clean = redact_record(review(candidate(v=value), tools=[tool]))
    assert "4815" not in clean.to_json()


def test_a_misspelt_sensitive_argument_and_unreadable_ones_are_hidden_too() -> None:
    misspelt = redact_record(review(candidate(kode="gr8-otter")))
    assert "gr8-otter" not in misspelt.to_json()
    message = 'arguments are not JSON: \'{"code": "gr8-otter\''
    call = CallRecord(name="sign_in", arguments={}, digest="d", defect=message)
    finding = {"code": "malformed_arguments", "severity": "error", "path": "$", "message": message}
    broken = CandidateRecord(calls=[call], findings=[finding])  # type: ignore[list-item]
    assert "gr8-otter" not in redact_record(review(broken)).to_json()


def test_secrets_in_keys_names_ids_and_numbers_are_replaced() -> None:
    token, card = SECRETS["github"], int(SECRETS["card"])
    text = json.dumps({"password": PASSWORD})
    call = CallRecord(id=token, name=token, arguments={token: {"n": card}}, digest="d")
    record = review(
        CandidateRecord(calls=[call]),
        conversation_id=f"talk {token}",
        messages=[{"role": "tool", "call_id": token, "name": token, "text": text}],
    )
    clean = redact_record(record)
    for secret in (token, str(card), PASSWORD):
        assert secret not in clean.to_json()
    known = redact_record(outcome(call_id=token, conversation_id=f"talk {token}"))
    assert (known.call_id, known.conversation_id) == (
        clean.candidates[0].calls[0].id,
        clean.conversation_id,
    )


def test_the_digest_of_a_redacted_call_cannot_be_guessed_and_joins_its_outcome() -> None:
    redactor = Redactor()
    held = candidate(user="bob", code="1234")
    clean = redactor.redact_record(review(held)).candidates[0].calls[0]
    every = {Call(name="sign_in", arguments={"user": "bob", "code": f"{n:04}"}).digest
             for n in range(10_000)}  # fmt: skip
    assert held.calls[0].digest in every
    assert clean.digest not in every
    later = redactor.redact_record(outcome(digest=held.calls[0].digest, content="code 1234 is old"))
    assert (later.digest, later.content) == (clean.digest, "code <redacted:sensitive> is old")


def test_another_process_redacts_an_outcome_by_its_call_alone() -> None:
    held = candidate(user="bob", code="1234")
    stored = Redactor().redact_record(review(held)).candidates[0].calls[0]
    call = ("sign_in", {"user": "bob", "code": "1234"})
    known = outcome(digest=held.calls[0].digest, content="1234 is wrong")
    clean = Redactor().redact_outcome(known, call, [SIGN_IN])
    assert (clean.digest, clean.content) == (stored.digest, "<redacted:sensitive> is wrong")


def test_a_secret_that_a_message_quotes_in_part_is_replaced() -> None:
    secret = SECRETS["anthropic"]
    critique = f"`user`: '{secret[:40]}...' is unknown"
    clean = redact_record(review(candidate(user=secret), critique=critique))
    assert secret[:12] not in clean.to_json()


def test_encoded_and_escaped_values_are_replaced() -> None:
    code = 'p@ss "w/rd"\n7'
    forms = (json.dumps(json.dumps(code)), quote(code, safe=""), repr(code),
             base64.b64encode(code.encode()).decode())  # fmt: skip
    for form in forms:
        record = review(candidate(code=code), messages=[{"role": "user", "text": f"<{form}>"}])
        text = redact_record(record).messages[0].text
        assert form.strip("\"'=")[3:-3] not in text
        assert "<redacted:sensitive>" in text


def test_a_redactor_that_fails_costs_the_record(tmp_path: Any) -> None:
    class Broken(Redactor):
        def redact_record(self, record: Any) -> Any:
            raise RuntimeError(record.to_json())

        def redact_outcome(self, record: Any, *known: Any) -> Any:
            raise RuntimeError(record.content)

    guard = Guard(FakeScorer(lambda r: [0.9]), store=tmp_path / "t.db", redactor=Broken())
    assert guard.store is not None
    with guard.store as store:
        guard.review(f"It is {PASSWORD}", [SIGN_IN], ["text"])
        guard.record_outcome("c1", ok=True, content=PASSWORD)
        store.flush()
        assert (store.health.written, store.health.failed) == (0, 2)
    for file in tmp_path.iterdir():
        assert PASSWORD.encode() not in file.read_bytes()


@given(st.text(max_size=300), st.sampled_from(sorted(SECRETS.values())), st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_around_a_secret_is_kept_and_redacted_once(a: str, secret: str, b: str) -> None:
    clean = redact_text(f"{a}\n{secret}\n{b}")
    assert secret not in clean
    assert redact_text(clean) == clean


PIECES = (
    "a", "1", "1 ", "A", "eyJ.", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "https://a:", "- ",
    "password=", "password: '", 'password: \\"', "--password ", "sk-", "DE89 3704 0044 ", "\\", "{",
    "4111 1111 1111 1111 ", "x-amz-signature=", "$2a$", "token: ", '["password",', "bearer ", "a@",
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_the_time_is_linear_in_the_length(piece: str) -> None:
    def seconds(characters: int) -> float:
        text = (piece * (characters // len(piece) + 1))[:characters]
        started = time.process_time()
        Redactor(personal=["email", "phone"]).redact_text(text)
        return time.process_time() - started

    short = long = float("inf")
    for _ in range(5):  # other processes only ever add to the time
        short, long = min(short, seconds(40_000)), min(long, seconds(160_000))
        if long < 10 * short + 0.2:  # 16 times as long, if it were quadratic
            return
    pytest.fail(f"160,000 characters took {long:.2f} s, 40,000 took {short:.2f} s")


def test_ten_megabytes_of_anything_take_seconds() -> None:
    text = "Ask for the file of 2026-11-25, token 7, at https://example.com:80/a?b=c. " * 140_000
    started = time.process_time()
    assert redact_text(text + SECRETS["github"]).endswith("<redacted:github_token>")
    assert time.process_time() - started < 30


def test_what_a_conversation_told_is_remembered_in_it_and_nowhere_else() -> None:
    redactor = Redactor()
    for talk in ("talk", None):
        redactor.redact_record(review(candidate(code="gr8-otter"), conversation_id=talk))
        said = {"role": "user", "text": "gr8-otter"}
        texts = [
            redactor.redact_record(review(CandidateRecord(), messages=[said], conversation_id=of))
            .messages[0].text for of in (talk, "another", None)
        ]  # fmt: skip
        told = "<redacted:sensitive>" if talk else "gr8-otter"
        assert texts == [told, "gr8-otter", "gr8-otter"]


@pytest.mark.parametrize(
    "text",
    ['{"passwords": ["gr8-otter"]}', '{"api_key": ["gr8-otter"]}', '[{"Passwort": ["gr8-otter"]}]'],
)
def test_a_secret_that_only_its_place_in_json_tells_is_found_each_time(text: str) -> None:
    redactor = Redactor()
    for _ in range(3):
        made = review(CandidateRecord(text=text), conversation_id=None)
        assert "otter" not in redactor.redact_record(made).to_json()
        assert "otter" not in redactor.redact_text(text)


def test_one_redactor_serves_many_threads() -> None:
    redactor = Redactor()

    def work(thread: int) -> None:
        for n in range(60):
            filler = f"text {n % 50} " * 600  # more than is remembered
            assert redactor.redact_text(f"{filler}{SECRETS['github']}").endswith("token>")
            assert redactor.redact_text(filler + str(n * thread)).startswith("text")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_in_the_middle_of_the_work_of_another_thread_redacts() -> None:
    redactor = Redactor()
    with redactor._scanner._lock, redactor._told._lock:  # as the writer of a store holds them
        child = os.fork()
        if not child:
            try:
                signal.alarm(5)
                redactor.redact_record(review(candidate(code="gr8-otter")))
                os._exit(0)
            finally:
                os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_sensitive_argument_of_a_tool_whose_name_is_misspelt_is_replaced() -> None:
    pin = {"$ref": "#/$defs/pin"}
    pay = {
        "name": "pay",
        "parameters": {
            "properties": {"by": {"properties": {"nip": pin}}},
            "$defs": {"pin": {"x-sensitive": True}},
        },
    }
    known = {"name": "tell", "parameters": {"properties": {"code": {"type": "string"}}}}
    wrong = candidate("signin", code="gr8-otter", user="bob", by={"nip": "q7-heron", "card": "red"})
    right = candidate("tell", code="a-code")
    made = Redactor().redact_record(review(wrong, right, tools=[SIGN_IN, pay, known]))
    assert made.candidates[0].calls[0].arguments == {
        "code": "<redacted:sensitive>",
        "user": "bob",
        "by": {"nip": "<redacted:sensitive:2>", "card": "red"},
    }
    assert made.candidates[1].calls[0].arguments == {"code": "a-code"}
