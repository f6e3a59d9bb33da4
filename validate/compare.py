"""Hold a measured ledger against the predicted one, entry by entry."""

from __future__ import annotations

import numpy as np
import pandas as pd

from costmodel.ledger import KEY_COLUMNS


def compare(predicted: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Join two ledgers on kind, phase, party and item.

    Returns
    -------
    DataFrame
        Columns of the key, ``in_ledger`` (``both``, ``predicted`` or ``measured``), counts, units, messages, bytes and
        seconds of both, the ratio of the seconds, and ``agrees``: in both ledgers, with the same count of the same
        unit, the same messages and the same bytes.
        An entry that counts nothing need not be in the other ledger.
    """
    joined = predicted.drop(columns=["formula", "source"]).merge(
        measured.drop(columns=["formula", "source"]),
        on=KEY_COLUMNS,
        how="outer",
        suffixes=("_predicted", "_measured"),
        indicator="in_ledger",
    )
    joined["in_ledger"] = joined["in_ledger"].map({"both": "both", "left_only": "predicted", "right_only": "measured"})
    idle = (joined["count_predicted"].fillna(0) == 0) & (joined["count_measured"].fillna(0) == 0)
    counts = joined["count_predicted"] == joined["count_measured"]
    work = joined["kind"] == "work"
    same = [joined[f"{name}_predicted"] == joined[f"{name}_measured"] for name in ("bytes", "messages", "unit")]
    joined["agrees"] = idle | ((joined["in_ledger"] == "both") & counts & (work | (same[0] & same[1] & same[2])))
    with np.errstate(divide="ignore", invalid="ignore"):
        joined["seconds_ratio"] = joined["seconds_measured"] / joined["seconds_predicted"]
    return joined
