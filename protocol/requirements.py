"""What a client requires of the parameters that a server states, before it encrypts anything under them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from costmodel.estimate import Estimate, estimate, terms
from costmodel.grid import Grid
from costmodel.ledger import Work
from costmodel.parameters import EXECUTING_ENGINES, Configuration

SIGMA = 3.19
"""Standard deviation of the noise that the published security tables are made for."""
FAILURE_SLACK_BITS = 1e-6
RESIDUE_BYTES = 8
COPIES = 3
"""How often a client holds the residues that it works on, and the messages that it exchanges; measured 1.3 to 2.7."""


@dataclass(frozen=True)
class Requirements:
    """A client's own bounds.

    Parameters
    ----------
    security_bits
        Least security of the ring, by the stricter of the 2018 standard and the 2024 guidelines.
    flooding_bits
        Least flooding of the answers, which protects the server's table.
    log2_failure
        Largest log2 of the probability that a row comes out wrong.
    memory_bytes
        Most memory that a lookup may take of this client, by what its parameters predict.
    traffic_bytes
        Most bytes that both parties may send, by the same.
    compute_s
        Most CPU seconds that it may take of this client, by the same.
    patience_s
        Longest wait for the server, over the whole session.
    """

    security_bits: int = 128
    flooding_bits: int = 0
    log2_failure: float = -40.0
    memory_bytes: int = 2**33
    traffic_bytes: int = 2**32
    compute_s: float = 600.0
    patience_s: float = 1800.0

    def check(self, configuration: Configuration) -> None:
        """Hold a server's configuration, for as many tokens as are looked up, to the bounds.

        Raises
        ------
        ValueError
            Naming field, value and bound.
        """
        if configuration.engine not in EXECUTING_ENGINES:
            raise ValueError(f"engine is {configuration.engine!r}; {' and '.join(EXECUTING_ENGINES)} are executed")
        asked = _estimated(configuration)
        alone = configuration.updated(table=replace(configuration.table, tokens=1))
        one = asked if alone == configuration else _estimated(alone)
        self.check_security(asked)
        if configuration.flooding_bits < self.flooding_bits:
            raise ValueError(
                f"flooding_bits is {configuration.flooding_bits}; at least {self.flooding_bits} are required"
            )
        # A figure that is no number is refused like one that is too large.
        if not one.log2_failure <= self.log2_failure + FAILURE_SLACK_BITS:
            raise ValueError(
                f"a row comes out wrong with probability 2^{one.log2_failure:.1f}; "
                f"at most 2^{self.log2_failure:.1f} is accepted"
            )
        # OpenFHE's ciphertexts are made and read one by one.
        held = one if configuration.engine == "openfhe" else asked
        for what, value, most, unit in (
            ("memory", memory_bytes(held), self.memory_bytes, "bytes"),
            ("traffic", traffic_bytes(asked), self.traffic_bytes, "bytes"),
            ("compute", client_s(asked), self.compute_s, "CPU seconds"),
        ):
            if not value <= most:
                raise ValueError(f"{what} of a lookup is {value:.3g} {unit}; at most {most:.3g} are accepted")

    def check_security(self, stated: Estimate) -> None:
        """Hold a ring to the security that is required.

        Raises
        ------
        ValueError
            Naming ring, security and bound.
        """
        ring = stated.configuration.ring
        if self.security_bits == 0:
            return
        if not stated.security_bits >= self.security_bits:
            raise ValueError(
                f"ring N={ring.degree}, q of {ring.log2_q} bits has {stated.security_bits:.0f} bits of security; "
                f"at least {self.security_bits} are required (stricter of the 2018 standard and 2024 guidelines)"
            )
        if not ring.sigma >= SIGMA:
            raise ValueError(f"ring.sigma is {ring.sigma}; the security tables are for {SIGMA}")


def traffic_bytes(stated: Estimate) -> float:
    """Bytes of all messages of a lookup."""
    return float(stated.ledger["bytes"].sum())


def client_s(stated: Estimate) -> float:
    """CPU seconds of a client, its setup included."""
    ledger = stated.ledger
    return float(ledger.loc[ledger["party"] == "client", "seconds"].sum())


def memory_bytes(stated: Estimate) -> float:
    """Memory of a client, from the residues that its operations handle and the bytes of its messages."""
    residues = sum(
        float(term.count * term.size)
        for term in terms(Grid.of(stated.configuration))
        if isinstance(term, Work) and term.party == "client"
    )
    return COPIES * (RESIDUE_BYTES * residues + traffic_bytes(stated))


def _estimated(configuration: Configuration) -> Estimate:
    try:
        return estimate(configuration)
    except (ArithmeticError, LookupError, TypeError):
        raise ValueError("the stated configuration has no estimate") from None
