"""The words of a question: one name an option, as the command line spells it or as a person holds it in Python.

Every option of a configuration is declared here once. The command line makes its flags of the declarations; the Python
API reads its keywords by them. A value may be a text, a Python or NumPy number, a tuple, a list, an array or a path.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from costmodel.limits import FLOODING_BITS, LOG2_FAILURE
from costmodel.link import Link, parse_link
from costmodel.machine import Machine, default_machine, load_machine
from costmodel.packing import field_moduli
from costmodel.parameters import BLOCK_BITS, ENGINES, OPTIONS, SIZES, Configuration, Ring, Table
from costmodel.systems import NAMES, configuration
from costmodel.systems.fastquery import ABLATIONS
from costmodel.workload import Workload, session_configuration
from fastquery.own_machine import AUTO, own_machine
from fastquery.tables import levels_of, table_of
from quantize.tables import table_name

MACHINE_HELP = f"calibration file, or {AUTO}: of this processor, as calibrate --quick keeps it"
RING_HELP = "N=4096,p=13,q=53+53 (bits, limbs joined by +; t=8000 instead of p); the rest is chosen"
DEFAULT_TABLE = "llama-7b"


_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_POWER = re.compile(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?[eE]\+?[0-9]{1,2}\s*")


def whole(name: str, value: object) -> int:
    """A whole number from a number or its text, such as ``1000`` or ``1e3``.

    Raises
    ------
    ValueError
        Naming the field, if the value is none.
    """
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, str) and _POWER.fullmatch(value):
        return whole(name, float(value))
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return whole(name, value.item())
    raise ValueError(f"{name} is {value!r}; it must be a whole number")


def count(name: str, value: object) -> int:
    """A whole number of 1 or more.

    Raises
    ------
    ValueError
        Naming the field, if the value is none.
    """
    found = whole(name, value)
    if found < 1:
        raise ValueError(f"{name} is {found}; it must be 1 or more")
    return found


def numbers(name: str, value: object, example: str) -> tuple[int, ...]:
    """Whole numbers from a number, a sequence, an array, or a text such as ``4,3,3``.

    Raises
    ------
    ValueError
        Naming the field, if the value is none of these.
    """
    if isinstance(value, str):
        parts = value.replace("+", ",").split(",")
        if not all(_WHOLE.fullmatch(part) and int(part) >= 0 for part in parts):
            raise ValueError(f"{name} is {value!r}; it must look like {example}")
        return tuple(int(part) for part in parts)
    if isinstance(value, np.ndarray):
        value = value.reshape(-1).tolist()
    if isinstance(value, Iterable):
        return tuple(whole(name, one) for one in value)
    return (whole(name, value),)


def real(name: str, value: object) -> float:
    """A number from a number or its text, ``2^-40`` read as its logarithm.

    Raises
    ------
    ValueError
        Naming the field, if the value is none.
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return float(value.removeprefix("2^") if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} is {value!r}; it must be a number") from None


def truth(name: str, value: object) -> bool:
    """A truth value.

    Raises
    ------
    ValueError
        Naming the field, if the value is none.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise ValueError(f"{name} is {value!r}; it must be True or False")


def parse_ring(value: object) -> dict[str, Any]:
    """Fields of a ring from ``N=4096,p=13,q=53+53``, a mapping of the same letters, or a :class:`Ring`.

    Raises
    ------
    ValueError
        If a part is not of that form; the message says which.

    Examples
    --------
    >>> parse_ring("N=4096,p=13,q=53+53")
    {'degree': 4096, 'plaintext_modulus': 8192, 'limb_bits': (53, 53)}
    """
    if isinstance(value, Ring):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, str):
        parts = [(key.strip(), text) for key, _, text in (part.partition("=") for part in value.split(","))]
    else:
        raise ValueError(f"ring is {value!r}; it must look like {RING_HELP}")
    fields: dict[str, Any] = {}
    for key, given in parts:
        if key not in RING_PARTS:
            raise ValueError(f"ring has the part {f'{key}={given}' if given else key!r}; it must look like {RING_HELP}")
        for field, found in RING_PARTS[key](given).items():
            if field in fields:
                raise ValueError(f"ring is {value!r}, which says {field} twice; name it once")
            fields[field] = found
    return fields


def _degree(value: object) -> dict[str, Any]:
    return {"degree": whole("ring.N", value)}


def _limbs(value: object) -> dict[str, Any]:
    return {"limb_bits": numbers("ring.q", value, "53+53")}


def _plaintext_bits(value: object) -> dict[str, Any]:
    bits = whole("ring.p", value)
    if not 1 <= bits <= 60:
        raise ValueError(f"ring.p is {bits}; it must lie between 1 and 60 bits")
    return {"plaintext_modulus": 2**bits}


def _plaintext_modulus(value: object) -> dict[str, Any]:
    return {"plaintext_modulus": whole("ring.t", value)}


RING_LETTERS: Mapping[str, Callable[[object], dict[str, Any]]] = {
    "N": _degree, "p": _plaintext_bits, "t": _plaintext_modulus, "q": _limbs,
}  # fmt: skip
"""The paper's letters of a ring."""
RING_PARTS: Mapping[str, Callable[[object], dict[str, Any]]] = {
    **RING_LETTERS, "degree": _degree, "limb_bits": _limbs, "plaintext_modulus": _plaintext_modulus,
    "sigma": lambda value: {"sigma": real("ring.sigma", value)}, "secret": lambda value: {"secret": value},
}  # fmt: skip
"""The letters, and the fields of a :class:`Ring`."""


def parse_widths(value: object) -> tuple[int, ...]:
    """Channel widths from ``4,3,3``, a tuple, a list, an array or one number.

    Raises
    ------
    ValueError
        If the value is no list of widths.

    Examples
    --------
    >>> parse_widths("4,3,3") == parse_widths([4, 3, 3])
    True
    """
    widths = numbers("packing", value, "4,3,3 (channel widths in bits)")
    field_moduli(widths)
    return widths


def widths_of(value: object) -> list[tuple[int, ...]]:
    """Packings from one, as :func:`parse_widths` takes it, or from a sequence of several.

    Raises
    ------
    ValueError
        If a value is no list of widths.

    Examples
    --------
    >>> widths_of([4, 3, 3]), widths_of(["4,3,3", (4, 4)])
    ([(4, 3, 3)], [(4, 3, 3), (4, 4)])
    """
    many = isinstance(value, Iterable) and not isinstance(value, str) and not all(np.ndim(one) == 0 for one in value)
    texts = isinstance(value, (list, tuple)) and any(isinstance(one, str) and "," in one for one in value)
    return [parse_widths(one) for one in value] if many or texts else [parse_widths(value)]  # type: ignore[attr-defined]


LINK_FORMS = "it must be a preset, 44Mbit/s,40ms, bits a second, or bits a second and seconds"


def link_of(value: object) -> Link:
    """A link from a preset, ``44Mbit/s,40ms``, bits a second, or bits a second and a round-trip time in seconds.

    Raises
    ------
    ValueError
        If the value is none of these.
    """
    if isinstance(value, Link):
        return value
    if isinstance(value, str):
        return parse_link(value)
    parts = list(value) if isinstance(value, (tuple, list, np.ndarray)) and np.ndim(value) else [value]
    texts = [part for part in parts if isinstance(part, str)]
    if 1 <= len(parts) <= 2 and len(texts) == len(parts):
        return parse_link(",".join(texts))
    if not 1 <= len(parts) <= 2 or isinstance(parts[0], (str, bytes, Mapping)):
        raise ValueError(f"link is {value!r}; {LINK_FORMS}")
    rate, *delay = parts
    bit_per_s, round_trip_s = real("link", rate), real("link round-trip time", delay[0]) if delay else 0.0
    return Link(bit_per_s, round_trip_s, f"{bit_per_s:g} bit/s" + (f",{1e3 * round_trip_s:g}ms" if delay else ""))


def machine_of(value: object) -> Machine:
    """Unit costs from a calibration file, those kept of this processor for ``auto``, or the built-in ones for None.

    Raises
    ------
    ValueError
        If the file is none, or none is kept.
    """
    if value is None:
        return default_machine()
    if isinstance(value, str) and value == AUTO:
        return own_machine()
    if isinstance(value, Machine):
        return value
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"machine is {value!r}; it must be a Machine or the path of a calibration file")
    return load_machine(os.fspath(value))


WORKLOAD_HELP = "prompt=128,generated=64, and if need be clients=8 and rate=2 generated tokens a second of each"


def workload_of(value: object) -> Workload:
    """A workload from ``prompt=128,generated=64``, a mapping of the same names, or a :class:`Workload`.

    Raises
    ------
    ValueError
        If a part is not of that form; the message says which.

    Examples
    --------
    >>> workload_of("prompt=128,generated=64") == workload_of({"prompt": 128, "generated": 64})
    True
    """
    if isinstance(value, Workload):
        return value
    if isinstance(value, Mapping):
        parts = dict(value)
    elif isinstance(value, str):
        pairs = [(name.strip(), text) for name, _, text in (part.partition("=") for part in value.split(","))]
        parts = dict(pairs)
        if len(parts) < len(pairs):
            raise ValueError(f"workload is {value!r}, which names a part twice; name it once")
    else:
        raise ValueError(f"workload is {value!r}; it must look like {WORKLOAD_HELP}")
    unknown = [name for name in parts if name not in Workload.__dataclass_fields__]
    if unknown or "prompt" not in parts:
        wrong = f"the part {unknown[0]!r}" if unknown else "no prompt"
        raise ValueError(f"workload has {wrong}; it must look like {WORKLOAD_HELP}")
    counts = {name: whole(f"workload.{name}", given) for name, given in parts.items() if name != "rate"}
    return Workload(**counts, rate=real("workload.rate", parts.get("rate", 1.0)))


def options_of(value: object) -> tuple[str, ...]:
    """Options of a configuration from one name or several.

    Raises
    ------
    ValueError
        If the value is none of these.
    """
    found = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    for option in found:
        if option not in OPTIONS:
            raise ValueError(f"option is {option!r}; it must be one of {', '.join(OPTIONS)}")
    return found


class Word(NamedTuple):
    """One option of a configuration.

    Attributes
    ----------
    name
        Keyword of the API; the flag has dashes for underscores.
    help
        Of the command line.
    metavar
        The value's name in help texts; a switch has none.
    read
        From a text or a value at hand.
    choices
        The values that there are, where they are few.
    wish
        Field of :class:`costmodel.system.Wishes`, where it is another name.
    many
        Whether a flag may be repeated.
    """

    name: str
    help: str
    metavar: str = ""
    read: Callable[[Any], Any] | None = None
    choices: tuple[str, ...] = ()
    wish: str = ""
    many: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of the command line."""
        return (f"-{self.name}",) if len(self.name) == 1 else (f"--{self.name.replace('_', '-')}",)

    def value(self, given: object) -> object:
        """The value as the model takes it.

        Raises
        ------
        ValueError
            Naming the word, if the value cannot be.
        """
        if self.read is not None:
            return self.read(given)
        if not self.metavar and not self.choices:
            return truth(self.name, given)
        return known(self.name, given, self.choices)

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Make a flag of it."""
        if not self.metavar and not self.choices:
            parser.add_argument(*self.flags, dest=self.name, action="store_true", default=None, help=self.help)
            return
        parser.add_argument(
            *self.flags,
            dest=self.name,
            action="append" if self.many else "store",
            choices=self.choices or None,
            type=str.lower if self.choices else str,
            metavar=None if self.choices else self.metavar,
            help=self.help,
        )


def _named(name: str, read: Callable[[str, object], Any]) -> Callable[[object], Any]:
    return lambda value: read(name, value)


WORDS: tuple[Word, ...] = (
    Word("m", "rows of the table, in the place of --table", "ROWS", _named("m", whole)),
    Word("n", "channels of the table", "CHANNELS", _named("n", whole)),
    Word("ablation", "a row of the paper's Table 6", choices=ABLATIONS),
    Word("ring", RING_HELP, "RING", parse_ring),
    Word("N", "ring degree", "DEGREE", _degree),
    Word("p", "bits of the plaintext modulus", "BITS", _plaintext_bits),
    Word("t", "plaintext modulus, in the place of -p", "MODULUS", _plaintext_modulus),
    Word("q", "bits of the limbs of the ciphertext modulus: 39, or 53+53", "BITS", _limbs),
    Word("packing", "channel widths of one coefficient, 4,3,3", "WIDTHS", parse_widths, wish="widths"),
    Word("levels", "levels of the channels of one coefficient, 10,10,10", "LEVELS",
         lambda value: numbers("levels", value, "10,10,10")),
    Word("engine", "the engine that executes the lookup, or the library of a published system", choices=ENGINES),
    Word("size", "the format that bytes are counted in (default native)", choices=SIZES),
    Word("prepared", "do the work that depends on no token before the token is known"),
    Word("delphi", "take the encrypted product offline, on random vectors (Delphi)"),
    Word("low_bits", "send the lowest bits of an answer's b; the rest of b is the server's share, without a mask"),
    Word("options", "a further option of a published system; may be repeated", "OPTION", options_of, many=True),
    Word("align_bits", "extend every channel's share to L bits (default 0: packed shares)", "L",
         _named("align_bits", whole)),
    Word("block_bits", "bits of the blocks of its oblivious transfers, 1 to 8: bytes as 1/K, hashing as 2^K/K "
         f"(default {BLOCK_BITS})", "K", _named("block_bits", whole)),
    Word("flooding_bits", f"width of the flooding (default {FLOODING_BITS}, or 0 where a named q has no room; 0: none)",
         "F", _named("flooding_bits", whole)),
    Word("distance", "log2 of the statistical distance that the flooding may leave after all planned queries, such as "
         "-26; in the place of --flooding-bits", "LOG2", _named("distance", real)),
    Word("queries", "planned number of rows that are looked up in all by those who may pool them (default 1)", "COUNT",
         _named("queries", whole)),
    Word("failure", f"log2 of the failure probability of a lookup (default {LOG2_FAILURE:g})", "LOG2",
         _named("failure", real), wish="log2_failure"),
    Word("allow_insecure", "accept a ring below 128 bits of security"),
)  # fmt: skip
"""Options of a configuration besides the table, the protocol and the tokens."""

_BY_NAME = {word.name: word for word in WORDS}
_SPELLINGS = {"widths": "packing", "log2_failure": "failure", "option": "options", "bandwidth": "link"}
"""Other keywords for the same word."""
_OPTION_FLAGS = {"delphi": "delphi", "low_bits": "low-bits"}
"""Options that have a word of their own."""
QUESTION = ("table", "protocol", "tokens", "workload", "link", "machine", "threads")
"""Words that are no options of a configuration."""


def checked(read: Callable[[Any], Any]) -> Callable[[str], Any]:
    """A reader for argparse, whose one-line error keeps the reason."""

    def of_text(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return of_text


@dataclass(frozen=True)
class Question:
    """A configuration, the table's name, the tokens or the workload, a link and a machine.

    Attributes
    ----------
    configuration
        The lookup.
    table
        The table's name as a user gave it, or ``MxN``.
    tokens
        Token ids, or how many are drawn; of a workload those of its prompt.
    link, machine
        Where the lookup is priced; the machine on so many threads.
    workload
        What a session does, where one is asked about.
    threads
        Threads of the server that share the work of a lookup.
    """

    configuration: Configuration
    table: str
    tokens: int | tuple[int, ...]
    link: Link
    machine: Machine
    workload: Workload | None = None
    threads: int = 1


def ask(words: Mapping[str, Any], *, link: str = "lan") -> Question:
    """The question of some words, everything that is left out chosen.

    Parameters
    ----------
    words
        By the names of :data:`WORDS` and :data:`QUESTION`; None is a word that is left out. Either a whole
        ``configuration`` or the words that one is chosen from.
    link
        The link where none is named.

    Raises
    ------
    ValueError
        If a word is unknown, two contradict each other, or a value cannot be; the message names the word.

    Examples
    --------
    >>> asked = ask(dict(m=32000, n=4096, N=4096, p=13, q=39, packing=(4, 3, 3), bandwidth="44Mbit/s"))
    >>> asked.configuration.ring.limb_bits, asked.link.rate_bit_per_s
    ((39,), 44000000.0)
    """
    given = _spelled(words)
    on = link_of(given.pop("link", link))
    profile = machine_of(given.pop("machine", None))
    threads = count("threads", given.pop("threads", 1))
    profile = replace(profile, threads=threads)
    workload = workload_of(given.pop("workload")) if "workload" in given else None
    if workload is not None:
        if "tokens" in given:
            raise ValueError("workload and tokens are both named; the workload says how many tokens are looked up")
        given["tokens"] = workload.prompt
    whole_one = given.pop("configuration", None)
    if whole_one is not None:
        return replace(_of_configuration(whole_one, given, on, profile), workload=workload, threads=threads)
    protocol = known("protocol", given.pop("protocol", "fastquery"), NAMES)
    tokens = tokens_of(given.pop("tokens", 1))
    name, table = _table(given, len(tokens) if isinstance(tokens, tuple) else tokens)
    if isinstance(tokens, tuple) and not all(0 <= token < table.rows for token in tokens):
        raise ValueError(f"token is outside the vocabulary; it must lie between 0 and {table.rows - 1}")
    wishes = _wishes(given)
    if "levels" not in wishes and not isinstance(name, Table):
        wishes["levels"] = levels_of(name, wishes.get("widths"))
    if workload is None:
        found = configuration(protocol, table, **wishes)
    else:
        found = session_configuration(protocol, table, workload, **wishes)
    return Question(found, name, tokens, on, profile, workload, threads)


def tokens_of(value: object) -> int | tuple[int, ...]:
    """A number of tokens to draw, or their ids: a number, a sequence, an array, or a text such as ``3`` or ``77,512``.

    Raises
    ------
    ValueError
        If the value is none of these, or there are none.
    """
    if isinstance(value, str):
        parts = [part for part in value.split(",") if part.strip()]
        if not parts or not all(_WHOLE.fullmatch(part) and int(part) >= 0 for part in parts):
            raise ValueError(f"tokens is {value!r}; it must be a number of tokens, or ids such as 77,512")
        if "," not in value:
            return tokens_of(int(parts[0]))
        return tuple(int(part) for part in parts)
    if isinstance(value, np.ndarray):
        value = value.reshape(-1).tolist() if value.ndim else value.item()
    if isinstance(value, Iterable) and not isinstance(value, (set, frozenset, bytes)):
        ids = tuple(whole("token", one) for one in value)
        if not ids:
            raise ValueError("tokens are none; at least one is looked up")
        return ids
    count = whole("tokens", value)
    if count < 1:
        raise ValueError(f"tokens is {count}; at least 1 is looked up")
    return count


def _spelled(words: Mapping[str, Any]) -> dict[str, Any]:
    """Words by their own names, those left out left out."""
    given: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for spelling, value in words.items():
        name = _SPELLINGS.get(spelling, spelling)
        if name not in _BY_NAME and name not in (*QUESTION, "configuration"):
            raise unknown("option", spelling, [*_BY_NAME, *QUESTION, *_SPELLINGS])
        if value is None:
            continue
        if name in given:
            raise ValueError(f"{spelled[name]} and {spelling} are both named; they are one option")
        given[name], spelled[name] = value, spelling
    return given


def field_of(name: str) -> str:
    """The field of a system's wishes that a word names; a name that is no word stays as it is."""
    word = _BY_NAME.get(_SPELLINGS.get(name, name))
    return name if word is None else word.wish or word.name


def known(what: str, value: object, names: Iterable[str]) -> str:
    """One of some names, in letters of either case.

    Raises
    ------
    ValueError
        If the value is none of them.

    Examples
    --------
    >>> known("protocol", "Cheetah", ["cheetah", "iron"])
    'cheetah'
    """
    choices = list(names)
    spelt = value.strip().lower() if isinstance(value, str) and value not in choices else value
    if spelt not in choices:
        raise ValueError(f"{what} is {value!r}; it must be one of {', '.join(choices)}{nearest(value, choices)}")
    return str(spelt)


def unknown(what: str, name: object, known: Iterable[str], plural: str = "") -> ValueError:
    """The error of a name that is not known, with the nearest that is."""
    names = list(known)
    return ValueError(
        f"there is no {what} {name!r}{nearest(name, names)}; {plural or what + 's'} are {', '.join(names)}"
    )


def nearest(name: object, known: Iterable[str]) -> str:
    """A question that names the known name next to a name, if one is near."""
    close = difflib.get_close_matches(str(name).lower(), list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _of_configuration(found: Any, given: dict[str, Any], link: Link, machine: Machine) -> Question:
    """A whole configuration, of which the tokens and the table's name alone can be said besides."""
    if not isinstance(found, Configuration):
        raise ValueError(f"configuration is {found!r}; it must be a Configuration")
    tokens = tokens_of(given.pop("tokens", found.table.tokens))
    count = len(tokens) if isinstance(tokens, tuple) else tokens
    if count != found.table.tokens:
        raise ValueError(f"tokens are {count}; the configuration is for {found.table.tokens}")
    name = given.pop("table", None)
    shape = f"{found.table.rows}x{found.table.channels}"
    if name is not None:
        stated = shape_of(name, count)[1]
        if (stated.rows, stated.channels) != (found.table.rows, found.table.channels):
            raise ValueError(f"table is {stated.rows}x{stated.channels}; the configuration is for {shape}")
    if given:
        raise ValueError(f"configuration and {next(iter(given))} are both named; the configuration says it all")
    return Question(found, shape if name is None else shape_of(name, count)[0], tokens, link, machine)


def _table(given: dict[str, Any], tokens: int) -> tuple[str, Table]:
    """The table that is named, by its name or by m and n."""
    sides = {side: whole(side, given.pop(side)) for side in ("m", "n") if side in given}
    if sides and "table" in given:
        raise ValueError(f"table and {', '.join(sides)} are both named; name the table by one of them")
    if len(sides) == 1:
        missing = "n" if "m" in sides else "m"
        raise ValueError(f"{next(iter(sides))} is {next(iter(sides.values()))} and {missing} is missing; name both")
    if sides:
        return f"{sides['m']}x{sides['n']}", Table(sides["m"], sides["n"], tokens)
    return shape_of(given.pop("table", DEFAULT_TABLE), tokens)


def shape_of(table: object, tokens: int = 1) -> tuple[str, Table]:
    """Name and shape of a table: its name, its path, rows and channels, or a :class:`Table`.

    Raises
    ------
    ValueError
        If the value is none of these.

    Examples
    --------
    >>> shape_of((300, 24))[0]
    '300x24'
    """
    if isinstance(table, Table):
        return f"{table.rows}x{table.channels}", replace(table, tokens=tokens if tokens > 1 else table.tokens)
    if isinstance(table, (str, Path)):
        name = table_name(str(table))
        return name, table_of(name, tokens)
    if isinstance(table, (tuple, list, np.ndarray)) and len(table) == 2 and np.ndim(table[0]) == 0:
        rows, channels = (whole("table", side) for side in table)
        return f"{rows}x{channels}", Table(rows, channels, tokens)
    if isinstance(table, np.ndarray):
        raise ValueError(
            f"table is an array of shape {table.shape}; name the .npy file that it is saved in, or (rows, channels)"
        )
    raise ValueError(
        f"table is {table!r}; it must be a name such as llama-7b or 32000x4096, a path, or (rows, channels)"
    )


def name_of(table: object) -> str:
    """The name of a table: a text, a path, or rows and channels.

    Raises
    ------
    ValueError
        If the value is none of these.
    """
    return table_name(os.fspath(table)) if isinstance(table, (str, os.PathLike)) else shape_of(table)[0]


def _wishes(given: dict[str, Any]) -> dict[str, Any]:
    """Fields of the wishes that the remaining words are."""
    read: dict[str, Any] = {name: _BY_NAME[name].value(value) for name, value in given.items()}
    ring = dict(read.pop("ring", {}))
    said = dict.fromkeys(ring, "ring")
    for letter in RING_LETTERS:
        for field, value in read.pop(letter, {}).items():
            if field in ring:
                raise ValueError(f"{letter} and {said[field]} are both named and say the same of {field}; name one")
            ring[field], said[field] = value, letter
    flags = [option for name, option in _OPTION_FLAGS.items() if read.pop(name, False)]
    options = (*read.pop("options", ()), *flags)
    wishes = {_BY_NAME[name].wish or name: value for name, value in read.items()}
    return {**wishes, **({"ring": ring} if ring else {}), **({"options": options} if options else {})}
