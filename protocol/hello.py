"""A client's first message: a new session, or one that it resumes after its connection was lost.

With every hello a client commits to the secret by which it resumes next time; the server keeps the hash. Whoever heard
an earlier hello knows secrets that were used up, and no other client's. The digest of a session's hello and parameters,
either of which has a nonce of its party, names it from then on: whoever repeats a hello begins another session.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from dataclasses import dataclass, replace

from costmodel.wire import HELLO_BYTES
from protocol.errors import ProtocolError

_HELLO = struct.Struct("<12sI32s32sI")
assert _HELLO.size == HELLO_BYTES
IDENTIFIER_BYTES, SECRET_BYTES = 12, 32


@dataclass(frozen=True)
class Hello:
    """A client's first message.

    Attributes
    ----------
    session
        Random in a new session; the session's name where it is resumed.
    tokens
        Most rows of a lookup.
    commitment
        SHA-256 of the secret that resumes the session next.
    secret
        The secret that was committed to last; anything in a new session.
    number
        The next lookup's of a session that is resumed; 0 in a new one.
    """

    session: bytes
    tokens: int
    commitment: bytes
    secret: bytes
    number: int = 0

    @property
    def resumes(self) -> bool:
        """Whether a session is resumed."""
        return self.number > 0

    def begun(self, parameters: bytes) -> Hello:
        """With the name of the session that begins with this hello and with these parameters."""
        name = hashlib.sha256(self.encode() + parameters).digest()[:IDENTIFIER_BYTES]
        return replace(self, session=name)

    def encode(self) -> bytes:
        """The body of the frame."""
        return _HELLO.pack(self.session, self.tokens, self.commitment, self.secret, self.number)

    @classmethod
    def decode(cls, body: bytes, most_tokens: int) -> Hello:
        """Read a body of the right length.

        Raises
        ------
        ProtocolError
            If it asks for no tokens or too many.
        """
        hello = cls(*_HELLO.unpack(body))
        if not 1 <= hello.tokens <= most_tokens:
            raise ProtocolError(f"hello asks for {hello.tokens} tokens; 1 to {most_tokens} are served together")
        return hello


class Greeter:
    """A client's hellos, one a connection, and the secrets behind their commitments."""

    def __init__(self, tokens: int) -> None:
        self._secret = secrets.token_bytes(SECRET_BYTES)
        identifier = secrets.token_bytes(IDENTIFIER_BYTES)
        self.hello = Hello(identifier, tokens, committed(self._secret), secrets.token_bytes(SECRET_BYTES))

    def begin(self, parameters: bytes) -> None:
        """Know the session by its first messages."""
        self.hello = self.hello.begun(parameters)

    def again(self, number: int) -> Hello:
        """The hello that resumes the session with a lookup's number."""
        secret, self._secret = self._secret, secrets.token_bytes(SECRET_BYTES)
        self.hello = replace(self.hello, commitment=committed(self._secret), secret=secret, number=number)
        return self.hello


def committed(secret: bytes) -> bytes:
    """What commits to a secret."""
    return hashlib.sha256(secret).digest()
