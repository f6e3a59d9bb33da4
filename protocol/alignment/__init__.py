"""Bit-width alignment of shares by correlated oblivious transfer; `carries` has the two parties."""

from protocol.alignment.carries import AlignmentClient, AlignmentServer
from protocol.alignment.exchange import Exchange, LocalExchange, local_pair
from protocol.alignment.fields import Fields
from protocol.alignment.messages import Message, message_lengths, setup_messages

__all__ = [
    "AlignmentClient",
    "AlignmentServer",
    "Exchange",
    "Fields",
    "LocalExchange",
    "Message",
    "local_pair",
    "message_lengths",
    "setup_messages",
]
