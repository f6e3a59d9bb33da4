"""Options that subcommands share, and how their values are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

from costmodel.limits import LOG2_FAILURE
from costmodel.link import PRESETS, Link, parse_link
from costmodel.machine import Machine, default_machine, load_machine
from costmodel.parameters import ENGINES, SIZES, Configuration
from costmodel.systems import configuration
from costmodel.systems.fastquery import ABLATIONS
from fastquery.tables import levels_of, table_of

RING_HELP = "N=4096,p=13,q=60+49 (bits, limbs joined by +; t=8000 instead of p); what is left out is chosen"


def parse_ring(text: str) -> dict[str, Any]:
    """Fields of a ring from ``N=4096,p=13,q=60+49``.

    Raises
    ------
    ValueError
        If a part is not of that form; the message says which.
    """
    fields: dict[str, Any] = {}
    for part in text.split(","):
        key, _, value = part.strip().partition("=")
        if key == "q" and re.fullmatch(r"\d+(\+\d+)*", value):
            fields["limb_bits"] = tuple(int(bits) for bits in value.split("+"))
        elif key in ("N", "p", "t") and value.isdigit():
            number = int(value)
            if key == "p" and not 1 <= number <= 60:
                raise ValueError(f"ring.p is {number}; it must lie between 1 and 60 bits")
            fields[{"N": "degree"}.get(key, "plaintext_modulus")] = 2**number if key == "p" else number
        else:
            raise ValueError(f"ring has the part {part!r}; it must look like {RING_HELP}")
    return fields


def parse_widths(text: str) -> tuple[int, ...]:
    """Channel widths from ``4,3,3``.

    Raises
    ------
    ValueError
        If it is not a list of widths.
    """
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise ValueError(f"packing is {text!r}; it must be channel widths in bits such as 4,3,3")
    return tuple(int(width) for width in text.split(","))


def add_lookup_options(parser: argparse.ArgumentParser) -> None:
    """Options that say what is looked up, and how."""
    parser.add_argument(
        "--table",
        default="llama-7b",
        help="preset, MxN, FILE.safetensors:KEY, or a packed FILE.safetensors (default llama-7b)",
    )
    parser.add_argument(
        "--protocol",
        default="fastquery",
        help="a system of the model: fastquery (default), folded, compressed, cheetah, bumblebee, ...",
    )
    parser.add_argument("--ablation", choices=ABLATIONS, help="a row of the paper's Table 6")
    parser.add_argument("--ring", type=checked(parse_ring), default={}, help=RING_HELP, metavar="RING")
    parser.add_argument(
        "--packing", type=checked(parse_widths), help="channel widths of one coefficient, 4,3,3", metavar="WIDTHS"
    )
    parser.add_argument("--engine", choices=ENGINES, help="how operations are executed or priced")
    parser.add_argument(
        "--prepared", action="store_true", help="do what does not depend on the token before it is known"
    )
    parser.add_argument(
        "--delphi", action="store_true", help="take the encrypted product offline, on random vectors (Delphi)"
    )
    parser.add_argument(
        "--align-bits",
        type=int,
        default=0,
        metavar="L",
        help="extend every channel's share to L bits (default 0: do not)",
    )
    parser.add_argument("--flooding-bits", type=int, metavar="F", help="statistical flooding (default 40; 0: none)")
    parser.add_argument(
        "--failure",
        type=float,
        default=LOG2_FAILURE,
        metavar="LOG2",
        help="log2 of the failure probability (default -40)",
    )
    parser.add_argument("--allow-insecure", action="store_true", help="accept a ring below 128 bits of security")


def add_configuration_options(parser: argparse.ArgumentParser, default_link: str) -> None:
    """Options that say what is looked up, how, over which link, and what is meant by its price."""
    add_lookup_options(parser)
    parser.add_argument(
        "--link",
        type=checked(parse_link),
        default=PRESETS[default_link],
        help=f"{', '.join(PRESETS)}, or RATE,DELAY such as 44Mbit/s,40ms (default {default_link})",
        metavar="LINK",
    )
    parser.add_argument("--size", choices=SIZES, default="native", help="what sizes on the wire are meant")
    parser.add_argument("--machine", type=checked(load_machine), help="calibration file", metavar="FILE")


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser for argparse, whose one-line error keeps the reason."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def configuration_of(arguments: argparse.Namespace, tokens: int) -> Configuration:
    """The configuration that the options describe, what they leave out chosen for the protocol."""
    return configuration(
        arguments.protocol,
        table_of(arguments.table, tokens),
        ablation=arguments.ablation,
        ring=arguments.ring,
        widths=arguments.packing,
        levels=levels_of(arguments.table, arguments.packing),
        engine=arguments.engine,
        size=arguments.size,
        flooding_bits=arguments.flooding_bits,
        prepared=arguments.prepared,
        options=("delphi",) if arguments.delphi else (),
        align_bits=arguments.align_bits,
        log2_failure=arguments.failure,
        allow_insecure=arguments.allow_insecure,
    )


def machine_of(arguments: argparse.Namespace) -> Machine:
    """The calibration named, or the built-in one."""
    machine: Machine = arguments.machine or default_machine()
    return machine


def link_of(arguments: argparse.Namespace) -> Link:
    """The link named."""
    link: Link = arguments.link
    return link
