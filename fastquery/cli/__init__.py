"""The command line, one module a subcommand; each a thin layer over the Python API."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

SUBCOMMANDS = {
    "estimate": "price one configuration",
    "sweep": "price a grid of configurations to a file",
    "optimize": "find the best configurations",
    "run": "execute queries for real and compare",
    "serve": "serve a table to clients",
    "query": "look rows up at a server",
    "open": "add both parties' shares of a lookup",
    "quantize": "turn a table into a packed one, or compare recipes",
    "claims": "derive every published number again",
    "calibrate": "measure unit costs of this machine",
    "validate": "measure sampled configurations and compare with the model",
    "plot": "draw figures",
    "explore": "open the page",
}
"""Every subcommand's module, and its line in the list; a module is loaded when its subcommand is asked for."""

EXTRAS = {"openfhe": "he", "nacl": "he", "safetensors": "data", "tokenizers": "data", "gguf": "data", "jax": "lm"}
"""Packages that the core does without, and the extra of each."""

EXAMPLE = """example:
  fastquery estimate --table llama-7b --protocol fastquery --explain
  fastquery run --table minilm --tokens 3
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line, as all others do, and name the nearest option."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for name in (None, "store"):
            self.register("action", name, Once)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, and refuse here, where the subcommand's options are known, words that no option takes."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            from fastquery.words import nearest

            self.error(f"unrecognized arguments: {' '.join(unknown)}{nearest(unknown[0], self._option_string_actions)}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is no choice as argparse does, with the nearest that is one."""
        if action.choices is not None and value not in action.choices:
            from fastquery.words import nearest

            listed = ", ".join(map(repr, action.choices))
            raise argparse.ArgumentError(
                action, f"invalid choice: {value!r}{nearest(value, action.choices)}; choose from {listed}"
            )

    def error(self, message: str) -> NoReturn:
        """Print the mistake and where the options are; exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class Once(argparse.Action):
    """Store an option's value; a second value is refused, since it would replace the first without a word."""

    _filled: argparse.Namespace | None = None

    def __call__(
        self, _: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        """Store it."""
        if option is not None and self._filled is namespace:
            raise argparse.ArgumentError(self, "it is named twice; name it once")
        self._filled = namespace
        setattr(namespace, self.dest, values)


class Version(argparse.Action):
    """Print the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print and exit."""
        from fastquery import __version__

        print(f"fastquery {__version__}")
        parser.exit()


class Completion(argparse.Action):
    """Print what makes a shell complete subcommands and options."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, shell: object, option: str | None = None) -> None:
        """Print and exit."""
        import shtab

        print(shtab.complete(_parser(*SUBCOMMANDS), shell=str(shell)))
        parser.exit()


class Ended(BaseException):
    """A signal asked the process to end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; 0 only if the question held, 2 for input that cannot be, 128 and the number for a signal."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in words if word in SUBCOMMANDS), "")
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")  # as in protocol.jobs.party_environment

    def execute() -> int:
        arguments = _parser(name).parse_args(words)
        code: int = arguments.execute(arguments)
        return code

    return guarded(f"fastquery {name}".rstrip(), execute)


def guarded(name: str, execute: Callable[[], int]) -> int:
    """The exit code of a program; whatever stops it takes one line on standard error, and a reader that left none."""
    # A stream that the caller closed takes everything and shows nothing.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    received: list[int] = []
    try:
        with _ending_on_signals(received):
            try:
                return execute()
            finally:
                sys.stdout.flush()
    except (Exception, KeyboardInterrupt, Ended) as error:
        if received:  # a library may turn the interruption of its import into an error of its own
            return _stopped(f"{name}: interrupted", 128 + received[0])
        if isinstance(error, BrokenPipeError):
            return _stopped("", 128 + signal.SIGPIPE)
        if isinstance(error, ModuleNotFoundError) and (package := (error.name or "").partition(".")[0]) in EXTRAS:
            extra = EXTRAS[package]
            return _stopped(f"{name}: needs the package {package}: pip install 'fastquery[{extra}]'", 1)
        if not isinstance(error, (ValueError, OSError, MemoryError)):
            raise
        return _stopped(f"{name}:{_reason(error)}", 2)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f" not enough memory; ask for less at once {error}".rstrip()
    if isinstance(error, OSError):
        return (f" {error.filename!r}" if error.filename else "") + f" {error.strerror or error}"
    return f" {error}"


def _stopped(line: str, code: int) -> int:
    """Say why a program stopped, if anyone can be told; the interpreter's own flush at exit must not fail again."""
    for stream, text in ((sys.stdout, ""), (sys.stderr, line)):
        try:
            stream.write(text and text + "\n")
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _parser(*filled: str) -> Parser:
    """The parser of the whole command line, filled for some subcommands."""
    parser = Parser(
        prog="fastquery",
        description="What a private embedding lookup costs: predicted, executed, compared.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    parser.add_argument(
        "--completion",
        action=Completion,
        choices=("bash", "zsh", "tcsh"),
        help='print completion for a shell, such as eval "$(fastquery --completion bash)"',
    )
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
    for subcommand, line in SUBCOMMANDS.items():
        if subcommand in filled:
            importlib.import_module(f"fastquery.cli.{subcommand}").add_parser(subparsers)
        else:
            subparsers.add_parser(subcommand, help=line)
    return parser


@contextmanager
def _ending_on_signals(received: list[int]) -> Iterator[None]:
    """Turn the signals that end a process into an exception, so that folders and processes are cleaned up."""

    def end(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise Ended

    try:
        previous = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # not the main thread: its owner handles signals
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
