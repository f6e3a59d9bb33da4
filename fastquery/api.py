"""The Python API: keywords as the command line's options, results as its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from costmodel.estimate import Estimate
from costmodel.estimate import estimate as estimate_configuration
from costmodel.parameters import Configuration
from costmodel.workload import Workload, WorkloadEstimate, estimate_workload
from fastquery import runs, workload_runs
from fastquery.words import ask


@overload
def estimate(configuration: Configuration | None = None, *, workload: None = None, **words: Any) -> Estimate: ...


@overload
def estimate(
    configuration: Configuration | None = None, *, workload: Workload | Mapping[str, Any] | str, **words: Any
) -> WorkloadEstimate: ...


def estimate(
    configuration: Configuration | None = None,
    *,
    workload: Workload | Mapping[str, Any] | str | None = None,
    **words: Any,
) -> Estimate | WorkloadEstimate:
    """Predict ciphertexts, bytes, seconds, latency, noise and security of one lookup, or of a session of many.

    Parameters
    ----------
    configuration
        The lookup; or leave it out and describe it by words.
    workload
        What a session does, in the place of ``tokens``: a :class:`Workload`, a mapping of its fields, or
        ``prompt=128,generated=64``.
    words
        ``table`` (a preset, ``MxN``, a file, or rows and channels as a tuple) or ``m`` and ``n``; ``protocol``;
        ``tokens``; ``ring`` or ``N``, ``p`` (or ``t``) and ``q``; ``packing``; ``link`` or ``bandwidth`` (a preset,
        ``44Mbit/s,40ms``, or bits a second); ``machine``; and the further words of :data:`fastquery.words.WORDS`.

    Returns
    -------
    Estimate
        Figures as attributes (``up_bytes``, ``latency_s``, ...), ``ledger`` as a data frame.
    WorkloadEstimate
        Where a workload is named: figures of the session (``total_bytes``, ``first_share_s``, ``share_s``, ...), and
        the estimates of its lookups as ``prompt`` and ``token``.

    Raises
    ------
    ValueError
        If a word is unknown, two contradict each other, or no parameters hold; the message names the word and a way
        out.

    Examples
    --------
    >>> import fastquery as fq
    >>> found = fq.estimate(m=32000, n=4096, N=4096, p=13, q=39, packing=(4, 3, 3), bandwidth="44Mbit/s")
    >>> found.up_ciphertexts, found.down_ciphertexts, found.security_bits
    (8.0, 1.0, 256.0)
    >>> fq.estimate(protocol="cheetah", link="44Mbit/s,40ms").up_ciphertexts
    180.0
    >>> chat = fq.estimate(table="gpt2", protocol="folded", workload="prompt=128,generated=64")
    >>> chat.first_share_s > chat.share_s, chat.total_bytes > chat.setup_bytes
    (True, True)
    """
    asked = ask({"configuration": configuration, "workload": workload, **words})
    if asked.workload is not None:
        return estimate_workload(asked.configuration, asked.workload, asked.link, asked.machine)
    return estimate_configuration(asked.configuration, asked.link, asked.machine)


@overload
def run(table: Any = None, tokens: Any = None, *, seed: int = 0, workload: None = None, **words: Any) -> runs.Run: ...


@overload
def run(
    table: Any = None, *, seed: int = 0, workload: Workload | Mapping[str, Any] | str, **words: Any
) -> workload_runs.WorkloadRun: ...


def run(
    table: Any = None,
    tokens: Any = None,
    *,
    seed: int = 0,
    workload: Workload | Mapping[str, Any] | str | None = None,
    **words: Any,
) -> runs.Run | workload_runs.WorkloadRun:
    """Execute a lookup, or a session of many, by two processes and hold it against its prediction.

    Parameters
    ----------
    table
        As :func:`estimate`; a named table is loaded, ``MxN`` is a random one. MiniLM's where no table is named.
    tokens
        Token ids, or how many to draw; one if left out.
    seed
        Of a random table and of drawn tokens.
    workload
        What a session of one client does, in the place of ``tokens``; see :func:`estimate`.
    words
        As :func:`estimate`; the link is shaped between both processes, loopback where none is named. ``threads`` share
        the server's work on the lookup, 1 where none are named.

    Returns
    -------
    Run
        The opened ``rows``, the measured and the predicted ledger, and their comparison.
    WorkloadRun
        Where a workload is named: the same of a session, with its measured ``first_share_s`` and ``share_s``.

    Raises
    ------
    ValueError
        As :func:`estimate`; or if no engine executes the lookup as it is described, or the workload is of more clients
        than one.

    Examples
    --------
    >>> import fastquery as fq
    >>> done = fq.run("300x24", [7, 7, 299])
    >>> done.correct, done.agrees, done.rows.shape
    (True, True, (3, 24))
    >>> chat = fq.run("300x24", workload="prompt=3,generated=2")
    >>> chat.correct, chat.agrees, chat.rows.shape
    (True, True, (5, 24))
    """
    if table is None and not {"m", "n", "configuration"} & words.keys():
        table = "minilm"
    asked = ask({"table": table, "tokens": tokens, "workload": workload, **words}, link="loopback")
    common: dict[str, Any] = {
        "seed": seed,
        "machine": asked.machine,
        "link": asked.link,
        "threads": asked.threads,
        "allow_insecure": bool(words.get("allow_insecure")),
    }
    if asked.workload is not None:
        return workload_runs.run_workload(asked.configuration, asked.table, asked.workload, **common)
    return runs.run(asked.configuration, asked.table, asked.tokens, **common)
