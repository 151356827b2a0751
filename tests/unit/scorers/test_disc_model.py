"""A ToolRM-Disc is loaded as it was trained, or refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaForCausalLM

from tests.support.disc import (
    copied_disc_folder,
    disc_folder,
    sealed,
    served_folder,
    tiny_folder,
)
from toolrm_guard.cli import main
from toolrm_guard.embedded.weights import ensure_smollm2
from toolrm_guard.errors import ConfigurationError, ModelIntegrityError
from toolrm_guard.scorers.disc_card import DISC_FILE
from toolrm_guard.scorers.disc_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from toolrm_guard.scorers.disc_model import Disc, export_disc, load_disc
from toolrm_guard.scorers.turn_tokens import TurnTokens

TEXT = "<|im_start|>user\nWarm, 12 May?<|im_end|>\n<|im_start|>assistant\nNo.<|im_end|>"


@pytest.fixture(scope="module")
def adapter() -> Disc:
    return load_disc(disc_folder())


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "tiny")


def reward(disc: Disc, text: str = TEXT) -> float:
    with torch.inference_mode():
        return float(disc.model(torch.tensor([disc.encode(text)])).logits.item())


def test_a_merged_folder_scores_like_its_adapter_without_base_or_peft(adapter: Disc) -> None:
    merged = load_disc(served_folder())
    assert reward(merged) == pytest.approx(reward(adapter), abs=1e-4)
    assert merged.encode(TEXT) == adapter.encode(TEXT)
    assert merged.card.probabilities == adapter.card.probabilities
    assert merged.card.max_tokens == adapter.card.max_tokens


def test_the_adapter_and_the_head_both_count(adapter: Disc, tmp_path: Path) -> None:
    for part in ("lora_B", "score"):
        folder = copied_disc_folder(tmp_path / part)
        tensors = load_file(folder / ADAPTER_WEIGHTS)
        save_file({k: v * (part not in k) for k, v in tensors.items()}, folder / ADAPTER_WEIGHTS)
        assert abs(reward(load_disc(sealed(folder))) - reward(adapter)) > 0.05


def test_what_is_exported_is_what_vllm_reads() -> None:
    config = json.loads((served_folder() / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    assert len(config["id2label"]) == 1 if "id2label" in config else config["num_labels"] == 1
    assert config["pad_token_id"] == 0
    assert config["problem_type"] == "regression"
    plain = AutoModelForSequenceClassification.from_pretrained(served_folder())
    tokenizer = AutoTokenizer.from_pretrained(served_folder())
    ids = tokenizer(TEXT, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert plain(ids).logits.item() == pytest.approx(reward(load_disc(served_folder())))


def test_the_command_exports_once_and_never_over_something(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed(tiny)
    out = tmp_path / "deep" / "out"
    assert main(["export", str(tiny), str(out)]) == 0
    assert reward(load_disc(out)) == reward(load_disc(tiny))
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert main(["export", str(tiny), str(out)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_an_export_that_cannot_be_written_leaves_nothing(tiny: Path, tmp_path: Path) -> None:
    sealed(tiny)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write"):
        export_disc(tiny, tmp_path / "file" / "out")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def edited_card(folder: Path, edit: Callable[[dict[str, object]], object]) -> None:
    card = json.loads((folder / DISC_FILE).read_text())
    edit(card)
    (folder / DISC_FILE).write_text(json.dumps(card))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed byte": (lambda f: flipped(f / ADAPTER_WEIGHTS), "has sha256"),
    "a lost file": (lambda f: (f / ADAPTER_WEIGHTS).unlink(), "No such file"),
    "a lost card": (lambda f: (f / DISC_FILE).unlink(), "train the model with"),
    "a foreign tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "would be read"),
    "a card without weights": (
        lambda f: edited_card(f, lambda c: c.update(weights={ADAPTER_CONFIG: "0"})),
        f"covers no {ADAPTER_WEIGHTS}",
    ),
    "a path in the card": (
        lambda f: edited_card(f, lambda c: c["weights"].update({"../x": "0"})),  # type: ignore[attr-defined]
        "not a file beside it",
    ),
    "another base": (
        lambda f: edited_card(f, lambda c: c.update(base_sha256="0" * 64)),
        "not the 'smollm2-135m-instruct' that the adapter was trained on",
    ),
    "no such base": (
        lambda f: edited_card(f, lambda c: c.update(base="./no/such/base")),
        "neither a folder nor to be had",
    ),
    "another prompt": (
        lambda f: edited_card(f, lambda c: c.update(prompt_format=99)),
        "renders format",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_adapter_is_refused_by_name(what: str, tmp_path: Path) -> None:
    damage, message = DAMAGE[what]
    folder = copied_disc_folder(tmp_path / "disc")
    damage(folder)
    with pytest.raises(ConfigurationError, match=message):
        load_disc(folder)


def resaved(folder: Path, keep: Callable[[str], bool], factor: float = 1.0) -> Path:
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    kept = {name: tensor * factor for name, tensor in tensors.items() if keep(name)}
    save_file(kept, folder / ADAPTER_WEIGHTS)
    return sealed(folder)


def test_an_adapter_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    whole = copied_disc_folder(tmp_path / "a")
    with pytest.raises(ModelIntegrityError, match="no score head"):
        load_disc(resaved(whole, lambda name: "score" not in name))
    whole = copied_disc_folder(tmp_path / "b")
    with pytest.raises(ModelIntegrityError, match=r"layers\.3\..* has no counterpart"):
        load_disc(resaved(whole, lambda name: "layers.3.mlp.up_proj" not in name))
    whole = copied_disc_folder(tmp_path / "c")
    with pytest.raises(ModelIntegrityError, match="not finite"):
        load_disc(resaved(whole, lambda name: True, factor=float("nan")))


def test_an_adapter_over_a_base_of_another_shape_is_refused(tiny: Path, tmp_path: Path) -> None:
    folder = copied_disc_folder(tmp_path / "disc")
    edited_card(folder, lambda card: card.update(base_sha256=None))
    with pytest.raises(ModelIntegrityError, match="give the base that it was trained from"):
        load_disc(folder, base=tiny)


def test_an_adapter_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = copied_disc_folder(tmp_path / "disc")
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps({**config, "task_type": "CAUSAL_LM"}))
    with pytest.raises(ModelIntegrityError, match="it must be LORA for SEQ_CLS"):
        load_disc(sealed(folder))


def test_a_full_model_needs_one_label_and_a_head(tiny: Path, tmp_path: Path) -> None:
    two = tiny_folder(tmp_path / "two", labels=2)
    with pytest.raises(ModelIntegrityError, match="2 labels"):
        load_disc(sealed(two))
    config = AutoModelForSequenceClassification.from_pretrained(tiny).config
    LlamaForCausalLM(config).save_pretrained(tiny)
    with pytest.raises(ModelIntegrityError, match=r"lacks score\.weight"):
        load_disc(sealed(tiny))


def test_a_folder_that_is_no_model_cannot_be_sealed(tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match=r"covers no config\.json"):
        sealed(tmp_path)


def test_a_pad_token_that_ends_turns_is_refused(tiny: Path) -> None:
    path = tiny / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "pad_token": "<|im_end|>"}))
    with pytest.raises(ModelIntegrityError, match="the pad token is"):
        load_disc(sealed(tiny))


def test_a_tokenizer_that_splits_control_tokens_is_refused() -> None:
    plain = Tokenizer(models.BPE(vocab={c: k for k, c in enumerate("<|im_startend>")}, merges=[]))
    with pytest.raises(ModelIntegrityError, match=r"reads '<\|im_start\|>' as \d+ tokens"):
        TurnTokens(plain)


def test_a_tokenizer_that_reads_across_turns_is_refused() -> None:
    layout = json.loads((ensure_smollm2() / "tokenizer.json").read_text())
    for token in layout["added_tokens"]:
        token["lstrip"] = True  # eats the line break before it
    words = Tokenizer.from_str(json.dumps(layout))
    with pytest.raises(ModelIntegrityError, match="joined otherwise than one by one"):
        TurnTokens(words)


def test_turns_are_encoded_once_and_forgotten_by_budget() -> None:
    tokenizer = Tokenizer.from_file(str(ensure_smollm2() / "tokenizer.json"))
    encode = TurnTokens(tokenizer, cached_characters=1_000)
    first = encode("a turn")
    assert encode("a turn") is first
    assert list(first) == tokenizer.encode("a turn", add_special_tokens=False).ids
    encode("b" * 2_000)
    assert encode("a turn") is not first
    assert encode("a turn") == first
