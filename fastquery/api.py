"""The Python API: keywords as the command line's options, results as its JSON."""

from __future__ import annotations

from typing import Any

from costmodel.estimate import Estimate
from costmodel.estimate import estimate as estimate_configuration
from costmodel.parameters import Configuration
from fastquery import runs
from fastquery.words import ask


def estimate(configuration: Configuration | None = None, **words: Any) -> Estimate:
    """Predict ciphertexts, bytes, seconds, latency, noise and security of one lookup.

    Parameters
    ----------
    configuration
        The lookup; or leave it out and describe it by words.
    words
        ``table`` (a preset, ``MxN``, a file, or rows and channels as a tuple) or ``m`` and ``n``; ``protocol``;
        ``tokens``; ``ring`` or ``N``, ``p`` (or ``t``) and ``q``; ``packing``; ``link`` or ``bandwidth`` (a preset,
        ``44Mbit/s,40ms``, or bits a second); ``machine``; and the further words of :data:`fastquery.words.WORDS`.

    Returns
    -------
    Estimate
        Figures as attributes (``up_bytes``, ``latency_s``, ...), ``ledger`` as a data frame.

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
    """
    asked = ask({"configuration": configuration, **words})
    return estimate_configuration(asked.configuration, asked.link, asked.machine)


def run(table: Any = None, tokens: Any = 1, *, seed: int = 0, **words: Any) -> runs.Run:
    """Execute a lookup by two processes and hold it against its prediction.

    Parameters
    ----------
    table
        As :func:`estimate`; a named table is loaded, ``MxN`` is a random one. MiniLM's where no table is named.
    tokens
        Token ids, or how many to draw.
    seed
        Of a random table and of drawn tokens.
    words
        As :func:`estimate`; the link is shaped between both processes, loopback where none is named.

    Returns
    -------
    Run
        The opened ``rows``, the measured and the predicted ledger, and their comparison.

    Raises
    ------
    ValueError
        As :func:`estimate`; or if no engine executes the lookup as it is described.

    Examples
    --------
    >>> import fastquery as fq
    >>> done = fq.run("300x24", [7, 7, 299])
    >>> done.correct, done.agrees, done.rows.shape
    (True, True, (3, 24))
    """
    if table is None and not {"m", "n", "configuration"} & words.keys():
        table = "minilm"
    asked = ask({"table": table, "tokens": tokens, **words}, link="loopback")
    return runs.run(
        asked.configuration, asked.table, asked.tokens, seed=seed, machine=asked.machine, link=asked.link,
        allow_insecure=bool(words.get("allow_insecure")),
    )  # fmt: skip
