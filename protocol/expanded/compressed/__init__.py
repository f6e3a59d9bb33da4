"""The compressed query: a row's number in encrypted bits, turned into selectors, the table's pass and PackLWEs."""

from __future__ import annotations
