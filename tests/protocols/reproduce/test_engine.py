"""Runs here, side by side through submitit, and on a (stand-in) Slurm cluster."""

import os
import stat
import sys
import time
from types import SimpleNamespace

import pytest

from neuroclip_hf.errors import InputError
from neuroclip_hf.files import write_json
from neuroclip_hf.protocols.ablate.main import ablate
from neuroclip_hf.protocols.reproduce import engine as engines
from neuroclip_hf.protocols.reproduce.engine import Engine, make_runs
from neuroclip_hf.protocols.reproduce.main import reproduce
from neuroclip_hf.protocols.reproduce.plan import run_folder
from neuroclip_hf.run_files import COST_FILE


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "ray"}, "--engine is 'ray': choose one of local, slurm"),
        ({"processes": 0}, "--processes is 0"),
        ({"parameters": {"timeout_min": 3}}, "--job is for submitted jobs"),
    ],
)
def test_impossible_engines_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Engine(**settings)


def test_without_submitit_the_remedy_is_named(make_work, store, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    work = make_work()
    with pytest.raises(InputError, match=r"needs submitit: pip install 'neuroclip-hf\[slurm\]'"):
        make_runs([work], store.path, work.folder, Engine(processes=2))


def test_a_parameter_that_submitit_does_not_know_is_refused(make_work, store):
    pytest.importorskip("submitit")
    work = make_work()
    with pytest.raises(InputError, match=r"--engine local cannot be used so.*gpu_count"):
        make_runs([work], store.path, work.folder, Engine(processes=2, parameters={"gpu_count": 1}))


@pytest.mark.parametrize(
    ("parameters", "minutes"),
    [({}, 366 * 24 * 60), ({"timeout_min": 90}, 90)],
)
def test_a_local_process_may_train_for_longer_than_minutes(parameters, minutes, tmp_path):
    pytest.importorskip("submitit")
    executor = engines._executor(tmp_path, Engine(processes=2, parameters=parameters))
    assert executor._executor.parameters["timeout_min"] == minutes


@pytest.mark.parametrize(("parameters", "minutes"), [({}, 24 * 60), ({"slurm_time": 90}, 90)])
def test_a_job_of_a_cluster_has_a_day(parameters, minutes, tmp_path, cluster):
    pytest.importorskip("submitit")
    executor = engines._executor(tmp_path, Engine("slurm", parameters=parameters))
    assert executor._executor.parameters["time"] == minutes


def test_another_local_process_waits_for_memory(make_work, monkeypatch):
    work, engine, one = make_work(), Engine(processes=2), [SimpleNamespace()]
    free = SimpleNamespace(available=1000)
    monkeypatch.setattr(engines.psutil, "virtual_memory", lambda: free)
    assert engines._may_start([work], engine, [])
    assert not engines._may_start([work], engine, one)  # nobody knows yet what a run takes
    write_json(run_folder(work.folder, work.plan.runs[0]) / COST_FILE, {"peak_memory": 900})
    assert not engines._may_start([work], engine, one)
    free.available = 1100
    assert engines._may_start([work], engine, one)
    assert engines._may_start([work], Engine("slurm"), one)


def test_a_cluster_that_is_not_there_leaves_nothing_behind(quick, store, tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"--engine slurm cannot be used so.*srun"):
        reproduce(quick, store, tmp_path / "out", protocol="intra", engine=Engine("slurm"))
    with pytest.raises(InputError, match=r"--engine slurm cannot be used so.*srun"):
        ablate(quick, store, tmp_path / "out", over="layers", engine=Engine("slurm"))
    assert not list(tmp_path.iterdir())


def test_a_look_at_the_engine_leaves_a_new_folder_to_be_made(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    engines.check_engine(Engine(processes=2))
    assert not list(tmp_path.iterdir())


def test_several_processes_within_a_launcher_are_refused(quick, store, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "this_process", lambda: SimpleNamespace(num_processes=4))
    with pytest.raises(InputError, match=r"--engine local --processes 2 within a launcher of 4 processes"):
        reproduce(quick, store, tmp_path / "out", protocol="intra", engine=Engine(processes=2))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Commands of Slurm that run a job at once, on this machine."""
    jobs, tools = tmp_path / "jobs", tmp_path / "bin"
    jobs.mkdir()
    tools.mkdir()
    scripts = {
        "sbatch": f"(SLURM_JOB_ID=77 SLURM_NTASKS=1 SLURM_NNODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 "
        f'bash "$1"; echo done > {jobs}/77) > /dev/null 2>&1 &\necho "Submitted batch job 77"',
        "srun": 'while [[ $1 == -* ]]; do [[ $1 == --output || $1 == --error ]] && shift; shift; done\nexec "$@"',
        "sacct": "echo 'JobID|State|NodeList'\n"
        f"if [ -e {jobs}/77 ]; then echo '77|COMPLETED|here'; else echo '77|RUNNING|here'; fi",
        "scancel": "true",
    }
    for name, script in scripts.items():
        path = tools / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return jobs


def wait_for(path, seconds=20):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.1)


@pytest.mark.slow
def test_a_new_reproduction_starts_with_several_processes(quick, store, tmp_path):
    pytest.importorskip("submitit")
    report = reproduce(quick, store, tmp_path / "out", protocol="intra", seeds=1, engine=Engine(processes=2))
    assert len(report.runs) == len(store.subjects)


@pytest.mark.slow
def test_two_local_processes_share_the_runs(make_work, store):
    pytest.importorskip("submitit")
    work = make_work(seeds=2)
    make_runs([work], store.path, work.folder, Engine(processes=2))
    assert not work.unfinished()


@pytest.mark.slow
def test_a_cluster_makes_the_runs(make_work, store, cluster):
    pytest.importorskip("submitit")
    work = make_work()
    make_runs(
        [work], store.path, work.folder, Engine("slurm", parameters={"slurm_partition": "cpu", "timeout_min": 5})
    )
    assert not work.unfinished()
    wait_for(cluster / "77")
    script = next((work.folder / "jobs").glob("*.sh")).read_text()
    assert "--partition=cpu" in script
    assert not list(work.folder.rglob("*.pkl"))


@pytest.mark.slow
def test_a_job_that_dies_is_named_with_its_log(make_work, store, tmp_path):
    pytest.importorskip("submitit")
    work = make_work()
    with pytest.raises(InputError, match=r"job \d+ ended with an error, see .*err"):
        make_runs([work], tmp_path / "no-store", work.folder, Engine(processes=2))
