from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize import PackedTable, PublicTable, Quantizer, open_table, quantize, quantize_table
from quantize.packing import unpack
from quantize.tables import ArrayTable
from quantize.transforms import Hadamard

pytest.importorskip("safetensors")


@st.composite
def quantizers(draw: st.DrawFn) -> Quantizer:
    half = draw(st.booleans())
    count = st.integers(1, 12).map(lambda k: 2 * k) if half else st.integers(2, 25)
    return Quantizer(
        field_levels=tuple(draw(st.lists(count, min_size=1, max_size=4))),
        saliency=draw(st.sampled_from(["magnitude", "random", "error"])),
        scales=draw(st.sampled_from(["power-of-two", "free"])),
        fit=draw(st.sampled_from(["absmax", "squared-error"])),
        half_integer=half,
        granularity=draw(st.sampled_from(["channel", "tensor"])),
        transform=draw(st.sampled_from([Quantizer().transform, Hadamard(2), Hadamard(4, 7)])),
    )


@settings(deadline=None, max_examples=60)
@given(quantizers(), st.integers(1, 5).map(lambda k: 4 * k), st.integers(0, 3))
def test_what_is_packed_is_what_is_opened(quantizer: Quantizer, channels: int, seed: int) -> None:
    source = open_table(f"40x{channels}", seed)
    if channels < len(quantizer.field_levels):
        return
    table = quantize(source, quantizer, "test")
    public = table.public
    levels = public.open(table.coefficients)
    weights = quantizer.transform.apply(source.read(0, 40)).astype(np.float64)
    count = np.empty(channels, np.int64)
    count[np.asarray(public.order)] = public.levels_by_position
    half = 0.5 if quantizer.half_integer else 0.0
    nearest = np.clip(np.rint(weights / np.asarray(public.scales) - half), -(count // 2), count - 1 - count // 2)
    # Single precision decides ties of free scales.
    assert np.count_nonzero(levels != nearest) <= (0 if quantizer.scales == "power-of-two" else 2)
    assert np.array_equal(np.asarray(public.order)[np.asarray(public.inverse_order)], np.arange(channels))
    opened = public.dequantize(levels)
    restored = quantizer.transform.undo(((levels + half) * np.asarray(public.scales)).astype(np.float32))
    np.testing.assert_allclose(opened, restored, atol=1e-6)
    np.testing.assert_array_equal(table.embeddings(), opened)
    np.testing.assert_array_equal(table.levels(17), levels[17])
    assert PublicTable.from_json(public.to_json()) == public
    assert hash(public) == hash(PublicTable.from_json(public.to_json()))


@settings(deadline=None, max_examples=40)
@given(quantizers(), st.sampled_from([40, 64]), st.integers(0, 2**63))
def test_shares_decode_alone_to_shares_of_the_embedding(quantizer: Quantizer, share_bits: int, seed: int) -> None:
    source = open_table("9x12", 5)
    quantizer = replace(quantizer, scales="power-of-two")
    table = quantize(source, quantizer, "test")
    public = table.public
    fields = unpack(table.coefficients, public.field_moduli, 12).astype(np.uint64)
    mask = np.uint64((1 << share_bits) - 1)
    server = np.random.default_rng(seed).integers(0, 2**64, fields.shape, np.uint64) & mask
    client = (fields - server) & mask
    shares = [
        public.share_of_embedding(server, True, share_bits),
        public.share_of_embedding(client, False, share_bits),
    ]
    assert all((share <= mask).all() for share in shares)
    opened = (shares[0] + shares[1]) & mask
    signed = (opened << np.uint64(64 - share_bits)).view(np.int64) >> (64 - share_bits)
    np.testing.assert_allclose(signed * public.unit(), table.embeddings(), rtol=0, atol=1e-5)
    assert np.array_equal(public.open_fields((client + server) & mask), public.open(table.coefficients))


def test_free_scales_decode_on_shares_to_the_fraction_asked_for() -> None:
    table = quantize(open_table("50x8"), Quantizer(scales="free", transform=Hadamard(8, 1)), "test")
    fields = unpack(table.coefficients, table.public.field_moduli, 8).astype(np.uint64)
    alone = table.public.share_of_embedding(fields, True, 40, fraction_bits=16).astype(np.int64)
    signed = np.where(alone >= 1 << 39, alone - (1 << 40), alone)
    np.testing.assert_allclose(signed * table.public.unit(16), table.embeddings(), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="do not fit 16 bits"):
        table.public.share_of_embedding(fields, True, 16, fraction_bits=16)


@pytest.mark.parametrize("channels", [9, 10, 11, 384, 4096])
def test_the_widest_field_takes_the_most_salient_channels(channels: int) -> None:
    source = open_table(f"600x{channels}", 2)
    table = quantize_table(source, (4, 3, 3))
    order = np.asarray(table.public.order)
    magnitude = np.abs(source.read(0, 600)).mean(axis=0)
    wide, narrow = order[::3], np.concatenate([order[1::3], order[2::3]])
    assert table.coefficients.shape == (600, -(-channels // 3))
    assert magnitude[wide].min() >= magnitude[narrow].max() * (1 - 1e-6)
    assert table.public.widths == (4, 3, 3)
    assert table.public.plaintext_modulus == 2**13
    assert table.coefficients.dtype == np.uint16


def test_equal_widths_keep_the_order() -> None:
    assert quantize_table(open_table("50x10"), (3, 3, 3)).public.order == tuple(range(10))


def test_scales_are_fitted_to_the_tokens_that_occur() -> None:
    values = np.random.default_rng(3).standard_normal((2000, 6)).astype(np.float32)
    values[1000:] *= 8
    quantizer = Quantizer((8, 8, 8), scales="free", fit="squared-error")
    small, large = (np.repeat(pair, 1000) for pair in ((1.0, 1e-6), (1e-6, 1.0)))
    fitted = [
        np.asarray(quantize(ArrayTable.of(values), quantizer, "test", weights).public.scales)
        for weights in (small, large)
    ]
    assert (fitted[1] > 5 * fitted[0]).all()


@pytest.mark.parametrize("scales", ["power-of-two", "free"])
def test_least_squared_error_is_less_than_that_of_absmax(scales: str) -> None:
    source = open_table("3000x30", 1)
    weights = np.full(3000, 1 / 3000)
    errors = {}
    for fit in ("absmax", "squared-error"):
        quantizer = Quantizer((8, 8, 8), scales=scales, fit=fit)  # type: ignore[arg-type]
        table = quantize(source, quantizer, "test", weights)
        errors[fit] = ((table.embeddings() - source.read(0, 3000)) ** 2).sum(axis=0)
    assert (errors["squared-error"] <= errors["absmax"] * (1 + 1e-5)).all()
    assert errors["squared-error"].sum() < 0.8 * errors["absmax"].sum()


def test_the_free_scale_of_a_normal_channel_is_the_known_optimum() -> None:
    """Max (1960), table II: the best uniform quantiser of 8 levels has step 0.5860 sigma, error 0.03744."""
    values = np.random.default_rng(4).standard_normal((200_000, 1)).astype(np.float32)
    table = quantize(
        ArrayTable.of(values),
        Quantizer((8,), scales="free", fit="squared-error", half_integer=True),
        "test",
        np.full(200_000, 1.0),
    )
    assert table.public.scales[0] == pytest.approx(0.5860, rel=0.04)
    assert ((table.embeddings() - values) ** 2).mean() == pytest.approx(0.03744, rel=0.02)


def test_scales_of_a_tensor_are_one_a_width() -> None:
    table = quantize(open_table("50x12"), Quantizer(granularity="tensor"), "test")
    assert len(set(table.public.scales)) == 2
    free = quantize(open_table("50x12"), Quantizer(granularity="tensor", fit="squared-error", scales="free"), "test")
    assert len(set(free.public.scales)) == 2


def test_a_channel_of_zeros_stays_zero() -> None:
    values = np.zeros((5, 3), np.float32)
    values[:, 1] = 1
    for half in (False, True):
        for fit in ("absmax", "squared-error"):
            table = quantize(ArrayTable.of(values), Quantizer(half_integer=half, fit=fit), "test")  # type: ignore[arg-type]
            assert np.abs(table.embeddings()[:, [0, 2]]).max() < 1e-9


def test_progress_is_told() -> None:
    calls: list[tuple[str, float]] = []
    quantize_table(open_table("50x12"), progress=lambda stage, fraction: calls.append((stage, fraction)))
    assert {stage for stage, _ in calls} == {"statistics", "scales", "packing"}
    assert ("packing", 1.0) in calls


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"granularity": "token"}, "refused for a private query"),
        ({"granularity": "row"}, "valid are channel, tensor"),
        ({"scales": "log"}, "valid are power-of-two, free"),
        ({"fit": "least"}, "valid are absmax, squared-error"),
        ({"saliency": "size"}, "valid are magnitude, random, error"),
        ({"field_levels": (9, 8), "half_integer": True}, "even numbers"),
        ({"field_levels": (1 << 24,) * 3}, "exceeds"),
    ],
)
def test_bad_quantizers(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Quantizer(**changes)  # type: ignore[arg-type]


def test_bad_tables() -> None:
    with pytest.raises(ValueError, match="2 channels are fewer than the 3"):
        quantize_table(open_table("9x2"))
    values = np.ones((4, 3), np.float32)
    values[2, 1] = np.inf
    with pytest.raises(ValueError, match="row 2, channel 1 is inf"):
        quantize_table(ArrayTable.of(values))
    with pytest.raises(ValueError, match="odd"):
        Hadamard.for_channels(9)
    with pytest.raises(ValueError, match="divides 6 channels"):
        quantize(open_table("9x6"), Quantizer(transform=Hadamard(4)), "test")
    with pytest.raises(ValueError, match="3 counts for 9 tokens"):
        quantize(open_table("9x6"), Quantizer(), "test", np.ones(3))


def test_a_merged_vocabulary_reads_rows_through_its_map() -> None:
    table = quantize_table(open_table("3x6"))
    merged = PackedTable(table.coefficients, replace(table.public, row_of_token=(0, 2, 2, 1)))
    assert merged.public.tokens == 4
    assert [merged.public.row(token) for token in range(4)] == [0, 2, 2, 1]
    np.testing.assert_array_equal(merged.embeddings(), table.embeddings()[[0, 2, 2, 1]])
    assert PublicTable.from_json(merged.public.to_json()) == merged.public
    with pytest.raises(ValueError, match="outside 0 to 3"):
        merged.public.row(4)


def test_saving_and_loading(tmp_path: Path) -> None:
    for number, quantizer in enumerate(
        [
            Quantizer(),
            Quantizer((10, 10, 10), half_integer=True, transform=Hadamard(4, 9)),
            Quantizer((2**20,) * 2),
        ]
    ):
        table = quantize(open_table("30x12"), quantizer, f"recipe {number}")
        path = tmp_path / f"{number}.safetensors"
        table.save(path)
        loaded = PackedTable.load(path)
        assert loaded.public == table.public
        assert np.array_equal(loaded.coefficients, table.coefficients)
        assert loaded.coefficients.dtype == table.coefficients.dtype


def test_a_file_that_is_no_packed_table_is_refused(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.numpy").save_file
    table = quantize_table(open_table("30x12"))
    path = tmp_path / "table.safetensors"
    with pytest.raises(ValueError, match="there is no file"):
        PackedTable.load(path)
    path.write_bytes(b"not a table")
    with pytest.raises(ValueError, match="no valid safetensors"):
        PackedTable.load(path)
    save_file({"coefficients": table.coefficients}, path)
    with pytest.raises(ValueError, match="no packed table"):
        PackedTable.load(path)
    metadata = {"fastquery": table.public.to_json()}
    save_file({"coefficients": table.coefficients.astype(np.int16)}, path, metadata)
    with pytest.raises(ValueError, match="int16"):
        PackedTable.load(path)
    save_file({"coefficients": table.coefficients[:, 1:]}, path, metadata)
    with pytest.raises(ValueError, match="shape"):
        PackedTable.load(path)
    wrong = table.coefficients.copy()
    wrong[29, 0] |= 1 << 12
    save_file({"coefficients": wrong}, path, metadata)
    with pytest.raises(ValueError, match=r"1 of .* outside"):
        PackedTable.load(path)


BAD_DESCRIPTIONS = [
    ("format", "other"),
    ("rows", 0),
    ("rows", True),
    ("rows", 10**30),
    ("rows", 3.0),
    ("channels", 13),
    ("channels", 1 << 20),
    ("field_levels", []),
    ("field_levels", [1, 8, 8]),
    ("field_levels", [1 << 24] * 3),
    ("field_levels", [4] * 65),
    ("field_levels", "444"),
    ("order", [0] * 12),
    ("order", list(range(11))),
    ("order", [-1, *range(1, 12)]),
    ("order", None),
    ("scales", [0.5] * 11),
    ("scales", [0.0] * 12),
    ("scales", [-1.0] * 12),
    ("scales", [1e300] * 12),
    ("scales", [1] * 12),
    ("half_integer", 1),
    ("recipe", ""),
    ("recipe", "x" * 65),
    ("recipe", "\n"),
    ("transform", {"kind": "other"}),
    ("transform", {"kind": "hadamard", "block": 3, "seed": 0}),
    ("transform", {"kind": "hadamard", "block": 0, "seed": 0}),
    ("transform", {"kind": "hadamard", "block": 4, "seed": -1}),
    ("transform", {"kind": "identity", "block": 4}),
    ("transform", []),
    ("row_of_token", []),
    ("row_of_token", [30]),
    ("row_of_token", [-1]),
    ("row_of_token", [[0]]),
    ("extra", 1),
]


@pytest.mark.parametrize(("name", "value"), BAD_DESCRIPTIONS)
def test_a_peers_description_is_checked(name: str, value: object) -> None:
    data = json.loads(quantize_table(open_table("30x12")).public.to_json())
    data[name] = value
    with pytest.raises(ValueError, match=r"[a-z_ ]+: "):
        PublicTable.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "NaN", "[" * 100_000, '{"format":"fastquery-table-1"}'])
def test_a_peers_text_is_checked(text: str) -> None:
    with pytest.raises(ValueError, match="public table"):
        PublicTable.from_json(text)


@given(st.data())
def test_opening_refuses_what_no_row_packs(data: st.DataObject) -> None:
    public = quantize_table(open_table("30x12")).public
    row = data.draw(st.lists(st.integers(0, 2**13 - 1), min_size=4, max_size=4))
    fields = unpack(np.array(row), public.field_moduli, 12)
    valid = (fields < public.levels_by_position).all()
    if valid:
        assert public.open(np.array(row)).shape == (12,)
    else:
        with pytest.raises(ValueError, match="outside their field's levels"):
            public.open(np.array(row))
    with pytest.raises(ValueError, match="outside 0 to 8191"):
        public.open(np.array([8192, 0, 0, 0]))
