"""Blocks are shared out among as many threads as BLAS may use, which then has one in each."""

import os
import subprocess
import sys
import threading

import pytest
import threadpoolctl

from neuroclip_hf.data._threads import map_blocks, one_blas_thread
from neuroclip_hf.data.simulation import simulate_things_eeg2


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


def test_blocks_keep_their_threads_where_blas_is_kept_to_one():
    together = threading.Barrier(2)
    with threadpoolctl.threadpool_limits(2, "blas"):
        with one_blas_thread():
            assert blas_threads() == {1}
            map_blocks(lambda _: together.wait(timeout=10), range(2))
            assert blas_threads() == {1}
        assert blas_threads() == {2}


def test_a_single_block_meets_one_blas_thread_too():
    with threadpoolctl.threadpool_limits(2, "blas"):
        assert map_blocks(lambda _: blas_threads(), range(1)) == [{1}]


def test_stores_are_equal_however_many_threads_there_are(tmp_path, snapshot):
    simulate_things_eeg2(
        tmp_path / "data", concepts=4, test_concepts=2, images_per_concept=1, train_repeats=2, test_repeats=4,
        sessions=1, image_size=16, sampling_rate=1000,
    )  # fmt: skip
    code = (
        "import sys; from pathlib import Path\n"
        "from neuroclip_hf.data.sources.things_eeg2 import prepare_things_eeg2\n"
        "prepare_things_eeg2(Path(sys.argv[1]), Path(sys.argv[2]), channels=['all'])"
    )
    for threads in ("1", "2"):
        command = [sys.executable, "-c", code, str(tmp_path / "data"), str(tmp_path / threads)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": threads}, timeout=120)
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")
