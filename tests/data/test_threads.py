"""Blocks are shared out among as many threads as BLAS may use, which then has one in each."""

import threading

import pytest
import threadpoolctl

from neuroclip_hf.data._threads import map_blocks


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"}


def test_results_come_in_the_order_of_their_blocks():
    with threadpoolctl.threadpool_limits(3, "blas"):
        assert map_blocks(lambda block: (block, block**2), iter(range(20))) == [(n, n**2) for n in range(20)]
        assert map_blocks(str, []) == []


@pytest.mark.parametrize("allowed", [1, 2])
def test_as_many_threads_run_as_blas_was_allowed(allowed: int):
    together = threading.Barrier(allowed)  # broken unless so many are there at once

    def meet(_: int) -> tuple[int, frozenset[int]]:
        together.wait(timeout=10)
        return threading.get_ident(), frozenset(blas_threads())

    with threadpoolctl.threadpool_limits(allowed, "blas"):
        before = blas_threads()
        met = map_blocks(meet, range(2))
        assert blas_threads() == before == {allowed}
    assert len({thread for thread, _ in met}) == allowed
    assert {threads for _, threads in met} == {frozenset({1})}
    if allowed == 1:
        assert met[0][0] == threading.get_ident()


def test_an_error_in_a_block_reaches_the_caller():
    with threadpoolctl.threadpool_limits(2, "blas"):
        with pytest.raises(ZeroDivisionError):
            map_blocks(lambda block: 1 / block, [1, 0, 2])
        assert blas_threads() == {2}
