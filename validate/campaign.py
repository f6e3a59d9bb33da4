"""A campaign: sampled configurations, executed, calibrated on one part and predicted on the other.

Every step's measurements are written to disk as they come, so that an interrupted campaign goes on where it stopped:

    plan.json            samples, split and seed, before anything is measured
    sessions/*.json      one file a sample, and one for each repetition of the reference configuration
    measurements.parquet every entry of every session, as it was measured
    entries.parquet      every entry of every sample, idealised, beside its prediction
    runs.csv             one row a sample
    machine.toml         unit costs from the calibration part
    campaign.toml        figures of the whole, verdicts and provenance

The reference campaign of the project is ``runs.csv`` and ``campaign.toml`` of one, as ``campaign.*`` in validate/data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tomli_w

from costmodel.estimate import estimate
from costmodel.files import replace_text, replaced
from costmodel.grid import Grid
from costmodel.ledger import COLUMNS, OVERHEAD, totals
from costmodel.link import Link
from costmodel.machine import Machine, UnitCost, default_machine, machine_toml
from costmodel.parameters import Configuration
from costmodel.results import Result
from costmodel.tls import handshake_bytes, handshake_s, over_tls
from costmodel.workload import estimate_workload, session_s
from protocol.elements import element_spread
from protocol.errors import ProtocolError
from protocol.execute import channel_differences
from protocol.layout import Layout
from protocol.openfhe.parties import NOISE_SAMPLE_ANSWERS
from protocol.server import load_table
from quantize.packed import PackedTable
from validate.accounts import Accounts
from validate.calibration import Observation, calibrated, observations
from validate.compare import compare
from validate.intervals import factor, folds
from validate.measurement import (
    PARTIES,
    Parties,
    Session,
    calm_latency,
    enough,
    entries,
    idealised,
    idealised_latency,
    idealised_ledger,
    marked,
    pooled_noise_bits,
    sampling_bits,
)
from validate.pace import at_pace, usual
from validate.sampling import Design, Sample, designs, draw, operations
from validate.summary import COVERED_SECONDS, SECONDS, machine_noise, summary_of, verdicts_of
from validate.wire import der_bytes

Progress = Callable[[str, int, int], None]
Parts = Callable[[Callable[[Any, int], Any], Any, Sequence[int]], Iterator[tuple[int, Any]]]
"""Gives parts their numbers' answers: a function of what is shared and of a part's number, here or by workers."""

VERSION = 5
POOLED_COEFFICIENTS = 256
"""Over which the noise of a sample is measured, at least."""
SESSION_TOKENS = 8
"""Rows of a session whose noise every client measures, if there are as many."""
SESSIONS = 5
ROUNDS = 2
"""Times that a sample is measured at most, until its sessions suffice."""
ENCODINGS = 2
LOADING_S = 2 * 7e-8
"""Seconds an entry of a table until the server and then the driving process have it quantised."""
REFERENCES = 5
"""Times that the reference configuration is measured, spread over the campaign."""
MEDIANS = ("waited_median_s", "preempted_median", "yielded_median", "stolen_median_s", "pressed_median_s")
"""Columns of the kernel's accounts, medians over the sessions."""
BYTES = ("up_bytes", "down_bytes", "setup_bytes")


@dataclass(frozen=True, eq=False, repr=False)
class Campaign(Result):
    """What a campaign found; the frames are what its folder holds."""

    samples: list[Sample]
    seed: int
    runs: pd.DataFrame
    entries: pd.DataFrame
    references: pd.DataFrame
    machine: Machine
    uncalibrated: tuple[str, ...]
    provenance: dict[str, Any]

    def headline(self) -> dict[str, str]:
        """How many samples, and what must hold of them."""
        return {"samples": f"{len(self.runs)}", "seed": f"{self.seed}", **self.verdicts()}

    def tables(self) -> dict[str, pd.DataFrame]:
        """The runs."""
        return {"runs": self.runs}

    @property
    def held_out(self) -> pd.DataFrame:
        """Runs that were measured and not calibrated on."""
        return self.runs[self.runs["held_out"] & (self.runs["status"] == "measured")]

    @property
    def measured(self) -> pd.DataFrame:
        """Runs that did not fail."""
        return self.runs[self.runs["status"] == "measured"]

    def summary(self) -> dict[str, Any]:
        """Figures of the whole; see :func:`validate.summary.summary_of`."""
        noise = {name: machine_noise(self.references, name) for name in COVERED_SECONDS}
        return summary_of(self.runs, self.entries, noise)

    def verdicts(self) -> dict[str, str]:
        """What must hold, and whether it does; see :func:`validate.summary.verdicts_of`."""
        return verdicts_of(self.summary())

    def toml(self) -> str:
        """Seed, figures, verdicts and provenance as a TOML document."""
        origin = {name: value for name, value in self.provenance.items() if isinstance(value, (str, int, float))}
        return tomli_w.dumps(
            {
                "version": VERSION,
                "seed": self.seed,
                "summary": self.summary(),
                "verdicts": self.verdicts(),
                "provenance": origin,
            }
        )

    @property
    def holds(self) -> bool:
        """Whether nothing fails."""
        return "fails" not in self.verdicts().values()


def one_by_one(function: Callable[[Any, int], Any], shared: Any, numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """Numbers of parts and their answers, evaluated in this process."""
    return ((number, function(shared, number)) for number in numbers)


def run_campaign(
    folder: Path,
    count: int,
    seed: int,
    provenance: dict[str, Any],
    *,
    sessions: int = SESSIONS,
    drawn: Sequence[Design] = designs(),
    base: Machine | None = None,
    progress: Progress | None = None,
    parts: Parts = one_by_one,
) -> Campaign:
    """Draw, measure, calibrate and predict; what the folder already holds is not measured again.

    Parameters
    ----------
    folder
        Where measurements go, and are found again after an interruption.
    count, seed
        How many samples; of their draw and of the split.
    provenance
        Of the machine and the code, kept with the plan.
    sessions
        Repetitions of every sample.
    drawn
        The designs that are sampled.
    base
        Profile that gives what the calibration part lacks, and whose own errors are told; the built-in one if left out.
    progress
        Called with what is being measured, how much is done, and of how much.
    parts
        See :func:`evaluated`. Samples are measured one after the other.

    Raises
    ------
    ValueError
        If the folder holds another campaign, or nothing of the calibration part could be measured.
    """
    samples = planned(folder, count, seed, sessions, provenance, drawn)
    with Parties() as parties:
        steps = list(_steps(samples))
        for done, (name, sample) in enumerate(steps):
            if progress is not None:
                progress(name, done, len(steps))
            path = folder / "sessions" / f"{name}.json"
            if _status(path) != "measured":
                _write(path, _measured(parties, sample, sessions))
        if progress is not None:
            progress("done", len(steps), len(steps))
    return evaluated(folder, base, progress, parts)


def planned(
    folder: Path,
    count: int,
    seed: int,
    sessions: int,
    provenance: dict[str, Any],
    drawn: Sequence[Design] = designs(),
) -> list[Sample]:
    """The plan in a folder, drawn and written there first if it has none.

    Raises
    ------
    ValueError
        If it holds another one.
    """
    path, names = folder / "plan.json", [f"{one.protocol} on {one.engine}" for one in drawn]
    wanted = {"version": VERSION, "count": count, "seed": seed, "sessions": sessions, "designs": names}
    if not path.exists():
        samples = [sample.document() for sample in draw(count, seed, drawn)]
        _write(path, {**wanted, "provenance": provenance, "samples": samples})
    plan = json.loads(path.read_text(encoding="utf-8"))
    found = {name: plan.get(name) for name in wanted}
    if found != wanted:
        raise ValueError(f"output is {str(folder)!r}, which holds the campaign {found}; {wanted} needs another folder")
    return [Sample.from_document(sample) for sample in plan["samples"]]


def expected_s(folder: Path, samples: Sequence[Sample], sessions: int, machine: Machine | None = None) -> float:
    """Seconds that the samples of a plan take that are not measured yet, if each is measured once.

    Parameters
    ----------
    folder, sessions
        As :func:`run_campaign`.
    samples
        As :func:`planned` gives them.
    machine
        What the sessions are predicted for; the built-in profile if left out.
    """
    profile, found = machine or default_machine(), 0.0
    for name, sample in _steps(samples):
        if _status(folder / "sessions" / f"{name}.json") != "measured":
            figures = predicted(sample, sample.configuration.table.spread, profile).figures
            entries_of_table = sample.configuration.table.rows * sample.configuration.table.channels
            found += repetitions(sample.configuration, sessions) * figures["session_s"]
            found += ENCODINGS * figures["table_s"] + LOADING_S * entries_of_table
    return found


def _steps(samples: Sequence[Sample]) -> Iterator[tuple[str, Sample]]:
    """The samples in order, and the reference configuration between them."""
    reference = next(sample for sample in samples if sample.held_out)
    at = {round(k * (len(samples) - 1) / (REFERENCES - 1)): k for k in range(REFERENCES)}
    for position, sample in enumerate(samples):
        if position in at:
            yield f"reference-{at[position]}", reference
        yield f"sample-{sample.index:03d}", sample


def _status(path: Path) -> str | None:
    try:
        status: str = json.loads(path.read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, KeyError):
        return None
    return status


def _write(path: Path, document: dict[str, Any]) -> None:
    replace_text(path, json.dumps(document))


def _measured(parties: Parties, sample: Sample, sessions: int) -> dict[str, Any]:
    """The measurements of a sample, or why there are none."""
    configuration, tokens = sample.configuration, list(sample.tokens)
    try:
        measured: list[Session] = []
        for _ in range(ROUNDS):
            if enough(measured, parties.usual_s):
                break
            measured += parties.measure(
                configuration,
                sample.table,
                tokens,
                sample.workload,
                sessions=repetitions(configuration, sessions),
                encodings=1 if measured else ENCODINGS,
                link=sample.link,
                seed=sample.seed,
                threads=sample.threads,
                tls=sample.tls,
            )
        plain = load_table(configuration, sample.table, sample.seed)
        wrong = [_wrong_channels(one, configuration, plain, tokens) for one in measured]
    except (ProtocolError, ValueError, MemoryError) as error:
        return {"status": "failed", "reason": str(error) or type(error).__name__}
    return {
        "status": "measured",
        "reason": "",
        "wrong_channels": int(sum(wrong)),
        "spread": element_spread(plain.coefficients[:, : noise_columns(configuration)], plain.public.field_moduli),
        "latency_s": [one.latency_s for one in measured],
        "first_share_s": [one.first_share_s for one in measured],
        "share_s": [lookup.latency_s for one in measured for lookup in one.lookups[1:]],
        "accounts": [one.accounts for one in measured],
        "paces_s": [one.paces_s for one in measured],
        "noise_bits": [one.lookups[0].noise_bits for one in measured],
        "peak_memory_bytes": max(one.lookups[-1].peak_memory_bytes for one in measured),
        "handshake_bytes": [one.handshake_bytes for one in measured if one.handshake_bytes is not None],
        "certificate_bytes": der_bytes(parties.certificate[0]) if sample.tls else 0,
        "entries": entries(measured).to_dict(orient="list"),
    }


def _wrong_channels(session: Session, configuration: Configuration, plain: PackedTable, tokens: Sequence[int]) -> int:
    """Channels that open to another level than the table's, of all lookups of a session."""
    wrong, first = 0, 0
    for lookup in session.lookups:
        looked_up = tokens[first : first + len(lookup.client_shares)]
        wrong += np.count_nonzero(channel_differences(lookup, configuration, plain, looked_up))
        first += len(looked_up)
    return wrong


def repetitions(configuration: Configuration, sessions: int) -> int:
    """So many sessions, or as many as measure the noise over enough coefficients."""
    return max(sessions, -(-POOLED_COEFFICIENTS // pooled_coefficients(configuration)))


def pooled_coefficients(configuration: Configuration) -> int:
    """Coefficients that the noise of a session is measured over, at least."""
    return min(configuration.table.tokens, SESSION_TOKENS) * int(Grid.of(configuration).coefficients)


def noise_columns(configuration: Configuration) -> int:
    """Packed columns over which the client measures the noise: all, or those of OpenFHE's first answers.

    A power-of-two scale makes the elements of one column up to twice those of another, and so its noise. Packed answers
    hold all columns, and the noise of slots does not depend on the table.
    """
    columns, packing = int(Grid.of(configuration).coefficients), configuration.packing
    if configuration.engine == "openfhe" and packing.output == "ciphertexts" and packing.tile != "system":
        columns = min(columns, NOISE_SAMPLE_ANSWERS * Layout.of(configuration).tile_columns)
    return columns


@dataclass(frozen=True, eq=False)
class _Evaluation:
    """A measured campaign and the machine of its calibration part, from which every fold and sample is evaluated."""

    samples: list[Sample]
    results: dict[int, dict[str, Any]]
    raw: dict[int, pd.DataFrame]
    machine: Machine
    base: Machine
    usual_s: float

    @property
    def folds(self) -> list[tuple[list[Sample], list[Sample]]]:
        """Of the calibration part, those that leave anything to calibrate on."""
        return [(kept, left) for kept, left in folds(_chosen(self.samples, self.raw)) if kept]

    def part(self, number: int) -> Any:
        """A fold's answer, or that of a sample after all folds."""
        first = len(self.folds)
        return self._fold(number) if number < first else self._sample(self.samples[number - first])

    def _fold(self, number: int) -> dict[int, dict[str, float]]:
        """Figures of the samples that a fold leaves out, predicted by the machine of the others."""
        kept, left = self.folds[number]
        machine, _ = _calibrated(kept, self.raw, self.samples, self.base)
        return {one.index: predicted(one, self.results[one.index]["spread"], machine).figures for one in left}

    def _sample(self, sample: Sample) -> tuple[dict[str, Any], pd.DataFrame | None]:
        """A row of the runs, and the entries compared where the sample was measured."""
        return _evaluated(sample, self.results[sample.index], self.raw.get(sample.index), self)


def evaluated(
    folder: Path, base: Machine | None = None, progress: Progress | None = None, parts: Parts = one_by_one
) -> Campaign:
    """Calibrate and predict from what a folder holds; its frames are written there.

    Parameters
    ----------
    folder
        Of a campaign whose samples are all measured.
    base, progress
        See :func:`run_campaign`.
    parts
        Evaluates folds and samples, by workers if need be; the result is the same.

    Raises
    ------
    ValueError
        If the folder holds no campaign, or nothing of its calibration part was measured.
    """
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        if plan["version"] != VERSION:
            raise ValueError(
                f"{str(folder)!r} holds a campaign of version {plan['version']}; {VERSION} is read: run again"
            )
        samples = [Sample.from_document(sample) for sample in plan["samples"]]
        results = {name: json.loads((folder / "sessions" / f"{name}.json").read_text()) for name, _ in _steps(samples)}
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{str(folder)!r} holds no finished campaign: {error}") from None
    measured = {sample.index: results[f"sample-{sample.index:03d}"] for sample in samples}
    paces = [paces.values() for result in results.values() for paces in result.get("paces_s", ())]
    usual_s = usual(chain.from_iterable(paces))
    raw = {
        index: marked(pd.DataFrame(result["entries"]), usual_s)
        for index, result in measured.items()
        if result["status"] == "measured"
    }
    known = base or default_machine()
    machine, uncalibrated = _calibrated(_chosen(samples, raw), raw, samples, known)
    shared = _Evaluation(samples, measured, raw, machine, known, usual_s)
    first = len(shared.folds)
    answers: dict[int, Any] = {}
    for number, answer in parts(_Evaluation.part, shared, range(first + len(samples))):
        answers[number] = answer
        if progress is not None:
            progress("evaluating", len(answers), first + len(samples))
    rows, ledgers = zip(*(answers[first + k] for k in range(len(samples))), strict=True)
    campaign = Campaign(
        samples,
        plan["seed"],
        _with_intervals(pd.DataFrame(rows), {k: one for fold in range(first) for k, one in answers[fold].items()}),
        pd.concat([ledger for ledger in ledgers if ledger is not None], ignore_index=True),
        pd.DataFrame(
            [_reference(result, usual_s) for name, result in results.items() if name.startswith("reference")]
        ).dropna(subset=list(COVERED_SECONDS)),
        machine,
        uncalibrated,
        plan["provenance"],
    )
    with replaced(folder / "runs.csv") as beside:
        campaign.runs.to_csv(beside, index=False)
    with replaced(folder / "entries.parquet") as beside:
        campaign.entries.to_parquet(beside, index=False)
    every = pd.concat([frame.assign(sample=index) for index, frame in raw.items()], ignore_index=True)
    with replaced(folder / "measurements.parquet") as beside:
        every.to_parquet(beside, index=False)
    replace_text(folder / "machine.toml", machine_toml(machine))
    replace_text(folder / "campaign.toml", campaign.toml())
    return campaign


def _chosen(samples: Sequence[Sample], raw: dict[int, pd.DataFrame]) -> list[Sample]:
    """The calibration part, of what was measured."""
    return [sample for sample in samples if not sample.held_out and sample.index in raw]


def _calibrated(
    chosen: Sequence[Sample], raw: dict[int, pd.DataFrame], samples: Sequence[Sample], base: Machine
) -> tuple[Machine, tuple[str, ...]]:
    """A machine from the calibration part, and the operations of the other part that it does not have."""
    if not chosen:
        raise ValueError("nothing of the calibration part was measured")
    observed: dict[str, list[Observation]] = {}
    for sample in chosen:
        found = observations(sample.configuration, raw[sample.index], sample.workload, sample.tls)
        observed.setdefault(sample.configuration.engine, []).extend(found)
    facts = {"measured": f"calibration part of a campaign, {len(chosen)} configurations"}
    asked = [lookup for sample in samples for lookup in sample.lookups]
    machine = calibrated("campaign", observed, base, facts, asked)
    seen = {(engine, one.operation) for engine, rows in observed.items() for one in rows}
    missing = sorted(operations(*asked).keys() - seen)
    return machine, tuple(f"{engine}: {operation}" for engine, operation in missing)


def _with_intervals(runs: pd.DataFrame, left_out: dict[int, dict[str, float]]) -> pd.DataFrame:
    """The runs with the intervals of their predictions.

    They are as wide as the calibration part errs where it is left out of the calibration: ``left_out`` has its figures,
    predicted so, by the sample's index.
    """
    measured = runs.set_index("sample")
    for name in COVERED_SECONDS:
        width = factor(measured.loc[list(left_out), name].tolist(), [one[name] for one in left_out.values()])
        runs[f"low_{name}"] = runs[f"predicted_{name}"] / width
        runs[f"high_{name}"] = runs[f"predicted_{name}"] * width
    return runs


def _evaluated(
    sample: Sample,
    result: dict[str, Any],
    raw: pd.DataFrame | None,
    shared: _Evaluation,
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    configuration = sample.configuration
    row: dict[str, Any] = {
        "sample": sample.index, "held_out": sample.held_out, "status": result["status"], "reason": result["reason"],
        **described(configuration, sample),
    }  # fmt: skip
    if raw is None:
        return row, None
    prediction = predicted(sample, result["spread"], shared.machine)
    ledger = idealised_ledger(raw)
    compared = compare(prediction.ledger, ledger[COLUMNS])
    handshakes = result.get("handshake_bytes")
    varying = ledger.loc[ledger["varies"], "item"]
    compared["agrees"] &= ~compared["item"].isin(varying)
    measured, figures = totals(ledger), prediction.figures
    calm_sessions = sum(map(calm_latency, result["latency_s"], map(lost_s, result["accounts"])))
    server = raw[(raw["kind"] == "work") & (raw["party"] == "server") & (raw["phase"] != "setup")]
    by_session = server.groupby("session")["seconds"].sum()
    row |= {
        "sessions": len(result["latency_s"]),
        "wrong_channels": result["wrong_channels"],
        "byte_mismatches": int((~compared.loc[compared["kind"] == "transfer", "agrees"]).sum()),
        **{name: measured[name] for name in BYTES},
        "calm_sessions": calm_sessions,
        "disturbed": not calm_sessions,
        **{f"{party}_at_pace": int(sum(at)) for party, at in at_usual_pace(result, shared.usual_s).items()},
        **measured_seconds(ledger, result, shared.usual_s),
        "latency_median_s": float(np.median(result["latency_s"])),
        **dict(zip(MEDIANS, np.median(result["accounts"], axis=0).tolist(), strict=True)),
        "noise_bits": pooled_noise_bits(result["noise_bits"]),
        "noise_sampling_bits": sampling_bits(len(result["noise_bits"]) * pooled_coefficients(configuration)),
        "handshake_bytes": float(np.median(handshakes)) if handshakes else 0.0,
        **{f"predicted_{name}": figures[name] for name in (*BYTES, *SECONDS, "offline_s", "noise_bits")},
        "predicted_handshake_bytes": handshake_bytes(result["certificate_bytes"]) if handshakes else 0.0,
        "base_server_s": predicted(sample, result["spread"], shared.base).figures["server_s"],
        "security_bits": figures["security_bits"],
        "log2_failure": figures["log2_failure"],
        "contention": float(by_session.quantile(0.95) / measured["server_s"]),
        "peak_memory_bytes": result["peak_memory_bytes"],
    }
    return row, compared.assign(sample=sample.index, held_out=sample.held_out)


def described(configuration: Configuration, sample: Sample) -> dict[str, Any]:
    """A configuration as the scalar columns of a frame."""
    ring = configuration.ring
    return {
        "protocol": configuration.protocol, "engine": configuration.engine, "table": sample.table,
        "tokens": configuration.table.tokens,
        "ring_degree": ring.degree, "limb_bits": "+".join(map(str, ring.limb_bits)),
        "plaintext_modulus": ring.plaintext_modulus, "widths": ",".join(map(str, configuration.packing.widths)),
        "tile": configuration.packing.tile, "output": configuration.packing.output,
        "flooding_bits": configuration.flooding_bits, "prepared": configuration.prepared,
        "align_bits": configuration.align_bits, "options": ",".join(configuration.options), "link": sample.link.name,
        "generated": sample.generated, "threads": sample.threads, "tls": sample.tls,
    }  # fmt: skip


class PredictedSession(NamedTuple):
    """The ledger of a sample's session, and its figures by the names that a run's columns have."""

    ledger: pd.DataFrame
    figures: dict[str, float]


def predicted(sample: Sample, spread: float, machine: Machine) -> PredictedSession:
    """The prediction of a sample for a table of this spread, on the relay's model of its link.

    TLS adds records to the ledger, their seconds to both parties' overheads, and its handshake to the first share.
    """
    configuration, link, workload = sample.configuration, sample.link, sample.workload
    sized = configuration.updated(size="native", table=replace(configuration.table, spread=spread))
    profile = replace(machine, threads=sample.threads)
    if workload is None:
        found = estimate(sized, link, profile, link_model="relay")
        before = sum(session_s(Grid.of(sized), phase, link, profile, "relay") for phase in ("setup", "offline"))
        ledger = found.ledger
        first_s = float(before) + found.latency_s
        figures = {**found.figures, "first_share_s": first_s, "share_s": math.nan, "session_s": first_s}
    else:
        session = estimate_workload(sized, workload, link, profile, link_model="relay")
        ledger, prompt, token = session.ledger, session.prompt, session.token
        offline_s = prompt.offline_s + workload.generated * token.offline_s
        figures = {**prompt.figures, **session.figures, "offline_s": offline_s}
        figures["session_s"] = session.first_share_s + workload.generated * (session.preparation_s + session.share_s)
    clear = PredictedSession(ledger, figures)
    return _secured(clear, link, profile.unit(configuration.engine, OVERHEAD)) if sample.tls else clear


def _secured(clear: PredictedSession, link: Link, overhead: UnitCost) -> PredictedSession:
    """A session over TLS, whose seconds are added where neither party waits for the line."""
    before, ledger = clear.ledger, over_tls(clear.ledger, overhead)
    added_s = (ledger["seconds"] - before["seconds"]).groupby([before["lookup"], before["phase"]]).sum()
    first_s = float(added_s.loc[:1].sum()) + link.round_trip_s + handshake_s(overhead)
    added = {
        "latency_s": float(added_s.get((1, "online"), 0.0)),
        "first_share_s": first_s,
        "share_s": float(added_s.get((2, "online"), 0.0)),
        "session_s": first_s + float(added_s.loc[2:].sum()),
    }
    summed = {name: totals(ledger)[name] for name in (*BYTES, "server_s", "client_s", "offline_s")}
    later = {name: clear.figures[name] + seconds for name, seconds in added.items()}
    return PredictedSession(ledger, {**clear.figures, **summed, **later})


def measured_seconds(ledger: pd.DataFrame, result: dict[str, Any], usual_s: float) -> dict[str, float]:
    """Idealised seconds of a sample: CPU seconds by party and phase of its idealised ledger, and wall seconds."""
    found = totals(ledger)
    other = [not all(both) for both in zip(*at_usual_pace(result, usual_s).values(), strict=True)]
    latency_s = idealised_latency(result["latency_s"], [lost_s(one) for one in result["accounts"]], other)
    chosen = np.flatnonzero(np.equal(other, min(other)))
    shares = np.reshape(result["share_s"], (len(other), -1))[chosen]
    return {
        **{name: found[name] for name in ("server_s", "client_s", "offline_s", "table_s")},
        "latency_s": latency_s,
        "first_share_s": idealised(np.take(result["first_share_s"], chosen)),
        "share_s": idealised(shares) if shares.size else math.nan,
    }


def at_usual_pace(result: dict[str, Any], usual_s: float) -> dict[str, list[bool]]:
    """Of every party the sessions in which it had its processor at its usual pace."""
    return {party: [at_pace(paces[party], usual_s) for paces in result["paces_s"]] for party in PARTIES}


def lost_s(accounts: Sequence[float]) -> float:
    """Seconds that other work took from a session, of its accounts as a file has them."""
    return Accounts(*accounts).lost_s


def _reference(result: dict[str, Any], usual_s: float) -> dict[str, float]:
    if result["status"] != "measured":
        return dict.fromkeys(COVERED_SECONDS, math.nan)
    ledger = idealised_ledger(marked(pd.DataFrame(result["entries"]), usual_s))
    return measured_seconds(ledger, result, usual_s)
