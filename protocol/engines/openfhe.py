"""The reference engine: every homomorphic operation through OpenFHE's own API, nothing prepared by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from costmodel.parameters import Configuration
from protocol.elements import middle_element
from protocol.engines.base import Engine, Progress
from protocol.engines.openfhe_parties import IntArray, OpenFHEPlan, OpenFHESession, check_executed, client_of
from protocol.engines.openfhe_ring import OpenFHERing
from protocol.layout import Layout
from protocol.meter import Meter
from quantize.packing import UnsignedArray


class ProductPlan(OpenFHEPlan):
    """Tiles of the table, of which every product is an answer."""

    def __init__(self, configuration: Configuration, allow_insecure: bool) -> None:
        check_executed(configuration)
        self.ring = OpenFHERing(configuration.ring, allow_insecure)
        self.layout = Layout.of(configuration)
        self.modulus = configuration.ring.plaintext_modulus
        self.inputs, self.answers = self.layout.inputs, self.layout.outputs

    def query(self, token: int) -> IntArray:
        """The one-hot polynomials of a token, (inputs, N)."""
        return self.layout.query(token)

    def vector(self, values: IntArray) -> IntArray:
        """The polynomials of any vector (m,), (inputs, N)."""
        return self.layout.vector(values)

    def used(self, answer: int) -> IntArray:
        """Coefficients of a tile's product that hold a packed column each."""
        return self.layout.used(answer)


class OpenFHEServer:
    """The server's kernels; the table lives here, and no secret key ever does.

    OpenFHE multiplies by a negative plaintext coefficient w as by t - |w|, so that a signed table would cost bits of
    noise, and an unsigned one has a mean, which costs one and makes the errors of all answers alike. The table is
    therefore encoded unsigned, and the product of the query with a table of nothing but the middle value, which is
    the same for every answer, is subtracted from each: the noise is that of the centred table. The middle value
    itself comes back in the server's share.
    """

    def __init__(
        self,
        configuration: Configuration,
        coefficients: UnsignedArray,
        meter: Meter,
        progress: Progress,
        allow_insecure: bool,
    ) -> None:
        self.plan = plan = ProductPlan(configuration, allow_insecure)
        layout = plan.layout
        self.middle = middle_element(configuration.packing.field_moduli)
        self.polynomials: list[list[Any]] = []
        with meter.work("encode table"):
            self.constant = plan.ring.encode(layout.constant_polynomial(self.middle))
        for output in range(layout.outputs):
            with meter.work("encode table", layout.inputs):
                column = [
                    plan.ring.encode(layout.table_polynomial(coefficients, block, output, self.middle))
                    for block in range(layout.inputs)
                ]
            self.polynomials.append(column)
            progress("encoding table", output + 1, layout.outputs)

    def session(self, tokens: int, meter: Meter) -> ProductSession:
        """Kernels for one client that looks so many rows up together."""
        return ProductSession(self, tokens, meter)


class ProductSession(OpenFHESession):
    """One client's queries."""

    def __init__(self, server: OpenFHEServer, tokens: int, meter: Meter) -> None:
        super().__init__(server.plan, server.middle, tokens, meter)
        self._server = server

    def _products(self, frames: Sequence[bytes]) -> Iterator[Any]:
        query = self._read(frames)
        constant = self._inner_product(query, [self._server.constant] * len(query))
        for polynomials in self._server.polynomials:
            product = self._inner_product(query, polynomials)
            with self._meter.work("centre"):
                centred = self._plan.ring.context.EvalSub(product, constant)
            yield centred


ENGINE = Engine(OpenFHEServer, client_of(ProductPlan))
