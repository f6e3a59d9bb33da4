"""A party's additive share of the rows of a lookup, with all that a next layer needs to use it.

Both parties' shares of a lookup add up to the quantised rows: packed, modulo t, or aligned, every channel modulo 2^L.
Alone each of them is uniform. A share is a file of arrays (.npz, nothing pickled) once it is saved.

References
----------
.. [1] Rathee et al. CrypTFlow2. CCS 2020: fixed-point layers on additive shares.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from costmodel.checks import whole_between
from costmodel.files import replace_private
from costmodel.parameters import Configuration
from costmodel.results import Result
from quantize.public import PublicTable

if TYPE_CHECKING:
    from protocol.lookup import Answered, ClientSession, ServedSession

Party = Literal["client", "server"]

FORMAT: Final = "fastquery-share-1"
MAX_TOKENS = 1024
MAX_FILE_BYTES = 2**28
MAX_MODULUS = 2**62
MOST_FRACTION_BITS = 64


@dataclass(frozen=True, eq=False, repr=False)
class Share(Result):
    """One party's share of the rows of a lookup; its text shows no value of it.

    Attributes
    ----------
    values
        uint64: of every packed coefficient below ``modulus``, (tokens, n'), or of every channel, (tokens, n), in packed
        order and below 2^``align_bits``.
    modulus
        t, of packed shares; 2^L of aligned ones.
    align_bits
        L; 0 for packed shares.
    party
        Whose it is: public constants are added to the server's.
    public
        Fields, order of the channels, scales, and the offset of the levels; nothing secret.
    session
        The session's public identifier, hexadecimal.
    lookup
        Its number in the session.

    Examples
    --------
    >>> import fastquery as fq
    >>> with fq.Server("300x24", protocol="folded", align_bits=32) as server, fq.connect(server.address) as session:
    ...     mine, theirs = session.lookup([299]), next(server.shares())
    >>> mine.party, theirs.party, mine.values.shape, mine.modulus == 2**32
    ('client', 'server', (1, 24), True)
    """

    values: NDArray[np.uint64]
    modulus: int
    align_bits: int
    party: Party
    public: PublicTable
    session: str
    lookup: int

    def __post_init__(self) -> None:
        columns = self.public.channels if self.align_bits else self.public.coefficients
        shape = self.values.shape
        if self.values.dtype != np.uint64 or len(shape) != 2 or not 1 <= shape[0] <= MAX_TOKENS or shape[1] != columns:
            raise ValueError(
                f"values are {self.values.dtype} of shape {shape}; they must be uint64 of (tokens, {columns})"
            )
        if not 0 <= self.align_bits <= 64 or (self.align_bits and self.modulus != 1 << self.align_bits):
            raise ValueError(f"align_bits is {self.align_bits} with modulus {self.modulus}; it must be its log2, or 0")
        if not self.align_bits and not self.public.plaintext_modulus <= self.modulus <= MAX_MODULUS:
            raise ValueError(f"modulus is {self.modulus}; it must lie between {self.public.plaintext_modulus} and 2^62")
        if self.modulus < 1 << 64 and int(self.values.max()) >= self.modulus:
            raise ValueError(f"values reach {int(self.values.max())}; they must be below the modulus {self.modulus}")
        if self.party not in ("client", "server"):
            raise ValueError(f"party is {self.party!r}; it must be client or server")
        if len(self.session) != 24 or not set(self.session) <= set("0123456789abcdef"):
            raise ValueError(f"session is {self.session!r}; it must be 24 hexadecimal digits")
        if not 1 <= self.lookup < 1 << 32:
            raise ValueError(f"lookup is {self.lookup}; it must lie between 1 and 2^32 - 1")

    @classmethod
    def of(cls, session: ServedSession, answered: Answered) -> Share:
        """A server's share of a lookup that it answered."""
        return _made(
            session.configuration, session.public, answered.shares, "server", session.hello.session, answered.number
        )

    @classmethod
    def held(cls, session: ClientSession, values: NDArray[np.int64] | NDArray[np.uint64]) -> Share:
        """A client's share of its last lookup."""
        identifier = session.greeter.hello.session
        return _made(session.configuration, session.public, values, "client", identifier, session.last_number)

    def headline(self) -> dict[str, str]:
        """Whose share it is of which lookup."""
        unit = f"2^{self.align_bits} a channel" if self.align_bits else f"{self.modulus} a coefficient"
        return {
            "party": self.party,
            "rows": f"{len(self)} of {self.public.rows}x{self.public.channels}",
            "modulus": unit,
            "session": self.session,
            "lookup": f"{self.lookup}",
        }

    def __len__(self) -> int:
        """Rows."""
        return len(self.values)

    def save(self, path: Path | str) -> None:
        """Write the share to a file that its user alone can read, beside it first.

        Raises
        ------
        ValueError
            If it cannot be written, or there is anything but a regular file.
        """
        scalars = {
            "format": FORMAT,
            "modulus": self.modulus,
            "align_bits": self.align_bits,
            "party": self.party,
            "session": self.session,
            "lookup": self.lookup,
        }
        share, public = np.array(json.dumps(scalars)), np.array(self.public.to_json())
        replace_private(path, lambda file: np.savez(file, values=self.values, share=share, public=public))

    @classmethod
    def load(cls, path: Path | str) -> Share:
        """Read a share that may come from anyone.

        Raises
        ------
        ValueError
            If the file cannot be read or is no share, too large, or anything in it is out of bounds.
        """
        source = Path(path)
        try:
            _check_size(source)
            with np.load(source, allow_pickle=False) as arrays:
                if set(arrays.files) != {"values", "share", "public"}:
                    raise ValueError("it has other arrays")
                values, scalars, public = arrays["values"], json.loads(str(arrays["share"])), str(arrays["public"])
            if set(scalars) != {"format", "modulus", "align_bits", "party", "session", "lookup"}:
                raise ValueError("it has other fields")
            if scalars.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            if any(type(scalars[name]) is not int for name in ("modulus", "align_bits", "lookup")):
                raise ValueError("a number in it is none")
            return cls(values=values, public=PublicTable.from_json(public), **scalars)
        except OSError as error:
            raise ValueError(f"{str(source)!r} cannot be read: {error.strerror or error}") from None
        except Exception as error:  # zipfile, zlib and numpy each have errors of their own for a file that is damaged
            raise ValueError(f"{str(source)!r} is no share: {error}") from None

    def embedding(self, bits: int = 64, fraction_bits: int = 0) -> NDArray[np.uint64]:
        """The share, modulo 2^bits, of the rows as fixed-point numbers in the model's own channel order.

        Both parties' add up modulo 2^bits and, read as signed, to the float rows in steps of :meth:`unit`: a product
        with a public matrix is taken by each party on its own.

        Parameters
        ----------
        bits
            Of the next layer's shares, at most those of the alignment.
        fraction_bits
            Steps are 2^-fraction_bits of the smallest scale's half: more of them for scales that are no powers of two.

        Returns
        -------
        uint64 array (tokens, n)

        Raises
        ------
        ValueError
            If the share is packed (it takes the alignment's transfers to take its carries out), or bits do not fit.
        """
        if not self.align_bits:
            raise ValueError("the share is packed, modulo t; serve with --align-bits to get shares of every channel")
        bits = whole_between("bits", bits, 1, self.align_bits)
        fraction_bits = whole_between("fraction_bits", fraction_bits, 0, MOST_FRACTION_BITS)
        needed = self.public.embedding_bits(fraction_bits)
        if bits < needed:
            raise ValueError(
                f"bits is {bits}; embeddings of up to {self.public.largest_embedding(fraction_bits):.3g} steps need at "
                f"least {needed}: take more bits, or fewer fraction bits"
            )
        return self.public.share_of_embedding(self.values, self.party == "server", bits, fraction_bits)

    def unit(self, fraction_bits: int = 0) -> float:
        """Value of one step of :meth:`embedding`."""
        return self.public.unit(fraction_bits)


def open_levels(one: Share, other: Share) -> NDArray[np.int32]:
    """Quantised levels, in the model's own channel order, of both parties' shares of a lookup, (tokens, n).

    Raises
    ------
    ValueError
        If they are not the two shares of one lookup, or do not open to levels of the table.
    """
    for share in (one, other):
        if not isinstance(share, Share):
            raise ValueError(f"a share is a {type(share).__name__}; open takes two of Share, such as Share.load reads")
    for name in ("session", "lookup", "modulus", "public"):
        if getattr(one, name) != getattr(other, name):
            raise ValueError(f"shares differ in {name}: they are not of one lookup")
    if one.party == other.party:
        raise ValueError(f"both shares are the {one.party}'s; one of each party opens")
    if one.values.shape != other.values.shape:
        raise ValueError("shares differ in their number of rows")
    total = one.values + other.values  # modulo 2^64, of which every 2^L is a divisor
    if one.align_bits:
        return one.public.open_fields((total & np.uint64((1 << one.align_bits) - 1)).astype(np.int64))
    return one.public.open((total % np.uint64(one.modulus)).astype(np.int64))


def open_shares(one: Share, other: Share) -> NDArray[np.float32]:
    """Float rows, in the model's own channel order, of both parties' shares of a lookup, (tokens, n).

    Raises
    ------
    ValueError
        As :func:`open_levels`.

    Examples
    --------
    >>> import fastquery as fq
    >>> with fq.Server("300x24") as server, fq.connect(server.address) as session:
    ...     shares = server.shares()
    ...     mine, theirs = session.lookup([299]), next(shares)
    >>> rows = fq.open(mine, theirs)
    >>> bool((rows == fq.open(theirs, mine)).all()), rows.shape
    (True, (1, 24))
    """
    return one.public.dequantize(open_levels(one, other))


def _made(
    configuration: Configuration,
    public: PublicTable,
    values: NDArray[np.int64] | NDArray[np.uint64],
    party: Party,
    session: bytes,
    lookup: int,
) -> Share:
    bits = configuration.align_bits
    modulus = 1 << bits if bits else configuration.ring.plaintext_modulus
    return Share(values.astype(np.uint64), modulus, bits, party, public, session.hex(), lookup)


def _check_size(path: Path) -> None:
    """Refuse a file whose arrays would take more memory than any share, before they are read, or that is damaged."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_FILE_BYTES:
            raise ValueError(f"its arrays take {size} bytes; at most {MAX_FILE_BYTES} are read")
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"its checksum of {damaged} does not match")
