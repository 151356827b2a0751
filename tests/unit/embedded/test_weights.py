"""The weights are the known ones, converted rightly."""

from pathlib import Path

import pytest
import torch

from toolrm_guard.embedded import weights
from toolrm_guard.errors import ModelIntegrityError


def test_a_wheel_or_gguf_that_we_do_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / weights.GGUF_NAME
    file.write_bytes(b"GGUF")
    with pytest.raises(ModelIntegrityError, match=weights.GGUF_NAME):
        weights.check_sha256(file, weights.GGUF_SHA256)


def test_the_cache_variable_moves_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path))
    assert weights.cache_home() == tmp_path
    monkeypatch.delenv(weights.CACHE_VARIABLE)
    assert weights.cache_home() == Path.home() / ".cache" / "toolrm_guard"


def test_the_converted_model_answers_a_question_it_knows() -> None:
    model, tokenizer = weights.load_smollm2()
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    tokens = torch.tensor([tokenizer.encode(prompt)])
    answer = model.generate(
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=8, do_sample=False
    )
    assert "Paris" in tokenizer.decode(answer[0, tokens.shape[1] :])
    assert model.dtype == torch.float32
    assert not model.training
    assert not hasattr(model.config, "quantization_config")


def test_digits_stand_alone_and_padding_is_not_the_end_of_turn() -> None:
    _, tokenizer = weights.load_smollm2()
    assert tokenizer.tokenize("2026") == ["2", "0", "2", "6"]
    assert tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.eos_token == "<|im_end|>"
    text = "Zürich, 14:05 <tool_call>\n  {}"
    assert tokenizer.decode(tokenizer.encode(text)) == text
