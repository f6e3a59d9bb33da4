"""Campaigns of several seeds as one: their held-out runs together.

Each campaign predicts its held-out part by the unit costs of its own calibration part. The pool has the errors of all
held-out parts; the noise of the machine is the largest of any campaign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w

from costmodel.files import replace_text, replaced
from costmodel.results import Result
from validate.campaign import VERSION, Campaign
from validate.summary import COVERED_SECONDS, machine_noise, summary_of, verdicts_of

SHOWN = ("server", "latency", "client", "table", "first_share", "share")


@dataclass(frozen=True, eq=False, repr=False)
class Pool(Result):
    """Campaigns that differ in their seeds.

    Attributes
    ----------
    campaigns
        One a seed.
    """

    campaigns: Sequence[Campaign]

    def headline(self) -> dict[str, str]:
        """How many samples, and what must hold of them."""
        seeds = ", ".join(str(one.seed) for one in self.campaigns)
        return {"samples": f"{len(self.runs)}", "seeds": seeds, **self.verdicts()}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Errors by seed and of all, and the runs."""
        return {"errors": self.errors, "runs": self.runs}

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Rows of all campaigns, with the column ``seed`` before the others."""
        return _joined([(one.seed, one.runs) for one in self.campaigns])

    def summary(self) -> dict[str, Any]:
        """Figures of the whole; see :func:`validate.summary.summary_of`."""
        noise = {name: max(machine_noise(one.references, name) for one in self.campaigns) for name in COVERED_SECONDS}
        return summary_of(self.runs, _joined([(one.seed, one.entries) for one in self.campaigns]), noise)

    def verdicts(self) -> dict[str, str]:
        """What must hold, and whether it does; see :func:`validate.summary.verdicts_of`."""
        return verdicts_of(self.summary())

    @property
    def holds(self) -> bool:
        """Whether nothing fails."""
        return "fails" not in self.verdicts().values()

    @property
    def errors(self) -> pd.DataFrame:
        """Median and worst errors of the held-out parts, a row a seed and one of all."""
        every = [(str(one.seed), one.summary()) for one in self.campaigns]
        return pd.DataFrame(
            {
                "seed": seed,
                "held out": figures["held_out"],
                **{
                    f"{stem} {word}": figures[f"{stem}_error_{which}"]
                    for stem in SHOWN
                    for which, word in (("median", "median"), ("max", "worst"))
                },
                **{f"{stem} covered": figures[f"{stem}_coverage"] for stem in ("server", "latency")},
            }
            for seed, figures in [*every, ("all", self.summary())]
        )

    def write(self, folder: Path) -> list[Path]:
        """Write ``runs.csv``, ``errors.csv`` and ``campaign.toml``; their paths."""
        paths = [folder / name for name in ("runs.csv", "errors.csv", "campaign.toml")]
        for path, frame in zip(paths, (self.runs, self.errors), strict=False):
            with replaced(path) as beside:
                frame.to_csv(beside, index=False)
        replace_text(paths[-1], self.toml())
        return paths

    def toml(self) -> str:
        """Seeds, figures, verdicts and provenance of the first as a TOML document."""
        first = self.campaigns[0].provenance
        return tomli_w.dumps(
            {
                "version": VERSION,
                "seeds": [one.seed for one in self.campaigns],
                "summary": self.summary(),
                "verdicts": self.verdicts(),
                "provenance": {name: value for name, value in first.items() if isinstance(value, (str, int, float))},
            }
        )


def _joined(frames: Sequence[tuple[int, pd.DataFrame]]) -> pd.DataFrame:
    joined = pd.concat([frame.assign(seed=seed) for seed, frame in frames], ignore_index=True)
    return joined[["seed", *joined.columns.drop("seed")]]
