from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import pytest

from quantize.tables import MINILM_PACKAGE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests named after the real table need its package."""
    try:
        distribution(MINILM_PACKAGE)
    except PackageNotFoundError:
        for item in items:
            if "minilm" in item.name.partition("[")[0]:
                item.add_marker(pytest.mark.skip(reason=f"{MINILM_PACKAGE} is not installed"))
