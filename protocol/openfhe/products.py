"""The reference engine: every homomorphic operation through OpenFHE's own API, nothing prepared by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from costmodel.parameters import Configuration
from protocol.elements import middle_element
from protocol.engine import Engine, Progress
from protocol.layout import Layout
from protocol.meter import Meter
from protocol.openfhe.parties import (
    IntArray,
    OpenFHEPlan,
    OpenFHEServer,
    OpenFHESession,
    check_executed,
    client_of,
    server_of,
)
from protocol.openfhe.ring import OpenFHERing
from quantize.packing import UnsignedArray


class TilePlan(OpenFHEPlan):
    """Tiles of the table; a query's polynomials meet them in products.

    OpenFHE encrypts x as floor(q x/t), which for a vector of uniform residues, of Delphi's split, is half a unit too
    small in the mean. Errors of one sign add up with the rows wherever a column of the table has a mean. Every second
    row of a tile therefore has the other sign in the query and in the centred table: products stay, and the means of
    the errors of neighbouring rows cancel.

    Attributes
    ----------
    layout : where entries of query and table lie
    """

    layout: Layout

    def query(self, token: int) -> IntArray:
        """The one-hot polynomials of a token, (inputs, N), every second coefficient with the other sign."""
        return self._signed(self.layout.query(token))

    def vector(self, values: IntArray) -> IntArray:
        """The polynomials of any vector (m,), (inputs, N), every second coefficient with the other sign."""
        return self._signed(self.layout.vector(values))

    def _signed(self, polynomials: IntArray) -> IntArray:
        polynomials[:, 1::2] = -polynomials[:, 1::2] % self.modulus
        return polynomials

    def mirrored(self, tile: IntArray, middle: int) -> IntArray:
        """A tile whose entries w of every second row are 2 c - w for the middle c, so that the centred ones are -w.

        Parameters
        ----------
        tile
            Polynomial of the layout, shape (N,), unsigned.
        middle
            c, at which a polynomial of nothing but c stays as it is.
        """
        entries = tile[: self.layout.tile_columns * self.layout.tile_rows].reshape(-1, self.layout.tile_rows)
        rows = entries[:, ::-1]  # row l of the tile lies at d1 - 1 - l
        rows[:, 1::2] = 2 * middle - rows[:, 1::2]
        return tile


class TileServer(OpenFHEServer):
    """The server's kernels; the table lives here, and no secret key ever does.

    OpenFHE multiplies by a negative plaintext coefficient w as by t - |w|, so that a signed table would cost bits of
    noise, and an unsigned one has a mean, which costs one and makes the errors of all answers alike. The table is
    therefore encoded unsigned, and the product of the query with a table of nothing but the middle value, which is
    the same for every answer, is subtracted from each: the noise is that of the centred table. The middle value
    itself comes back in the server's share.
    """

    plan: TilePlan

    def __init__(
        self,
        plan: TilePlan,
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
    ) -> None:
        layout = plan.layout
        self.plan = plan
        self.middle = middle_element(configuration.packing.field_moduli)
        self.polynomials: list[list[Any]] = []
        with meter.work("encode table"):
            self.constant = plan.ring.encode(self._arranged(layout.constant_polynomial(self.middle)))
        for output in range(layout.outputs):
            with meter.counting("encode table") as encoded:
                column = []
                for block in range(layout.inputs):
                    tile = layout.table_polynomial(coefficients, block, output, self.middle)
                    column.append(plan.ring.encode(self._arranged(tile)))
                    encoded.add()
                self.polynomials.append(column)
            progress("encoding table", output + 1, layout.outputs)

    def session(self, tokens: int, meter: Meter) -> TileSession:
        """Kernels for one client that looks so many rows up together."""
        return TileSession(self, self.plan, tokens, meter)

    def _arranged(self, tile: IntArray) -> IntArray:
        """A tile as it is encoded."""
        return self.plan.mirrored(tile, self.middle)


class TileSession(OpenFHESession):
    """One client's queries, multiplied by a server's tiles."""

    def __init__(self, server: TileServer, plan: TilePlan, tokens: int, meter: Meter) -> None:
        super().__init__(plan, server.middle, tokens, meter)
        self._tiles = server

    def _products(self, frames: Sequence[bytes]) -> Iterator[Any]:
        """Of a token's query with every column of tiles of the centred table."""
        query = self._read(frames)
        constant = self._inner_product(query, [self._tiles.constant] * len(query))
        for polynomials in self._tiles.polynomials:
            product = self._inner_product(query, polynomials)
            with self._meter.work("centre"):
                centred = self._plan.ring.context.EvalSub(product, constant)
            yield centred


class ProductPlan(TilePlan):
    """Every product is an answer."""

    def __init__(self, configuration: Configuration, allow_insecure: bool) -> None:
        check_executed(configuration)
        self.ring = OpenFHERing(configuration.ring, allow_insecure)
        self.layout = Layout.of(configuration)
        self.modulus = configuration.ring.plaintext_modulus
        self.inputs, self.answers = self.layout.inputs, self.layout.outputs

    def used(self, answer: int) -> IntArray:
        """Coefficients of a tile's product that hold a packed column each."""
        return self.layout.used(answer)


ENGINE = Engine(server_of(ProductPlan, TileServer), client_of(ProductPlan))
