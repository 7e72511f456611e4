"""Blocks are shared out among as many threads as BLAS may use, which then has one in each."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from types import ModuleType

import pytest
import threadpoolctl

from neuroclip_hf.data import _threads
from neuroclip_hf.data._threads import map_blocks, one_blas_thread, share_out
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
        together.wait(timeout=60)
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
            map_blocks(lambda _: together.wait(timeout=60), range(2))
            assert blas_threads() == {1}
        assert blas_threads() == {2}


def test_a_single_block_meets_one_blas_thread_too():
    with threadpoolctl.threadpool_limits(2, "blas"):
        assert map_blocks(lambda _: blas_threads(), range(1)) == [{1}]


def test_a_blas_that_comes_later_is_found(monkeypatch):
    map_blocks(str, range(2))
    before = _threads._blas_of.cache_info().misses
    monkeypatch.setitem(sys.modules, "brings_a_blas", ModuleType("brings_a_blas"))
    for _ in range(3):
        map_blocks(str, range(2))
    assert _threads._blas_of.cache_info().misses == before + 1


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
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": threads}, timeout=300)
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")


def test_blocks_are_taken_one_by_one_by_whoever_is_free():
    taken: dict[int, list[int]] = {}
    others_are_done = threading.Event()

    def work(blocks: Iterable[int]) -> None:
        mine = taken.setdefault(threading.get_ident(), [])
        for block in blocks:
            mine.append(block)
            if block == 0:  # whoever has it leaves all others
                others_are_done.wait(60)
            elif sum(map(len, taken.values())) == 20:
                others_are_done.set()

    with threadpoolctl.threadpool_limits(2, "blas"):
        share_out(work, range(20))
    assert others_are_done.is_set()
    assert sorted(map(len, taken.values())) == [1, 19]
    assert sorted(block for mine in taken.values() for block in mine) == list(range(20))


def test_a_busy_helper_is_not_waited_for():
    held, release = threading.Barrier(3), threading.Event()
    released: list[bool] = []

    def hold(blocks: Iterable[int]) -> None:
        for _ in blocks:
            held.wait(60)
            released.append(release.wait(60))

    with threadpoolctl.threadpool_limits(2, "blas"):
        other = threading.Thread(target=share_out, args=(hold, range(2)))  # keeps itself busy and the one helper
        other.start()
        held.wait(60)
        done: list[int] = []
        share_out(done.extend, range(5))
        assert sorted(done) == [0, 1, 2, 3, 4]
        release.set()
        other.join(60)
    assert released == [True, True]


@pytest.mark.parametrize("fails_in_helper", [False, True])
def test_an_error_in_a_thread_reaches_the_caller(fails_in_helper: bool):
    together = threading.Barrier(2)

    def work(blocks: Iterable[int]) -> None:
        for _ in blocks:
            together.wait(60)
            if (threading.current_thread() is not threading.main_thread()) == fails_in_helper:
                raise ZeroDivisionError

    with threadpoolctl.threadpool_limits(2, "blas"), pytest.raises(ZeroDivisionError):
        share_out(work, range(2))


def _threads_in_a_worker(_: int) -> int:
    idents: set[int] = set()

    def work(blocks: Iterable[int]) -> None:
        for _ in blocks:
            idents.add(threading.get_ident())
            time.sleep(0.02)  # another thread would come meanwhile

    with threadpoolctl.threadpool_limits(2, "blas"):
        share_out(work, range(20))
    return len(idents)


def test_a_worker_reads_alone():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_threads_in_a_worker, [0]) == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_helpers_of_its_own():
    together = threading.Barrier(2)

    def meet(blocks: Iterable[int]) -> None:
        for _ in blocks:
            together.wait(60)

    with threadpoolctl.threadpool_limits(2, "blas"):
        share_out(meet, range(2))
        child = os.fork()
        if not child:
            try:
                share_out(meet, range(2))
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
