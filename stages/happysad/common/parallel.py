"""Batches of work on all cores, in order, with a progress bar."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from tqdm import tqdm

BATCH = 32  # items a task: enough to hide the cost of handing it over, few enough for a steady bar
from happysad.common.errors import UserError


def map_batches(
    work: Callable[[list], list], items: list, description: str, scheduler: str | None = None
) -> Iterator:
    """Yield the results of ``work``, a picklable function from a batch of items to a list of as many results.

    With the address of a Dask ``scheduler``, its workers do the work: they must see the same files and have
    stages/ on their PYTHONPATH. Raises OSError if it cannot be reached, or if a local worker process dies, as
    it does when memory runs out.
    """
    batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
    with (
        executor(scheduler) as pool,
        tqdm(total=len(items), desc=description, mininterval=0.5, disable=None) as progress,
    ):
        try:
            for results in pool.map(work, batches):
                progress.update(len(results))
                yield from results
        except BrokenProcessPool:
            raise OSError(f"{description}: a worker process died, perhaps for want of memory") from None


@contextmanager
def executor(scheduler: str | None) -> Iterator[Executor]:
    if scheduler is None:
        # Ctrl-C reaches the whole process group; it is for the parent alone to answer.
        with ProcessPoolExecutor(initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:
            yield pool
        return
    try:
        from distributed import Client
    except ImportError:
        raise UserError('prepare.scheduler in params.yaml needs Dask: pip install ".[dask]"') from None
    with Client(scheduler, set_as_default=False) as client, client.get_executor() as pool:
        yield pool
