"""CONTRIBUTING's two files for a published system, added to a copy of the cost model: everything finds the system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MODULE = '''"""A system that sends one ciphertext each way."""

from __future__ import annotations

import numpy as np

from costmodel import payloads
from costmodel.design import NO_FLOODING, NO_MEMORY, Design, Floats, Flooding, Memory, RingUse, failure_of_answers
from costmodel.formulas import Symbols
from costmodel.grid import Grid
from costmodel.ledger import Term
from costmodel.noise import plaintext_product_variance, secret_key_encryption_variance
from costmodel.parameters import Ring, Table
from costmodel.symbols import grid_symbols
from costmodel.system import Look
from costmodel.systems.accounting import Counted, Objects, exchange_terms
from costmodel.systems.priced import PricedSystem


class PublishedTiny(Design):
    """One query, one answer, and a product for every block of rows."""

    def ledger(self, grid: Grid) -> tuple[Term, ...]:
        """Predicted transfers and operations."""
        size = grid.degree * grid.limbs
        both = Objects.alike(grid.tokens, payloads.whole_bytes(grid, grid.degree, grid.limb_bits), "tokens", "part")
        blocks = -(-grid.rows // grid.degree)
        products = Counted(grid.tokens * blocks, "tokens ceil(m/N)")
        return exchange_terms("nowhere", size, size, both, both, products, Counted(blocks, "ceil(m/N)"))

    def symbols(self, grid: Grid) -> Symbols:
        """Symbols of the ledger's formulas."""
        return grid_symbols(grid)

    def noise(self, grid: Grid) -> Floats:
        """Variance of the product's error."""
        fresh = secret_key_encryption_variance(grid.sigma)
        variance = plaintext_product_variance(fresh, grid.rows, grid.element_mean_square)
        return np.asarray(variance * np.exp2(2.0 * (grid.log2_plaintext_modulus - grid.log2_q)))

    def failure(self, grid: Grid) -> Floats:
        """By the union bound."""
        return failure_of_answers(self.noise(grid), grid)

    def flooding(self, grid: Grid) -> Flooding:
        """None."""
        return NO_FLOODING

    def rings(self, grid: Grid) -> tuple[RingUse, ...]:
        """One ring."""
        return (RingUse("query and answer", grid.degree, grid.log2_q),)

    def memory(self, grid: Grid) -> Memory:
        """There are no keys."""
        return NO_MEMORY


class Tiny(PricedSystem):
    """The system."""

    name = "tiny"
    legend = "Tiny et al."
    source = "nowhere"
    look = Look("#117733", (0, (2, 2)), "p", "#117733", "**")
    library = "seal"
    accepts = frozenset({"delphi"})
    projects = True

    def ring(self, table: Table) -> Ring:
        """Of any table."""
        return Ring(4096, (50, 50), 2**20)

    def published_design(self, grid: Grid) -> Design:
        """The one design."""
        return PublishedTiny()
'''

LOOKS = """
import json
import fastquery as fq
from costmodel.projection import PROJECTIONS
from costmodel.systems import NAMES

found = fq.estimate(table="gpt2", protocol="tiny")
swept = fq.sweep(table="gpt2", protocol="all")
best = fq.optimize("gpt2", protocol=["tiny", "cheetah"], flooding_bits=0)
frame = fq.plot.frame("bandwidth", table="gpt2", protocol=["tiny", "cheetah"])
figure = fq.plot.bandwidth(frame)
shown = {one.get_text() for one in figure.findobj(lambda one: hasattr(one, "get_text"))}
unknown = refused = ""
try:
    fq.estimate(protocol="tony")
except ValueError as error:
    unknown = str(error)
try:
    fq.run("300x24", protocol="tiny")
except ValueError as error:
    refused = str(error)
print(json.dumps({
    "names": NAMES,
    "up": found.up_ciphertexts,
    "bytes": found.up_bytes,
    "swept": sorted(set(swept["protocol"])),
    "won": sorted(set(best.winners["design"])),
    "drawn": sorted(set(frame["protocol"])),
    "legend": any("Tiny et al." in one for one in shown),
    "projections": PROJECTIONS,
    "unknown": unknown,
    "refused": refused,
    "delphi": fq.estimate(table="gpt2", protocol="tiny", delphi=True).offline_s > found.offline_s == 0,
}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cost model with one module more and two lines in the list."""
    copy = tmp_path_factory.mktemp("home")
    shutil.copytree(ROOT / "costmodel", copy / "costmodel", ignore=shutil.ignore_patterns("__pycache__"))
    systems = copy / "costmodel" / "systems"
    (systems / "tiny.py").write_text(MODULE, "utf-8")
    listing = (systems / "__init__.py").read_text("utf-8")
    last = "from costmodel.systems.spu import SpuFM32, SpuFM64\n"
    assert last in listing
    assert "    Compressed(),\n)" in listing
    listing = listing.replace(last, f"{last}from costmodel.systems.tiny import Tiny\n")
    (systems / "__init__.py").write_text(listing.replace("    Compressed(),\n)", "    Compressed(),\n    Tiny(),\n)"))
    return copy


def python(home: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{ROOT}", "MPLBACKEND": "Agg", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_api_and_the_figures_find_the_system(home: Path) -> None:
    seen = json.loads(python(home, "-c", LOOKS))
    assert seen["names"][-1] == "tiny"
    assert seen["up"] == 1
    assert seen["bytes"] > 2 * 4096 * 50 / 8
    for where in ("swept", "won", "drawn", "projections"):
        assert "tiny" in seen[where], where
    assert seen["legend"]
    assert seen["delphi"]
    assert "did you mean 'tiny'" in seen["unknown"]
    assert "tiny" in seen["refused"]
    assert "priced and not executed" in seen["refused"]


@pytest.mark.parametrize("command", ["estimate", "sweep", "optimize", "plot"])
def test_help_texts_name_the_system(home: Path, command: str) -> None:
    assert "tiny" in python(home, "-m", "fastquery", command, "--help")
