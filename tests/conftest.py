"""OpenFHE is loaded by the project before any test imports it: keys are not drawn where others loaded it first."""

from __future__ import annotations

import contextlib

from protocol.openfhe_library import OpenFHEUnavailable, load_openfhe

with contextlib.suppress(OpenFHEUnavailable):
    load_openfhe()
