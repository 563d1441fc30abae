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

BATCH = 32  # items that a worker takes at a time: enough to hide the cost of handing them over


class Limit(NamedTuple):
    """What one item may take of a worker process. Memory is limited on Linux only, time not on Windows."""

    seconds: float  # of CPU time, so that a busy machine gives the same result
    memory: float  # bytes, beyond those of an idle worker


class Failed(NamedTuple):
    """In place of the result of an item that exceeded the limit or crashed its worker process."""

    reason: str


def map_items(
    work: Callable[[Any], Any], items: list, description: str, limit: Limit | None = None
) -> Iterator:
    """Yield the result of ``work``, a picklable function, for each item; under a ``limit``, perhaps a Failed.

    Where DASK_SCHEDULER_ADDRESS is set, that cluster's workers do the work: they must see the same files and have
    stages/ on their PYTHONPATH, and ``limit`` does not apply. Raises what ``work`` raises, and OSError if the
    scheduler cannot be reached or an item's worker process is killed twice, as happens when memory runs out.
    """
    on_dask = "DASK_SCHEDULER_ADDRESS" in os.environ
    with closing(_on_dask(work, items) if on_dask else _on_this_machine(work, items, limit)) as results:
        yield from tqdm(results, description, len(items), mininterval=0.5, disable=None)


def _on_dask(work: Callable, items: list) -> Iterator:
    try:
        from distributed import Client
    except ImportError:
        raise UserError('DASK_SCHEDULER_ADDRESS is set, which needs Dask: pip install ".[dask]"') from None
    batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
    with (
        Client(os.environ["DASK_SCHEDULER_ADDRESS"], set_as_default=False) as client,
        client.get_executor() as pool,
    ):
        for results in pool.map(partial(_each, work), batches):
            yield from results


def _each(work: Callable, items: list) -> list:
    return [work(item) for item in items]


def _on_this_machine(work: Callable, items: list, limit: Limit | None) -> Iterator:
    done = 0
    while done < len(items):
        pool = ProcessPoolExecutor(initializer=_start_worker, initargs=(limit,))
        try:
            for result in pool.map(partial(_limited, work, limit), items[done:], chunksize=BATCH):
                yield result
                done += 1
        except BrokenProcessPool:
            # A worker has died, and the pool does not tell on which item: one of those in progress.
            for item in items[done : done + BATCH * (os.cpu_count() + 1)]:
                yield _alone(work, item, limit)
                done += 1
        finally:
            pool.shutdown(cancel_futures=True)


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
    with suppress(OSError, ValueError):  # there is no /proc; a stricter limit is set already
        data_pages = int(Path("/proc/self/statm").read_text().split()[5])
        import resource  # not on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (data_pages * resource.getpagesize() + int(size), hard))


def _limited(work: Callable, limit: Limit | None, item: Any) -> Any:
    if limit is None:
        return work(item)
    if hasattr(signal, "setitimer"):
        # Its signal, SIGPROF, ends the process even inside C code, which no Python code can interrupt.
        signal.setitimer(signal.ITIMER_PROF, limit.seconds)
    try:
        return work(item)
    except MemoryError:
        return Failed(f"needed more than {limit.memory / 2**30:g} GiB of memory")


def _alone(work: Callable, item: Any, limit: Limit | None) -> Any:
    """The result of one item in a process of its own. Raises OSError if that is killed, too."""
    receiver, sender = Pipe(duplex=False)
    process = Process(target=_send, args=(sender, work, item, limit))
    process.start()
    sender.close()  # so that recv() ends when the process does
    try:
        result = receiver.recv()
    except EOFError:
        result = None
    process.join()
    if isinstance(result, Exception):
        raise result
    if process.exitcode == 0:
        return result
    code = -process.exitcode
    cause = signal.Signals(code).name if code > 0 else f"exit status {process.exitcode}"
    if limit and cause == "SIGPROF":
        return Failed(f"took more than {limit.seconds:g} s")
    if limit and cause in ("SIGSEGV", "SIGBUS", "SIGABRT"):
        return Failed(f"crashed with {cause}")
    raise OSError(f"a worker process was killed twice ({cause}): the machine may be short of memory")


def _send(sender: Connection, work: Callable, item: Any, limit: Limit | None) -> None:
    _start_worker(limit)
    try:
        sender.send(_limited(work, limit, item))
    except Exception as error:  # noqa: BLE001 - raised again in the parent process
        sender.send(error)
