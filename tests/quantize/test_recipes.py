from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from quantize import PackedTable, open_table
from quantize.codebook import fibonacci_levels, power_of_two_levels, quantize_codebook
from quantize.comparison import Evaluation, evaluate, evaluate_recipes
from quantize.evaluate import SentenceBenchmark, weighted_error
from quantize.merging import near_equal_rows, quantize_merged
from quantize.metric import normalised_metric, projection_metric, row_losses
from quantize.minilm import MiniLM
from quantize.models import SentenceModel
from quantize.output_metric import sentence_embedding
from quantize.packing import unpack
from quantize.private import principal_components
from quantize.quantizers import Quantizer
from quantize.recipes import RECIPES, pack_for_query
from quantize.sensitivity import Sensitivity
from quantize.tables import ArrayTable, read_tensor
from quantize.workbench import Workbench


@dataclass(frozen=True)
class SmallModel:
    """A model of 24 channels whose output is linear in them."""

    projection: np.ndarray
    differentiable: bool = True
    sensitivity: Sensitivity | None = None

    @property
    def norm_metric(self) -> np.ndarray:
        weight = np.linspace(0.1, 2, len(self.projection)).astype(np.float32)
        return normalised_metric(self.projection, weight, centred=True, residual=4.0)

    def output_metric(self, frequencies: np.ndarray) -> np.ndarray:
        return projection_metric(self.projection)


def small_bench(rows: int = 90, channels: int = 24, **model: object) -> Workbench:
    projection = np.random.default_rng(0).standard_normal((channels, 30)).astype(np.float32)
    return Workbench.of(open_table(f"{rows}x{channels}", 2), model=SmallModel(projection, **model))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_packs_or_says_why_not(name: str) -> None:
    bench = small_bench()
    recipe = RECIPES[name]
    result = evaluate(name, bench)
    assert 0 < result.weighted_error < 1
    assert result.cosine is None
    assert result.perplexity is None
    assert result.coefficients * result.channels_per_coefficient >= (16 if name == "low-rank" else 24)
    if not recipe.query_decodable:
        assert result.note == recipe.obstacle
        with pytest.raises(ValueError, match=f"recipe '{name}' is refused for a private query"):
            pack_for_query(name, bench)
        return
    table = pack_for_query(name, bench)
    assert table.public.recipe == name
    assert int(table.coefficients.max()) < table.public.plaintext_modulus
    # What a query does: two shares of a row, each decoded alone.
    row = unpack(table.coefficients[7], table.public.field_moduli, 24).astype(np.uint64)
    server = np.random.default_rng(1).integers(0, 2**64, 24, np.uint64)
    shares = [
        table.public.share_of_embedding(server, True, 64, 20),
        table.public.share_of_embedding(row - server, False, 64, 20),
    ]
    opened = (shares[0] + shares[1]).view(np.int64) * table.public.unit(20)
    np.testing.assert_allclose(opened, table.public.dequantize(table.public.open(table.coefficients[7])), atol=1e-5)


def test_a_dozen_recipes_and_more() -> None:
    assert len(RECIPES) >= 12
    assert {name for name, recipe in RECIPES.items() if not recipe.query_decodable} == {
        "int3-token",
        "pca",
        "low-rank",
    }


def test_recipes_say_what_they_need() -> None:
    alone = Workbench.of(small_bench().source)
    projected = replace(alone, projection=small_bench().projection)
    words = {"projection": "the query, key and value projections", "model": "a model that the table is part of"}
    words["gradients"] = words["model"]
    for name, recipe in RECIPES.items():
        assert small_bench().has(recipe.needs)
        if recipe.needs == "table":
            continue
        for bench in (alone, projected):
            if not bench.has(recipe.needs):
                with pytest.raises(ValueError, match=f"recipe '{name}' needs {words[recipe.needs]}"):
                    evaluate(name, bench)
    assert not small_bench(differentiable=False).has("gradients")
    assert [result.name for result in evaluate_recipes(["int3", "hadamard"], alone)] == ["int3", "hadamard"]


def test_criteria_are_measured_where_the_model_can_and_by_proxy_where_not() -> None:
    rising = np.arange(24.0)
    measured = Sensitivity(gradient=rising, hessian=-rising, gradient_magnitude=rising % 7)
    for name, wide in (("fastquery-gradient", set(range(16, 24))), ("fastquery-hessian", set(range(8)))):
        table = pack_for_query(name, small_bench(sensitivity=measured))
        assert set(table.public.order[::3]) == wide
        assert set(pack_for_query(name, small_bench()).public.order[::3]) != wide


def test_least_squares_lowers_the_loss_of_its_metric() -> None:
    bench = small_bench()
    for name, metric in (
        ("least-squares-norm", bench.norm_metric("")),
        ("least-squares-output", bench.output_metric("")),
    ):
        losses = [
            row_losses(pack_for_query(made, bench).embeddings() - bench.source.read(0, 90), metric).sum()
            for made in ("fastquery", name)
        ]
        assert losses[1] < 0.95 * losses[0]


def test_evaluations_that_are_known_are_not_made_again() -> None:
    kept: list[Evaluation] = []
    first = list(evaluate_recipes(["int3", "fitted"], small_bench(), keep=kept.append))
    assert [one.name for one in kept] == ["int3", "fitted", "fastquery"]
    known = {one.name: one for one in kept}
    again = list(evaluate_recipes(["int3", "fitted"], small_bench(rows=91), known=known, keep=pytest.fail))
    assert again == first


def test_a_recipe_is_compared_with_the_one_it_starts_from() -> None:
    tuned, base, rotated = evaluate_recipes(["least-squares", "fastquery", "pca"], small_bench())
    expected = f"from fastquery: error {base.weighted_error:.4f} to {tuned.weighted_error:.4f}"
    assert tuned.note == expected
    assert base.note == ""
    assert rotated.note == RECIPES["pca"].obstacle


def test_bad_recipes_and_benches() -> None:
    with pytest.raises(ValueError, match="'none' is unknown; valid are int3-tensor"):
        pack_for_query("none", small_bench())
    with pytest.raises(ValueError, match="it takes 24 channels, the table has 12"):
        evaluate("finetuned-qkv", replace(small_bench(), source=open_table("90x12")))
    with pytest.raises(ValueError, match="2 channels are fewer than the 3"):
        pack_for_query("fastquery", Workbench.of(open_table("9x2")))


def test_fibonacci_levels() -> None:
    assert fibonacci_levels(8).tolist() == [-8, -5, -3, -2, -1, 0, 1, 2, 3, 5, 8]
    assert fibonacci_levels(4).tolist() == [-3, -2, -1, 0, 1, 2, 3]
    table = quantize_codebook(open_table("500x9"), fibonacci_levels(5), 3, "free", "test", np.full(500, 1 / 500))
    levels = table.public.open(table.coefficients)
    assert set(levels.ravel().tolist()) == set(fibonacci_levels(5).tolist())
    values = open_table("500x9").read(0, 500) / np.asarray(table.public.scales, np.float32)
    distance = np.abs(values[..., None] - fibonacci_levels(5)).min(axis=-1)
    np.testing.assert_allclose(np.abs(values - levels), distance, atol=1e-4)


def test_levels_and_scales_that_dequantise_by_shifts() -> None:
    bench = small_bench(500, 64)
    table = pack_for_query("shift-levels", bench)
    levels = set(np.abs(table.public.open(table.coefficients)).ravel().tolist())
    assert levels == {0, *power_of_two_levels(4)[-3:].tolist()} == {0, 1, 2, 4}
    for name in ("shift-levels", "nine-levels", "half-integer", "hadamard-shift"):
        public = pack_for_query(name, bench).public
        steps = np.log2([*public.scales, public.transform.gain])
        assert (steps == np.rint(steps)).all()
    nine, five = (evaluate(name, bench).weighted_error for name in ("nine-levels", "shift-levels"))
    assert nine < five


def test_merging_follows_the_most_frequent_row() -> None:
    generator = np.random.default_rng(0)
    values = generator.standard_normal((50, 40)).astype(np.float32)
    values[7] = values[3] * 1.01
    values[20] = values[3] * 0.99
    values[31] = values[30]
    frequencies = np.full(50, 0.01)
    frequencies[20] = 0.5
    source = ArrayTable.of(values)
    leader = near_equal_rows(source, frequencies, 0.05)
    expected = np.arange(50)
    expected[[3, 7]] = 20
    expected[31] = 30
    assert leader.tolist() == expected.tolist()
    table = quantize_merged(source, Quantizer((64, 64), scales="free"), "test", frequencies, 0.05)
    assert table.public.rows == 47
    assert table.public.tokens == 50
    assert table.public.row(3) == table.public.row(7) == table.public.row(20)
    restored = table.embeddings()
    assert np.abs(restored - values[expected]).max() < 0.2
    with pytest.raises(ValueError, match="outside 0 to 1"):
        near_equal_rows(source, frequencies, 1.5)


def test_principal_components_are_a_basis_by_size() -> None:
    source = open_table("400x6", 4)
    basis = principal_components(source, np.full(400, 1 / 400))
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-5)
    spread = (source.read(0, 400) @ basis).std(axis=0)
    assert (np.diff(spread) < 0).all()


def test_the_weighted_error_counts_common_tokens() -> None:
    source = open_table("10x4")
    exact = source.read(0, 10)
    wrong = exact.copy()
    wrong[0] = 0
    common, rare = np.full(10, 0.05), np.full(10, 0.11)
    common[0], rare[0] = 0.55, 0.01
    assert weighted_error(source, lambda ids: exact[ids], common, None) == 0
    assert weighted_error(source, lambda ids: wrong[ids] * 0, common, None) == pytest.approx(1)
    assert weighted_error(source, lambda ids: wrong[ids], common, None) > 2 * weighted_error(
        source, lambda ids: wrong[ids], rare, None
    )


def write_checkpoint(path: Path, values: np.ndarray) -> None:
    """A shard as LLaMA's checkpoints have them: bfloat16, several tensors, names with dots."""
    tensors = {
        "model.embed_tokens.weight": values,
        "model.layers.0.self_attn.q_proj.weight": np.ones((12, values.shape[1]), np.float32),
        "model.norm.weight": np.ones(values.shape[1], np.float32),
    }
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for key, tensor in tensors.items():
        content = (tensor.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        header[key] = {
            "dtype": "BF16",
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }  # type: ignore[assignment]
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_a_checkpoint_of_llamas_layout(tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-00002.safetensors"
    write_checkpoint(path, open_table("200x32", 1).read(0, 200))
    source = open_table(f"{path}:model.embed_tokens.weight")
    projection = read_tensor(path, "model.layers.0.self_attn.q_proj.weight").T
    bench = Workbench.of(source, projection=projection)
    for name in ("fastquery", "hadamard", "finetuned-qkv"):
        table = pack_for_query(name, bench)
        table.save(tmp_path / "packed.safetensors")
        assert np.array_equal(PackedTable.load(tmp_path / "packed.safetensors").embeddings(), table.embeddings())


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM.load()


def test_minilm_gives_the_published_similarities(minilm: MiniLM) -> None:
    """Published with the reference implementation: 0.69457746, 0.94291496, 0.25687605."""
    sentences = ["That is a happy person", "That is a happy dog", "That is a very happy person"]
    batch = minilm.tokenize([*sentences, "Today is a sunny day"])
    embedded = minilm.embed(batch, minilm.word_embeddings[batch.ids])
    np.testing.assert_allclose(embedded[0] @ embedded[1:].T, [0.69457746, 0.94291496, 0.25687605], atol=1e-6)
    with pytest.raises(ValueError, match="there are none"):
        minilm.tokenize([])


def test_minilm_sentences_do_not_see_each_other(minilm: MiniLM) -> None:
    sentences = ["Short.", "A sentence of a few more words than the first.", "Yes"]
    together = minilm.tokenize(sentences)
    embedded = minilm.embed(together, minilm.word_embeddings[together.ids])
    for sentence, expected in zip(sentences, embedded, strict=True):
        alone = minilm.tokenize([sentence])
        np.testing.assert_allclose(minilm.embed(alone, minilm.word_embeddings[alone.ids])[0], expected, atol=1e-5)


@pytest.fixture(scope="module")
def on_minilm(minilm: MiniLM) -> dict[str, Evaluation]:
    bench = Workbench.of(open_table("minilm"), projection=minilm.qkv)
    benchmark = SentenceBenchmark(minilm)
    names = [
        *("int3-tensor", "int3", "int4", "half-integer", "hadamard"),
        *(f"{group}{by}" for group in ("5-3-2", "6-2-2") for by in ("", *CRITERIA)),
        *("fastquery", "finetuned-qkv"),
    ]
    return {name: evaluate(name, bench, benchmark) for name in names}


CRITERIA = ("-random", "-gradient", "-hessian", "-gradient-magnitude")


@pytest.mark.slow
def test_minilm_orders_recipes_as_the_paper_does(on_minilm: dict[str, Evaluation]) -> None:
    cosine = {name: result.cosine or 0 for name, result in on_minilm.items()}
    assert cosine["int3-tensor"] < 0.6 < 0.95 < cosine["int3"] < cosine["fastquery"] < cosine["int4"]
    assert cosine["6-2-2"] < cosine["5-3-2"] < cosine["fastquery"]
    for group in ("5-3-2", "6-2-2"):
        assert cosine[group] > max(cosine[group + by] for by in CRITERIA)
    assert cosine["int4"] > 0.995


@pytest.mark.slow
def test_minilm_at_13_bits_for_three_channels(on_minilm: dict[str, Evaluation]) -> None:
    for name in ("half-integer", "hadamard"):
        assert on_minilm[name].plaintext_modulus == 2**13
        assert on_minilm[name].channels_per_coefficient == 3
        assert (on_minilm[name].cosine or 0) >= 0.995


@pytest.mark.slow
def test_minilm_is_made_worse_by_the_papers_fine_tuning(on_minilm: dict[str, Evaluation]) -> None:
    tuned, base = on_minilm["finetuned-qkv"], on_minilm["fastquery"]
    assert tuned.weighted_error < base.weighted_error
    assert (tuned.cosine or 0) < (base.cosine or 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_minilm_is_made_better_by_least_squares_at_its_output(minilm: MiniLM) -> None:
    pytest.importorskip("jax")
    model = SentenceModel(minilm)
    bench = Workbench.of(open_table("minilm"), model=model)
    for name in ("least-squares-norm", "least-squares-output", "hadamard-least-squares-output"):
        tuned, base = (evaluate(one, bench, model.benchmark) for one in (name, RECIPES[name].base or ""))
        assert (tuned.cosine or 0) > (base.cosine or 1) + 5e-4


@pytest.mark.slow
def test_minilms_second_forward_pass_is_the_first(minilm: MiniLM) -> None:
    pytest.importorskip("jax")
    batch = minilm.tokenize(["A sentence of a few more words than the first."])
    rows = minilm.word_embeddings[batch.ids]
    found = sentence_embedding(dict(minilm.weights), rows)
    np.testing.assert_allclose(np.asarray(found), minilm.embed(batch, rows)[0], atol=1e-5)
