"""Every system that can be priced: one module each, and the one list that all others derive from."""

from __future__ import annotations

from costmodel.design import Design
from costmodel.grid import Grid
from costmodel.parameters import EXECUTING_ENGINES, Configuration, Table
from costmodel.system import System, wishes_of
from costmodel.systems.bucketed import Bucketed
from costmodel.systems.bumblebee import BumbleBee
from costmodel.systems.cham import Cham
from costmodel.systems.cheetah import Cheetah
from costmodel.systems.ciphergpt import CipherGPT
from costmodel.systems.compressed import Compressed
from costmodel.systems.cryptflow2 import CrypTFlow2
from costmodel.systems.fastquery import FastQuery
from costmodel.systems.folded import Folded
from costmodel.systems.iron import Iron
from costmodel.systems.spu import SpuFM32, SpuFM64

SYSTEMS: tuple[System, ...] = (
    Cheetah(),
    FastQuery(),
    Iron(),
    BumbleBee(),
    Cham(),
    CrypTFlow2(),
    CipherGPT(),
    SpuFM32(),
    SpuFM64(),
    Folded(),
    Bucketed(),
    Compressed(),
)
"""In the order of lists, legends and help texts."""

_BY_NAME = {system.name: system for system in SYSTEMS}
NAMES = tuple(_BY_NAME)


def system(name: str) -> System:
    """The system of a name.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> system("cheetah").legend
    'Cheetah'
    """
    if name not in _BY_NAME:
        raise ValueError(f"protocol is {name!r}; it must be one of {', '.join(NAMES)}")
    return _BY_NAME[name]


def design_of(grid: Grid) -> Design:
    """The formulas of a grid, found by its protocol, engine and format.

    Raises
    ------
    ValueError
        If no such protocol is modelled.
    """
    return system(grid.protocol).design(grid)


def published(protocol: str, table: Table, ablation: str | None = None) -> Configuration:
    """A system as published: its ring, its packing, its own library's sizes.

    Raises
    ------
    ValueError
        If no published parameters are known for the protocol.

    Examples
    --------
    >>> published("cheetah", Table(32000, 4096)).ring.limb_bits
    (60, 49)
    """
    return system(protocol).published(table, ablation)


def executing_engine(protocol: str) -> str:
    """The first of the engines that execute a protocol.

    Raises
    ------
    ValueError
        If there is no such protocol, or none executes it.

    Examples
    --------
    >>> executing_engine("cryptflow2")
    'openfhe'
    """
    engines = system(protocol).engines
    if not engines:
        executing = ", ".join(one.name for one in SYSTEMS if one.engines)
        raise ValueError(f"protocol is {protocol!r}, which is priced and not executed; executed are {executing}")
    return engines[0]


def require_executed(configuration: Configuration) -> None:
    """Refuse a configuration that is priced alone, and name the nearest that is executed.

    Raises
    ------
    ValueError
        If the configuration's engine is a published system's library.
    """
    if configuration.engine in EXECUTING_ENGINES:
        return
    engines = system(configuration.protocol).engines
    if not engines:
        raise ValueError(f"protocol is {configuration.protocol!r}, which is priced and not executed")
    raise ValueError(
        f"protocol {configuration.protocol} as published runs on {configuration.engine}, which is priced and not "
        f"executed; its product on this project's engines is {' or '.join(f'--engine {name}' for name in engines)}"
    )


def completed(configuration: Configuration) -> Configuration:
    """The configuration of an expanded query with parameters chosen anew for its table, ring and target.

    Raises
    ------
    ValueError
        If none hold.
    """
    grid = Grid.of(configuration.updated(expanded=None))
    filled = system(configuration.protocol).complete(grid, configuration.log2_failure)
    return configuration.updated(expanded=None if filled.expanded is None else filled.expanded.one())


def executed(protocol: str, table: Table, **wishes: object) -> Configuration:
    """The configuration that this project's engine executes, its first one where none is named.

    Parameters
    ----------
    protocol, table
        The rows that are looked up, and how.
    wishes
        Fields of :class:`costmodel.system.Wishes`.

    Raises
    ------
    ValueError
        If nothing here executes the protocol, or two wishes do not go together.

    Examples
    --------
    >>> executed("fastquery", Table(1000, 96), flooding_bits=0).engine
    'residue'
    """
    return configuration(protocol, table, **{"engine": executing_engine(protocol), **wishes})


def configuration(protocol: str, table: Table, **wishes: object) -> Configuration:
    """A configuration from the choices of a user, everything else chosen for the system.

    Parameters
    ----------
    protocol, table
        The rows that are looked up, and how.
    wishes
        Fields of :class:`costmodel.system.Wishes`.

    Raises
    ------
    ValueError
        If a value is out of its bounds, two do not go together, or a ring is below the floor of security.

    Examples
    --------
    >>> configuration("fastquery", Table(32000, 4096), ablation="packlwes").ring.limb_bits
    (39,)
    """
    return system(protocol).configure(table, wishes_of(wishes))
