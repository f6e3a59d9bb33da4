from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

import fastquery as fq
from costmodel.estimate import estimate
from costmodel.grid import Grid
from costmodel.packing import check_packing, field_moduli, widths_of_levels
from costmodel.parameters import Configuration, Packing, Table
from costmodel.systems import configuration
from fastquery.cli import main
from fastquery.cli.quantize import recipes_text
from protocol.elements import element_spread, middle_element
from protocol.server import load_table
from quantize.packed import PackedTable
from quantize.recipes import RECIPES
from quantize.tables import MINILM_PACKAGE, open_table
from validate.recipes import measured_recipes

EMBEDDING = "model.embed_tokens.weight"
QKV = ",".join(f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkv")


def need_minilm() -> None:
    try:
        distribution(MINILM_PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"{MINILM_PACKAGE} is not installed")


@pytest.fixture
def shard(tmp_path: Path) -> str:
    """A checkpoint's first shard: table, and projections of grouped queries, the keys' and values' smaller."""
    generator = np.random.default_rng(0)
    tensors = {EMBEDDING: open_table("200x32", 1).read(0, 200)}
    for part, outputs in (("q", 32), ("k", 8), ("v", 8)):
        tensors[f"model.layers.0.self_attn.{part}_proj.weight"] = generator.standard_normal((outputs, 32), np.float32)
    tensors["model.layers.0.input_layernorm.weight"] = np.ones(32, np.float32)
    path = tmp_path / "model-00001-of-00002.safetensors"
    save_file(tensors, str(path))
    return f"{path}:{EMBEDDING}"


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_a_packed_table_of_a_checkpoint_is_saved_and_served(
    shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made" / "packed.safetensors"
    made = document(
        capsys, "quantize", "--table", shard, "--recipe", "hadamard-ten-levels", "--evaluate", "--output", str(path)
    )
    assert made["path"] == str(path)
    assert made["recipe"] == made["name"] == "hadamard-ten-levels"
    assert 0 < made["weighted_error"] < 0.3
    assert made["cosine"] is None
    assert made["note"].startswith("from hadamard: error 0.")
    packed = fq.quantize(shard, "hadamard-ten-levels")
    loaded = PackedTable.load(path)
    assert loaded.public == packed.public
    assert np.array_equal(loaded.coefficients, packed.coefficients)
    asked = document(capsys, "estimate", "--table", str(path))
    assert asked["up_bytes"] == made["up_bytes"]
    assert asked["latency_s"] == made["latency_s"]
    assert asked["configuration"]["ring"]["plaintext_modulus"] == 8000
    assert asked["configuration"]["packing"]["levels"] == [10, 10, 10]
    assert fq.estimate(table=str(path)).up_bytes == made["up_bytes"]


@pytest.mark.slow
def test_a_packed_file_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openfhe")
    for recipe in ("hadamard-ten-levels", "fibonacci"):
        path = tmp_path / f"{recipe}.safetensors"
        fq.quantize("500x32", recipe).save(path)
        ran = document(capsys, "run", "--table", str(path), "--tokens", "2")
        assert ran["correct"]
        assert ran["ledgers_agree"]
        assert ran["up_bytes"] == ran["predicted_up_bytes"]


def test_projections_and_frequencies_of_a_checkpoint(
    shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = tmp_path / "counts.txt"
    counts.write_text("\n".join(str(k) for k in range(200)))
    output = str(tmp_path / "out.safetensors")
    arguments = ["quantize", "--table", shard, "--recipe", "least-squares", "--output", output]
    plain = document(capsys, *arguments, "--qkv", QKV)
    counted = document(capsys, *arguments, "--qkv", QKV, "--frequencies", str(counts))
    assert plain["weighted_error"] != counted["weighted_error"]
    base = document(capsys, *arguments[:4], "fastquery", *arguments[5:], "--qkv", QKV)
    assert plain["weighted_error"] < base["weighted_error"]
    assert main(arguments) == 2
    assert "'least-squares' needs the query, key and value projections" in capsys.readouterr().err


def test_all_recipes_with_what_they_cost(shard: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = document(capsys, "quantize", "--table", shard, "--recipe", "all", "--evaluate", "--qkv", QKV)["recipes"]
    assert [row["name"] for row in rows] == [n for n, one in RECIPES.items() if one.needs in ("table", "projection")]
    for row in rows:
        assert {"bits", "channels_per_coefficient", "query_decodable", "weighted_error", "cosine"} <= set(row)
        assert (row["up_bytes"] is None) == (row["latency_s"] is None) == (not row["query_decodable"])
    by_name = {row["name"]: row for row in rows}
    levels = by_name["fastquery"]["field_levels"]
    expected = estimate(configuration("fastquery", Table(200, 32), levels=tuple(levels)))
    assert by_name["fastquery"]["up_bytes"] == expected.up_bytes
    assert by_name["fastquery"]["latency_s"] == pytest.approx(expected.latency_s)
    assert by_name["int6"]["latency_s"] > by_name["int4"]["latency_s"] > by_name["fastquery"]["latency_s"]


def test_recipes_as_a_frame(shard: str) -> None:
    names = ["int3", "hadamard", "pca"]
    frame = fq.recipes(shard, names, link="44Mbit/s,40ms", tokens=2, flooding_bits=0)
    assert frame["name"].tolist() == names
    assert frame["up_bytes"].isna().tolist() == [False, False, True]
    fast = fq.recipes(shard, names, link="lan", tokens=2, flooding_bits=0)
    assert (frame["latency_s"] > fast["latency_s"])[:2].all()
    assert frame["weighted_error"].equals(fast["weighted_error"])


def test_recipes_that_a_protocol_does_not_take_are_not_priced(shard: str) -> None:
    narrow = {"plaintext_modulus": 4096}
    frame = fq.recipes(shard, ["int4", "ten-levels"], ring=narrow).set_index("name")
    assert frame["up_bytes"].isna().tolist() == [False, True]
    assert frame["note"]["ten-levels"] == "not priced: packing of 10,10,10 levels needs t >= 8000, got t=4096"
    for names, words in ((["ten-levels"], "needs t >= 8000"), (["int4", "pca"], "protocol is 'none'")):
        with pytest.raises(ValueError, match=words):
            fq.recipes(shard, names, ring=narrow, protocol="none" if "pca" in names else "fastquery")
    assert fq.recipes(shard, ["pca"])["up_bytes"].isna().all()


def test_recipes_for_people(shard: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = recipes_text(fq.recipes(shard, ["int3-token", "int4"])).splitlines()
    assert len(lines) == 3
    assert "scale is public and tells which token" in lines[1]
    assert "kB" in lines[2]
    assert main(["quantize", "--table", shard, "--recipe", "pca", "--evaluate"]) == 0
    assert "none: a private query cannot decode it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "nope"], "recipe: 'nope' is unknown; valid are int3-tensor"),
        (["--recipe", "pca"], "recipe 'pca' is refused for a private query: the rotation depends on the table"),
        (["--recipe", "int3-token", "--evaluate", "--output", "x"], "tells which token was looked up"),
        (["--recipe", "all", "--output", "x"], "--recipe all compares and saves none"),
        (["--table", "none"], "table: 'none' is unknown"),
        (["--table", "9x2"], "2 channels are fewer than the 3 of one coefficient"),
        (["--table", "9x6", "--qkv", "a"], "'a' is in no file"),
        (["--table", "9x6", "--frequencies", "none"], "there is no file 'none'"),
        (["--table", "9x6", "--evaluate", "--protocol", "none"], "protocol is 'none'"),
        (["--table", "9x6", "--evaluate", "--flooding-bits", "500"], "flooding_bits is 500"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "--table" not in arguments:
        arguments = [*arguments, "--table", "30x6"]
    assert main(["quantize", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = [line for line in printed.err.splitlines() if line.startswith("fastquery quantize: ")]
    assert words in line
    assert not list(tmp_path.iterdir())


def test_bad_files_are_one_line(shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = shard.partition(":")[0]
    values = open_table("200x32", 1).read(0, 200)
    values[150, 3] = np.nan
    broken = tmp_path / "broken.safetensors"
    save_file({EMBEDDING: values}, str(broken))
    packed = tmp_path / "packed.safetensors"
    fq.quantize(shard, "hadamard-ten-levels").save(packed)
    for arguments, words in (
        (["quantize", "--table", f"{file}:missing"], "has no tensor 'missing'"),
        (["quantize", "--table", f"{broken}:{EMBEDDING}"], "finite"),
        (["quantize", "--table", shard, "--qkv", "model.layers.0.input_layernorm.weight"], "rank 1"),
        (["quantize", "--table", "9x6", "--qkv", f"{file}:{QKV.partition(',')[0]}"], "is (outputs, 6)"),
        (["estimate", "--table", file], "no packed table; a tensor of it is FILE.safetensors:KEY"),
        (["estimate", "--table", str(tmp_path / "none.safetensors")], "there is no file"),
        (["estimate", "--table", str(packed), "--packing", "4,3,3"], "packed in channels of 10,10,10 levels"),
        (["estimate", "--table", str(packed), "--ring", "N=4096,p=12,q=50+50"], "10,10,10 levels needs t >= 8000"),
    ):
        assert main(arguments) == 2
        errors = capsys.readouterr().err.splitlines()
        assert words in errors[-1], errors


def test_mixed_radix_is_a_packing() -> None:
    mixed = Packing().with_levels((10, 10, 10))
    assert mixed.widths == widths_of_levels((10, 10, 10)) == (4, 4, 4)
    assert mixed.field_moduli == (20, 20, 20)
    assert Packing((4, 3, 3)).with_levels((16, 8, 8)) == Packing((4, 3, 3))
    with pytest.raises(ValueError, match="levels are 10,10; these take widths of 4,4 bits, not 4,3,3"):
        Packing((4, 3, 3), levels=(10, 10))
    with pytest.raises(ValueError, match="a channel has at least 2"):
        Packing().with_levels((10, 1))
    check_packing((4, 4, 4), 8000, (10, 10, 10))
    with pytest.raises(ValueError, match="needs t >= 8000, got t=7999"):
        check_packing((4, 4, 4), 7999, (10, 10, 10))
    with pytest.raises(ValueError, match=r"levels are \(10, 10, 10\); the folded query packs"):
        configuration("folded", Table(300, 9), levels=(10, 10, 10))
    asked = configuration("fastquery", Table(300, 9), levels=(10, 10, 10))
    assert asked.ring.plaintext_modulus == 8000
    assert Configuration.from_toml(asked.to_toml()) == asked


@pytest.mark.parametrize("levels", [(16, 8, 8), (10, 10, 10), (11, 11), (3, 5, 6)])
def test_elements_of_a_grid_are_those_of_the_table(levels: tuple[int, ...]) -> None:
    """Uniform levels have the mean square that the noise model takes, and no element exceeds its bound."""
    asked = configuration("fastquery", Table(300, 4 * len(levels)), levels=levels)
    grid, moduli = Grid.of(asked), field_moduli(widths_of_levels(levels), levels)
    generator = np.random.default_rng(0)
    places = np.cumprod([1, *moduli[:-1]])
    elements = sum(
        place * generator.integers(0, count, (2000, 50)) for place, count in zip(places, levels, strict=True)
    )
    centred = np.asarray(elements) - middle_element(moduli)
    assert np.mean(centred.astype(float) ** 2) == pytest.approx(float(grid.element_mean_square), rel=0.07)
    largest = sum(place * (modulus // 4) for place, modulus in zip(places, moduli, strict=True))
    assert np.abs(centred).max() <= largest == np.sqrt(grid.element_worst_square)
    assert element_spread(np.asarray(elements, np.uint32), moduli) == pytest.approx(1, abs=0.04)


def test_a_table_that_is_not_the_configurations_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "packed.safetensors"
    fq.quantize("300x12", "ten-levels").save(path)
    right = configuration("fastquery", Table(300, 12), levels=(10, 10, 10))
    assert load_table(right, str(path), 0).public.recipe == "ten-levels"
    for wrong, words in (
        (configuration("fastquery", Table(300, 12)), "is packed in fields of"),
        (configuration("fastquery", Table(301, 12), levels=(10, 10, 10)), "is 300x12; the configuration says 301x12"),
    ):
        with pytest.raises(ValueError, match=words):
            load_table(wrong, str(path), 0)
    of_floats = load_table(right, "300x12", 0)
    assert of_floats.public.field_levels == (10, 10, 10)


def test_measured_recipes_are_ordered_as_the_paper_says() -> None:
    cosine = measured_recipes()["cosine"]
    assert set(cosine.index) == set(RECIPES)
    assert cosine["int3-tensor"] < 0.6 < 0.95 < cosine["int3"]
    assert cosine["6-2-2"] < cosine["5-3-2"] < cosine["fastquery"] < cosine["int4"]
    for group in ("6-2-2", "5-3-2"):
        others = [name for name in RECIPES if name.startswith(f"{group}-")]
        assert len(others) == 4
        assert cosine[group] > cosine[others].max()
    assert cosine["int4"] > 0.996
    at_13_bits = measured_recipes().query("plaintext_modulus <= 8192 and channels_per_coefficient == 3")
    assert at_13_bits[at_13_bits["query_decodable"]]["cosine"].max() >= 0.995


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_measured_recipes_are_measured_again() -> None:
    need_minilm()
    stored = measured_recipes()
    again = fq.recipes("minilm").set_index("name")[list(stored.columns)]
    for name, tolerance in (("weighted_error", 2e-3), ("cosine", 1e-3), ("bits", 1e-6)):
        pd.testing.assert_series_equal(again[name], stored[name], rtol=0, atol=tolerance)
    exact = ["channels_per_coefficient", "coefficients", "plaintext_modulus", "rows", "query_decodable"]
    pd.testing.assert_frame_equal(again[exact], stored[exact], check_dtype=False)
