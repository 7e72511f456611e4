"""One function over many blocks of numbers, in as many threads as BLAS may use."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import threadpoolctl

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_blocks(function: Callable[[Item], Result], blocks: Iterable[Item]) -> list[Result]:
    """`[function(block) for block in blocks]`, shared out among threads.

    How many is what BLAS was allowed (OMP_NUM_THREADS, or the number of cores). Each thread then does matrix products
    alone: products as small as an epoch's gain little from a second thread and wait for it, above all where other
    programs use the cores.
    """
    blocks = list(blocks)
    libraries = _blas()
    threads = min(len(blocks), max((one["num_threads"] for one in libraries.info()), default=1))
    if threads < 2:
        return [function(block) for block in blocks]
    with libraries.limit(limits=1), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, blocks))


@lru_cache(maxsize=1)  # looking for the libraries takes longer than a block
def _blas() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="blas")
