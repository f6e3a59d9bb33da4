"""OpenFHE is loaded by the project before any test imports it: keys are not drawn where others loaded it first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from protocol.openfhe_library import OpenFHEUnavailable, load_openfhe

with contextlib.suppress(OpenFHEUnavailable):
    load_openfhe()

# How long an example takes says how busy the machine is. The same examples in every run: others, and more of them, are
# tried by `pytest --hypothesis-profile search`.
settings.register_profile("fastquery", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("search", settings.get_profile("fastquery"), derandomize=False, max_examples=1000)
settings.load_profile("fastquery")


@pytest.fixture(scope="session", autouse=True)
def records_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Seeds and distances that tests use are not entered in the user's own records."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
