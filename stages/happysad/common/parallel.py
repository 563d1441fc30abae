"""Work on all cores: results in order, a progress bar, and a limit on what one item may cost."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from functools import partial
from multiprocessing import Pipe, Process, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from happysad.common.errors import UserError
from happysad.common.images import silence_libraries

BATCH = 32  # items per task: enough to hide the cost of handing it over, few enough for a steady bar


class Limit(NamedTuple):
    """What one item may take of a worker process. Memory is limited on Linux only, time not on Windows."""

    seconds: float  # of CPU time, so that a busy machine gives the same result
    memory: float  # bytes, beyond those of an idle worker


class GivenUp(NamedTuple):
    """In place of the result of an item that exceeded the limit or crashed its worker process."""

    reason: str


def map_items(
    work: Callable[[Any], Any],
    items: list,
    description: str,
    limit: Limit | None = None,
) -> Iterator:
    """Yield the result of ``work``, a picklable function, for each item; under a ``limit``, perhaps a GivenUp.

    Where DASK_SCHEDULER_ADDRESS is set, that cluster's workers do the work: they must see the same files and have
    stages/ on their PYTHONPATH, and ``limit`` does not apply. Raises what ``work`` raises, and OSError if the
    scheduler cannot be reached or an item's worker process is killed twice, as happens when memory runs out.
    """
    batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
    on_dask = "DASK_SCHEDULER_ADDRESS" in os.environ
    done = _on_dask(work, batches) if on_dask else _on_this_machine(work, batches, limit)
    with (
        closing(done),
        tqdm(total=len(items), desc=description, mininterval=0.5, disable=None) as progress,
    ):
        for results in done:
            progress.update(len(results))
            yield from results


def _on_dask(work: Callable, batches: list[list]) -> Iterator[list]:
    try:
        from distributed import Client
    except ImportError:
        raise UserError('DASK_SCHEDULER_ADDRESS is set, which needs Dask: pip install ".[dask]"') from None
    with (
        Client(os.environ["DASK_SCHEDULER_ADDRESS"], set_as_default=False) as client,
        client.get_executor() as pool,
    ):
        yield from pool.map(partial(_each, work, None), batches)


def _on_this_machine(work: Callable, batches: list[list], limit: Limit | None) -> Iterator[list]:
    finished = 0
    while finished < len(batches):
        pool = ProcessPoolExecutor(initializer=_start_worker, initargs=(limit,))
        try:
            for results in pool.map(partial(_each, work, limit), batches[finished:]):
                yield results
                finished += 1
        except BrokenProcessPool:
            # A worker has died, and the pool does not tell on which batch: one of those in progress.
            for batch in batches[finished : finished + os.cpu_count() + 1]:
                yield [_alone(work, item, limit) for item in batch]
                finished += 1
        finally:
            pool.shutdown(cancel_futures=True)


def _each(work: Callable, limit: Limit | None, items: list) -> list:
    return [_limited(work, item, limit) for item in items]


def _start_worker(limit: Limit | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; only the parent should react
    threading.Thread(target=_end_with_parent, daemon=True).start()
    silence_libraries()
    if limit:
        _limit_memory(limit.memory)


def _end_with_parent() -> None:
    """A worker of a pool whose parent is killed would otherwise wait for work for ever."""
    wait([parent_process().sentinel])
    os._exit(1)


def _limit_memory(size: float) -> None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])  # data
    except OSError:
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(ValueError):  # a stricter limit is set already
        resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + int(size), hard))


def _limited(work: Callable, item: Any, limit: Limit | None) -> Any:
    if limit is None:
        return work(item)
    if hasattr(signal, "setitimer"):
        # Its signal, SIGPROF, ends the process even inside C code, which no Python code can interrupt.
        signal.setitimer(signal.ITIMER_PROF, limit.seconds)
    try:
        return work(item)
    except MemoryError:
        return GivenUp(f"needed more than {limit.memory / 2**30:g} GiB of memory")


def _alone(work: Callable, item: Any, limit: Limit | None) -> Any:
    """The result of one item in a process of its own. Raises OSError if that is killed, too."""
    receiver, sender = Pipe(duplex=False)
    process = Process(target=_send, args=(sender, work, item, limit))
    process.start()
    sender.close()  # so that recv() ends when the process does
    try:
        result = receiver.recv()
    except EOFError:
        process.join()
        code = process.exitcode
        cause = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        if limit and cause == "SIGPROF":
            return GivenUp(f"took more than {limit.seconds:g} s")
        if limit and cause in ("SIGSEGV", "SIGBUS", "SIGABRT"):
            return GivenUp(f"crashed with {cause}")
        raise OSError(
            f"a worker process was killed twice ({cause}): the machine may be short of memory"
        ) from None
    process.join()
    if isinstance(result, Exception):
        raise result
    return result


def _send(sender: Connection, work: Callable, item: Any, limit: Limit | None) -> None:
    _start_worker(limit)
    try:
        sender.send(_limited(work, item, limit))
    except Exception as error:  # noqa: BLE001 - raised again in the parent process
        sender.send(error)
