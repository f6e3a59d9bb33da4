"""Workers: the processes of this machine, or an existing Dask cluster, that evaluate the parts of one plan.

A part is a pure function of the plan and of the part's number, so that the results are the same wherever a part is
evaluated, and a part whose worker died is evaluated again by another.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

Shared = TypeVar("Shared")
Answer = TypeVar("Answer")

ATTEMPTS = 3
"""Times that a part is tried whose workers die."""


def evaluated_parts(
    function: Callable[[Shared, int], Answer],
    shared: Shared,
    numbers: Sequence[int],
    jobs: int = 1,
    scheduler: str | None = None,
) -> Iterator[tuple[int, Answer]]:
    """Numbers of parts and their answers, in the order in which they are done.

    Parameters
    ----------
    function
        A module's function of what is shared and of a part's number.
    shared
        What every part needs; every worker gets it once.
    numbers
        Of the parts, the most expensive first.
    jobs
        Processes of this machine; with one the parts are evaluated in this process.
    scheduler
        Address of a Dask scheduler, whose workers evaluate the parts in the place of processes.

    Raises
    ------
    ValueError
        If a scheduler cannot be reached, or Dask is not installed; and whatever the function raises.
    ChildProcessError
        If the workers of one part died again and again.
    """
    if scheduler is not None:
        return _by_cluster(function, shared, numbers, scheduler)
    if jobs > 1 and len(numbers) > 1:
        return _by_processes(function, shared, numbers, min(jobs, len(numbers)))
    return ((number, function(shared, number)) for number in numbers)


def _by_processes(
    function: Callable[[Shared, int], Answer], shared: Shared, numbers: Sequence[int], jobs: int
) -> Iterator[tuple[int, Answer]]:
    waiting, deaths = list(reversed(numbers)), dict.fromkeys(numbers, 0)
    spec = pickle.dumps((function, shared))
    workers: dict[Connection, _Worker] = {}
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                worker = _Worker(spec)
                workers[worker.answers] = worker
                worker.ask(waiting.pop())
            for answers in wait(list(workers)):
                assert isinstance(answers, Connection)
                worker = workers[answers]
                number = worker.number
                try:
                    failed, answer = answers.recv()
                except (EOFError, OSError):  # the worker died
                    worker.end()
                    del workers[answers]
                    deaths[number] += 1
                    if deaths[number] == ATTEMPTS:
                        raise ChildProcessError(died(number, "process")) from None
                    waiting.append(number)
                    continue
                if failed:
                    raise answer
                if waiting:
                    worker.ask(waiting.pop())
                else:
                    worker.end()
                    del workers[answers]
                yield number, answer
    finally:
        for worker in workers.values():
            worker.end()


def died(number: int, what: str) -> str:
    """The message of a part that nothing evaluates."""
    return f"part {number}: its {what} died again and again; look for a lack of memory, or ask for fewer jobs"


class _Worker:
    """A process that evaluates one part after the other until its pipe closes."""

    def __init__(self, spec: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self.answers, theirs = context.Pipe()
        self.number = -1
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._tell(spec)

    def ask(self, number: int) -> None:
        """Give a part to the process."""
        self.number = number
        self._tell(number)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.answers.close()

    def _tell(self, message: object) -> None:
        with suppress(OSError):  # where the process died, as the next answer will show
            self.answers.send(message)


def _serve(questions: Connection) -> None:
    # The process that started this one is told of an interruption, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        function, shared = pickle.loads(questions.recv())
        while True:
            number = questions.recv()
            try:
                answer = False, function(shared, number)
            except Exception as error:
                answer = True, error
            questions.send(answer)
    except (EOFError, OSError):
        return


def _by_cluster(
    function: Callable[[Shared, int], Answer], shared: Shared, numbers: Sequence[int], address: str
) -> Iterator[tuple[int, Answer]]:
    try:
        dask = import_module("distributed")
    except ImportError:
        raise ValueError(
            "scheduler needs Dask, which is not installed; install the extra: pip install 'fastquery[cluster]'"
        ) from None
    try:
        client = dask.Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"scheduler is {address!r}, which cannot be reached: {error}") from None
    with client:
        # A task and no scattered data: the scheduler makes it again where the worker that held it dies.
        plan = client.submit(pickle.loads, pickle.dumps(shared), pure=False)
        futures = {
            client.submit(function, plan, number, pure=False, priority=-rank): number
            for rank, number in enumerate(numbers)
        }
        try:
            for future in dask.as_completed(list(futures), loop=client.loop):
                try:
                    answer: Any = future.result()
                except dask.KilledWorker:
                    raise ChildProcessError(died(futures[future], "worker")) from None
                yield futures.pop(future), answer
        finally:
            client.cancel(list(futures))
