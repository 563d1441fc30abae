"""Batches of work on all cores, in order, with a progress bar."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm

BATCH = 32  # items a task: enough to hide the cost of handing it over, few enough for a steady bar


def map_batches(work: Callable[[list], list], items: list, description: str) -> Iterator:
    """Yield the results of ``work``, a picklable function from a batch of items to a list of as many results.

    Raises OSError if a worker process dies, as it does when memory runs out.
    """
    batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
    ignore_interrupts = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    with (
        ProcessPoolExecutor(**ignore_interrupts) as pool,  # Ctrl-C is for the parent to answer, once
        tqdm(total=len(items), desc=description, mininterval=0.5, disable=None) as progress,
    ):
        try:
            for results in pool.map(work, batches):
                progress.update(len(results))
                yield from results
        except BrokenProcessPool:
            raise OSError(f"{description}: a worker process died, perhaps for want of memory") from None
