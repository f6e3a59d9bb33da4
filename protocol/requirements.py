"""What a client requires of the parameters that a server states, before it encrypts anything under them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from costmodel.estimate import EXECUTED_ENGINES, estimate
from costmodel.parameters import Configuration

SIGMA = 3.19
"""Standard deviation of the noise that the published security tables are made for."""
FAILURE_SLACK_BITS = 1e-6


@dataclass(frozen=True)
class Requirements:
    """A client's own bounds.

    Parameters
    ----------
    security_bits
        Least security of the ring by the 2018 standard.
    flooding_bits
        Least flooding of the answers, which protects the server's table.
    log2_failure
        Largest log2 of the probability that a row comes out wrong.
    """

    security_bits: int = 128
    flooding_bits: int = 0
    log2_failure: float = -40.0

    def check(self, configuration: Configuration) -> None:
        """Hold a server's configuration to the bounds.

        Raises
        ------
        ValueError
            Naming field, value and bound.
        """
        ring = configuration.ring
        if configuration.engine not in EXECUTED_ENGINES:
            raise ValueError(f"engine is {configuration.engine!r}; {' and '.join(EXECUTED_ENGINES)} are executed")
        try:
            stated = estimate(configuration.updated(table=replace(configuration.table, tokens=1)))
        except (ArithmeticError, LookupError, TypeError):
            raise ValueError("the stated configuration has no estimate") from None
        if self.security_bits > 0:
            if stated.security_bits_2018 < self.security_bits:
                raise ValueError(
                    f"ring N={ring.degree}, q of {ring.log2_q} bits has {stated.security_bits_2018:.0f} bits of "
                    f"security; at least {self.security_bits} are required (2018 standard)"
                )
            if ring.sigma < SIGMA:
                raise ValueError(f"ring.sigma is {ring.sigma}; the 2018 standard is for {SIGMA}")
        if configuration.flooding_bits < self.flooding_bits:
            raise ValueError(
                f"flooding_bits is {configuration.flooding_bits}; at least {self.flooding_bits} are required"
            )
        if stated.log2_failure > self.log2_failure + FAILURE_SLACK_BITS:
            raise ValueError(
                f"a row comes out wrong with probability 2^{stated.log2_failure:.1f}; "
                f"at most 2^{self.log2_failure:.1f} is accepted"
            )
