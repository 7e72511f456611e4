"""One function over many blocks of numbers, in as many threads as BLAS may use; BLAS itself then has one in each."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from multiprocessing import parent_process
from typing import TypeVar

import threadpoolctl

Item = TypeVar("Item")
Result = TypeVar("Result")

_ALLOWED: ContextVar[int | None] = ContextVar("_ALLOWED", default=None)
"""How many threads BLAS was allowed before [`one_blas_thread`] took them."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread, so that its sums are taken in the same order however many a machine has.

    Products and decompositions that BLAS shares among threads differ in their last digits by the number of them.
    [`map_blocks`] still uses as many threads as BLAS was allowed before.
    """
    token = _ALLOWED.set(_allowed())
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        _ALLOWED.reset(token)


def map_blocks(function: Callable[[Item], Result], blocks: Iterable[Item]) -> list[Result]:
    """`[function(block) for block in blocks]`, shared out among threads.

    How many is what BLAS was allowed (OMP_NUM_THREADS, or the number of cores). Each thread then does matrix products
    alone: products as small as an epoch's gain little from a second thread and wait for it, above all where other
    programs use the cores.
    """
    blocks = list(blocks)
    threads = min(len(blocks), _allowed())
    with _blas().limit(limits=1):  # also around a single block, whose numbers must be the same
        if threads < 2:
            return [function(block) for block in blocks]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, blocks))


def share_out(work: Callable[[Iterable[Item]], None], blocks: Iterable[Item]) -> None:
    """`work(blocks)` in several threads at once, for blocks that take about a millisecond all together.

    Each thread is given some of the blocks: the next one whenever it is done with one, so that this thread does all
    of them where other programs keep the cores. There are as many threads as [`map_blocks`] has, but one in a process
    that `multiprocessing` started: a data loader's workers are as many as were asked for. BLAS is left alone.
    """
    left = deque(blocks)
    threads = 1 if parent_process() else min(len(left), _allowed())
    helping = [_helpers(os.getpid(), threads - 1).submit(work, _taken(left)) for _ in range(threads - 1)]
    try:
        work(_taken(left))
    finally:
        left.clear()
        for one in helping:
            if not one.cancel():
                one.result()


def _taken(left: deque[Item]) -> Iterator[Item]:
    while True:
        try:
            block = left.popleft()
        except IndexError:  # another thread may take the last one at any moment
            return
        yield block


@lru_cache(maxsize=1)
def _helpers(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of one process: one that was forked off has none of them."""
    return ThreadPoolExecutor(threads, thread_name_prefix="neuroclip-reading")


def _allowed() -> int:
    before = _ALLOWED.get()
    return before or max((one["num_threads"] for one in _blas().info()), default=1)


def _blas() -> threadpoolctl.ThreadpoolController:
    return _blas_of(len(sys.modules))  # SciPy, faiss and others bring a BLAS of their own, whenever they are imported


@lru_cache(maxsize=1)  # looking for the libraries takes longer than a block
def _blas_of(modules: int) -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="blas")
