"""Evaluations of recipes kept in a file, so that a long comparison that was interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantize.comparison import Evaluation


class Journal:
    """One JSON document a line: first the settings, then an evaluation each.

    Parameters
    ----------
    path : Path
        Of the file; it is made with its folder where there is none.
    settings : mapping
        Everything that an evaluation depends on besides the recipe.

    Raises
    ------
    ValueError
        If the file is of other settings, or no such file.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self._first = json.dumps({"settings": settings}, sort_keys=True)
        self.known: dict[str, Evaluation] = {}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._first + "\n", encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        first, *lines = text.splitlines() or [""]
        if first != self._first:
            raise ValueError(f"journal: {str(path)!r} is of other settings; remove it or name another file")
        for line in lines:
            try:
                entry = json.loads(line)
                entry.update(field_levels=tuple(entry["field_levels"]), window_losses=tuple(entry["window_losses"]))
                evaluation = Evaluation(**entry)
            except (ValueError, TypeError, KeyError):
                continue  # a line that was cut off when the command ended
            self.known[evaluation.name] = evaluation
        if not text.endswith("\n"):  # the next line must not begin within the one that was cut off
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def keep(self, evaluation: Evaluation) -> None:
        """Add an evaluation."""
        self.known[evaluation.name] = evaluation
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(evaluation)) + "\n")
