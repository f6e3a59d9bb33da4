"""The figures that claims name: each derives one number from what a claim says of a configuration.

Configurations are published systems with what the claim changes of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from costmodel import retrieval
from costmodel.compact import ledger as compact
from costmodel.estimate import Estimate, estimate, terms
from costmodel.grid import Grid
from costmodel.ledger import Party, Phase, Transfer, total_bytes
from costmodel.link import parse_link
from costmodel.packing import accumulation_bits, one_hot_bits
from costmodel.parameters import Configuration, Packing, Ring, Table, Wire
from costmodel.preparation import preparation_wait
from costmodel.security import max_log2_q
from costmodel.systems import design_of, published
from costmodel.tiles import short_column_tile
from quantize.tables import table_shape
from validate.recipes import measured_recipes

TARGET_LOG2_FAILURE = -40.0
QUERY: tuple[Phase, ...] = ("offline", "online")


def configuration_of(of: Mapping[str, Any]) -> Configuration:
    """A published system with what a claim changes of it.

    Parameters
    ----------
    of
        ``protocol``; and, where they differ from the published ones or from LLaMA-7B's table: ``ablation``, ``table``,
        ``tokens``, ``widths``, ``output``, ``tile``, ``size``, ``options``, ``align_bits``, ``N``, ``q`` (limbs) and
        ``p``.
    """
    table = Table(*table_shape(of.get("table", "llama-7b")), of.get("tokens", 1))
    base = published(of["protocol"], table, of.get("ablation"))
    ring, packing = base.ring, base.packing
    return base.updated(
        size=of.get("size", base.size),
        options=tuple(of.get("options", ())),
        align_bits=of.get("align_bits", 0),
        ring=Ring(
            of.get("N", ring.degree),
            tuple(of.get("q", ring.limb_bits)),
            2 ** of["p"] if "p" in of else ring.plaintext_modulus,
            ring.sigma,
            ring.secret,
        ),
        packing=Packing(
            tuple(of.get("widths", packing.widths)), of.get("tile", packing.tile), of.get("output", packing.output)
        ),
    )


def _estimated(of: Mapping[str, Any]) -> Estimate:
    return estimate(configuration_of(of), parse_link(of.get("link", "lan")))


def _bytes(
    of: Mapping[str, Any], parties: Sequence[Party] = ("client", "server"), phases: Sequence[Phase] = QUERY
) -> float:
    """Bytes by the ledger alone: a system need not have unit costs for them."""
    ledger = terms(Grid.of(configuration_of(of)))
    return sum(float(total_bytes(ledger, party, phases)) for party in parties)


def _alignment_share(of: Mapping[str, Any]) -> float:
    """Bytes of aligning the shares, over those of the query and its answer."""
    return _bytes(of) / _bytes({**of, "align_bits": 0}) - 1.0


def _of_layers(figure: Callable[[Mapping[str, Any]], float]) -> Callable[[Mapping[str, Any]], float]:
    """A figure's sum over the products of ``layers``, each named as the ``table`` of its shape d_in x d_out."""
    return lambda of: sum(figure({**of, "table": layer}) for layer in of["layers"])


def _share_that_waits(of: Mapping[str, Any]) -> float:
    """Share of the lookups, ``lookups_per_s`` of them, that find none of ``held`` preparations ready."""
    result = _estimated(of)
    on_line = 8.0 * _bytes(of, phases=("offline",)) / result.link.rate_bit_per_s
    return float(preparation_wait(of["lookups_per_s"], result.offline_s + on_line, of["held"]).probability)


def _columns_of_a_polynomial(of: Mapping[str, Any]) -> float:
    configuration = configuration_of(of)
    return float(short_column_tile(configuration.table.rows, 1, configuration.ring.degree).d0)


def _smallest_secure_degree(of: Mapping[str, Any]) -> float:
    """Smallest ring degree at which the ring's q leaves 128 bits of security by the 2018 standard."""
    ring = configuration_of(of).ring
    degrees = 2 ** np.arange(10, 16)
    return float(degrees[np.argmax(max_log2_q(degrees, 128, ring.secret, "2018") >= ring.log2_q)])


def _latency_with_keys(of: Mapping[str, Any]) -> float:
    result = _estimated(of)
    return result.latency_s + 8.0 * result.setup_bytes / result.link.rate_bit_per_s


def _failure(configuration: Configuration, bits: int) -> float:
    """log2 of the failure probability with a plaintext of so many bits, one channel a coefficient."""
    narrow = configuration.updated(
        ring=replace(configuration.ring, plaintext_modulus=2**bits),
        packing=replace(configuration.packing, widths=(bits - 1,)),
    )
    grid = Grid.of(narrow)
    return float(design_of(grid).failure(grid))


def _decryptable_bits(of: Mapping[str, Any]) -> list[int]:
    configuration = configuration_of(of)
    return [p for p in range(2, configuration.ring.log2_q - 1) if _failure(configuration, p) <= TARGET_LOG2_FAILURE]


def _widths(of: Mapping[str, Any]) -> Sequence[int]:
    return configuration_of(of).packing.widths


def _plaintext_over_accumulation_bits(of: Mapping[str, Any]) -> float:
    configuration = configuration_of(of)
    needed = accumulation_bits(of["input_bits"], of["weight_bits"], configuration.table.rows)
    return math.log2(configuration.ring.plaintext_modulus) / float(needed)


def _most_channels(of: Mapping[str, Any]) -> float:
    """Channels of at least ``narrowest_bits``, with a reserved bit each, that a coefficient holds."""
    return float(int(math.log2(configuration_of(of).ring.plaintext_modulus)) // int(one_hot_bits(of["narrowest_bits"])))


def _ciphertexts(of: Mapping[str, Any], parties: Sequence[Party] = ("client", "server")) -> float:
    """Ciphertexts of a query and its answer."""
    ledger = [term for term in terms(Grid.of(configuration_of(of))) if isinstance(term, Transfer)]
    return float(sum(term.count for term in ledger if term.phase in QUERY and term.party in parties))


def _count(of: Mapping[str, Any]) -> float:
    """How often an ``operation`` is done for a query."""
    ledger = terms(Grid.of(configuration_of(of)))
    return float(sum(t.count for t in ledger if not isinstance(t, Transfer) and t.operation == of["operation"]))


def _packing_key_bytes(of: Mapping[str, Any]) -> float:
    """Seeded keys that pack N results into one ciphertext, each with so many digits, of a ``ring`` of N and q bits."""
    degree, bits = of["N"], of["q"]
    packing = Packing((1,), "column", "packlwes")
    wire = Wire(bits, bits, bits, -(-bits // of["digits"]))
    ring = Ring(degree, (bits,), 4)
    one = Configuration("fastquery", Table(1, degree), ring, packing, engine="residue", wire=wire)
    return float(compact.keys_bytes(Grid.of(one)))


def _retrieved(figure: str) -> Callable[[Mapping[str, Any]], float]:
    """A size of fetching a record: of a ``system`` over ``records`` of ``record_bytes``."""
    return lambda of: float(getattr(retrieval.retrieve(of["system"], of["records"], of["record_bytes"]), figure))


FIGURES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "sentence_loss": lambda of: 1.0 - float(measured_recipes()["cosine"][of["recipe"]]),
    "undecodable_by_a_query": lambda of: float(not measured_recipes()["query_decodable"][of["recipe"]]),
    "bytes": _bytes,
    "bytes_with_keys": lambda of: _bytes(of, phases=("setup", *QUERY)),
    "up_bytes": lambda of: _bytes(of, ("client",)),
    "down_bytes": lambda of: _bytes(of, ("server",)),
    "setup_bytes": lambda of: _bytes(of, phases=("setup",)),
    "ciphertexts": _ciphertexts,
    "up_ciphertexts": lambda of: _ciphertexts(of, ("client",)),
    "down_ciphertexts": lambda of: _ciphertexts(of, ("server",)),
    "alignment_over_bytes": _alignment_share,
    "layers_bytes": _of_layers(_bytes),
    "layers_server_s": _of_layers(lambda of: _estimated(of).server_s),
    "layers_latency_s": _of_layers(lambda of: _estimated(of).latency_s),
    "share_that_waits": _share_that_waits,
    "count": _count,
    "packing_key_bytes": _packing_key_bytes,
    "record_up_bytes": _retrieved("up_bytes"),
    "record_down_bytes": _retrieved("down_bytes"),
    "record_setup_bytes": _retrieved("setup_bytes"),
    "record_up_and_setup_bytes": lambda of: _retrieved("up_bytes")(of) + _retrieved("setup_bytes")(of),
    "record_up_and_down_bytes": lambda of: _retrieved("up_bytes")(of) + _retrieved("down_bytes")(of),
    "server_s": lambda of: _estimated(of).server_s,
    "latency_s": lambda of: _estimated(of).latency_s,
    "latency_with_keys_s": _latency_with_keys,
    "channels": lambda of: float(configuration_of(of).table.channels),
    "weights": lambda of: float(configuration_of(of).table.rows * configuration_of(of).table.channels),
    "columns_of_a_polynomial": _columns_of_a_polynomial,
    "smallest_secure_degree": _smallest_secure_degree,
    "rows": lambda of: float(configuration_of(of).table.rows),
    "q_bits": lambda of: float(configuration_of(of).ring.log2_q),
    "packed_plaintext_bits": lambda of: float(sum(one_hot_bits(width) for width in _widths(of))),
    "plaintext_over_accumulation_bits": _plaintext_over_accumulation_bits,
    "most_channels": _most_channels,
    "share_of_2_bit_channels": lambda of: sum(width <= 2 for width in _widths(of)) / len(_widths(of)),
    "share_of_widest_channels": lambda of: sum(width == max(_widths(of)) for width in _widths(of)) / len(_widths(of)),
    "smallest_decryptable_plaintext_bits": lambda of: float(min(_decryptable_bits(of))),
    "largest_decryptable_plaintext_bits": lambda of: float(max(_decryptable_bits(of))),
}
"""Named derivations: a number from what a claim says of a configuration."""
