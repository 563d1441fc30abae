"""Work on all cores: results in order, a progress bar, and a bound on what one item may cost."""

import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from happysad.common.errors import UserError
from happysad.common.images import silence_libraries

BATCH = 32  # items handed over at a time: enough to hide the cost of it


class Limit(NamedTuple):
    """What one item may take of a worker process. Memory is bounded on Linux only, time not on Windows."""

    seconds: float  # of CPU time, so that a busy machine gives the same answer
    memory: float  # bytes, more than the process holds when it starts


class GivenUp(NamedTuple):
    """In place of the result of an item that exceeded the limit or crashed its worker process."""

    reason: str


def map_items(
    work: Callable[[Any], Any],
    items: list,
    description: str,
    scheduler: str | None = None,
    limit: Limit | None = None,
) -> Iterator:
    """Yield the result of ``work``, a picklable function, for each item; with a ``limit``, or a GivenUp.

    With the address of a Dask ``scheduler``, its workers do the work: they must see the same files and have
    stages/ on their PYTHONPATH, and ``limit`` does not apply. Raises what ``work`` raises, and OSError if the
    scheduler cannot be reached or an item's worker process is killed twice, as happens when memory runs out.
    """
    with (
        closing(
            _on_dask(work, items, scheduler) if scheduler else _on_this_machine(work, items, limit)
        ) as results,
        tqdm(results, description, len(items), mininterval=0.5, disable=None) as progress,
    ):
        yield from progress


def _on_dask(work: Callable, items: list, scheduler: str) -> Iterator:
    try:
        from distributed import Client
    except ImportError:
        raise UserError('prepare.scheduler in params.yaml needs Dask: pip install ".[dask]"') from None
    with Client(scheduler, set_as_default=False) as client, client.get_executor() as pool:
        for results in pool.map(partial(_each, work), _batches(items)):
            yield from results


def _each(work: Callable, items: list) -> list:
    return [work(item) for item in items]


def _batches(items: list) -> list[list]:
    return [items[i : i + BATCH] for i in range(0, len(items), BATCH)]


class _Worker:
    """A process, and the numbers of the items that it works on."""

    def __init__(self, work: Callable, limit: Limit | None):
        self.connection, theirs = Pipe()
        self.position = RawValue("i")  # of the item in work, among those that it was given
        self.numbers = []
        self.process = Process(target=_serve, args=(theirs, self.position, work, limit), daemon=True)
        self.process.start()
        theirs.close()  # so that reading from ``connection`` ends when the process does

    def give(self, numbers: list[int], items: list) -> None:
        self.numbers, self.position.value = numbers, 0
        with suppress(OSError):  # if it has died, the next recv() says so
            self.connection.send([items[i] for i in numbers])


def _on_this_machine(work: Callable, items: list, limit: Limit | None) -> Iterator:
    waiting = deque(_batches(range(len(items))))
    workers = [_Worker(work, limit) for _ in range(min(os.cpu_count(), len(waiting)))]
    results, tried_again, following = {}, set(), 0
    try:
        for worker in workers:
            worker.give(waiting.popleft(), items)
        while following < len(items):
            by_connection = {worker.connection: worker for worker in workers}
            for connection in wait(by_connection):
                worker = by_connection[connection]
                try:
                    ok, found = connection.recv()
                except (
                    EOFError,
                    OSError,
                ):  # it died: a new one does its batch, without the item that was in work
                    workers.remove(worker)
                    if not worker.numbers:
                        continue
                    left = list(worker.numbers)
                    number = left[worker.position.value]
                    if given_up := _verdict(worker.process, number in tried_again, limit):
                        results[number] = given_up
                        left.remove(number)
                    tried_again.add(number)
                    if left:
                        waiting.appendleft(left)
                    if not waiting:
                        continue
                    workers.append(worker := _Worker(work, limit))
                else:
                    if not ok:
                        raise found
                    results.update(zip(worker.numbers, found, strict=True))
                worker.give(waiting.popleft() if waiting else [], items)  # without one, it ends
            while following in results:
                yield results.pop(following)
                following += 1
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()


def _verdict(process: Process, again: bool, limit: Limit | None) -> GivenUp | None:
    """Why the item that a dead process was working on is given up, or None to try it again."""
    process.join()
    code = process.exitcode
    cause = signal.Signals(-code).name if code < 0 else f"status {code}"
    if limit and cause == "SIGPROF":
        return GivenUp(f"took more than {limit.seconds:g} s")
    if not again:  # somebody may have killed it
        return None
    if limit and cause in ("SIGSEGV", "SIGBUS", "SIGABRT"):
        return GivenUp(f"crashed with {cause}")
    raise OSError(
        f"a worker process died twice on the same item ({cause}): perhaps the machine is short of memory"
    )


def _serve(connection: Connection, position: Any, work: Callable, limit: Limit | None) -> None:
    """In the worker process: for each batch received send (True, results), or (False, exception)."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes; it is for the parent to answer
    silence_libraries()
    if limit:
        _limit_memory(limit.memory)
    with suppress(EOFError, ConnectionError):  # the parent has gone
        while batch := connection.recv():
            results = []
            try:
                for position.value, item in enumerate(batch):
                    results.append(_limited(work, item, limit) if limit else work(item))
            except Exception as error:  # noqa: BLE001 - raised again in the parent process
                error.add_note(f"in a worker process:\n{traceback.format_exc()}")
                connection.send((False, error))
            else:
                connection.send((True, results))


def _limited(work: Callable, item: Any, limit: Limit) -> Any:
    if hasattr(signal, "setitimer"):
        # Its signal ends the process, even in the midst of C code, which no Python code can interrupt.
        signal.setitimer(signal.ITIMER_PROF, limit.seconds)
    try:
        return work(item)
    except MemoryError:
        return GivenUp(f"needed more than {limit.memory / 2**30:g} GiB of memory")


def _limit_memory(size: float) -> None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])  # data
    except OSError:
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(ValueError):  # if there is a stricter limit already
        resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + int(size), most))
