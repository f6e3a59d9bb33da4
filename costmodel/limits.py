"""Values that the whole project holds to, each in one place."""

from __future__ import annotations

SIGMA = 3.19
"""Standard deviation of the noise of encryptions and keys: 8/sqrt(2 pi), for which the security tables are made."""

SECURITY_FLOOR_BITS = 128
"""Security below which a ring is refused, by the stricter of both tables."""

LOG2_FAILURE = -40.0
"""log2 of the failure probability of a lookup that parameters are chosen for where no other is named."""

LEAST_LOG2_FAILURE, MOST_LOG2_FAILURE = -1000.0, -1e-9
"""Failure probabilities that can be asked for, as log2."""

FLOODING_BITS = 40
"""Width of the flooding of this project's own designs where no other is named."""

MOST_FLOODING_BITS = 128
"""Widest flooding that can be asked for."""
