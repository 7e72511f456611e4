"""What a release checks before anything is pushed."""

import json
import sys

import pytest

from neuroclip_hf import __version__


@pytest.fixture
def environment(release, tmp_path):
    """An environment whose programs print what `said` holds."""

    class Said(release.Environment):
        said = {}

        def run(self, name, *arguments):
            return self.said[name]

    return Said(tmp_path / "venv", tmp_path)


def test_the_version_is_that_of_the_wheel(release, environment, tmp_path):
    place = tmp_path / "venv" / "lib" / "neuroclip_hf" / "__init__.py"
    environment.said |= {"python": f"{place}\n1.2.3\n", "neuroclip": "1.2.3\n"}
    assert release.check_wheel(environment, tmp_path / "neuroclip_hf-1.2.3-py3-none-any.whl") == "1.2.3"
    with pytest.raises(release.ReleaseError, match=r"neuroclip_hf-1\.2\.4.* holds version 1\.2\.3"):
        release.check_wheel(environment, tmp_path / "neuroclip_hf-1.2.4-py3-none-any.whl")
    environment.said["neuroclip"] = "1.2.2\n"
    with pytest.raises(release.ReleaseError, match=r"--version` says 1\.2\.2"):
        release.check_wheel(environment, tmp_path / "neuroclip_hf-1.2.3-py3-none-any.whl")


def test_a_package_that_is_not_the_wheels_is_refused(release, environment, project, tmp_path):
    environment.said["python"] = f"{project / 'neuroclip_hf' / '__init__.py'}\n{__version__}\n"
    with pytest.raises(release.ReleaseError, match="and not the wheel"):
        release.check_wheel(environment, tmp_path / f"neuroclip_hf-{__version__}-py3-none-any.whl")


@pytest.mark.parametrize("namespace", ["user/name", "", "a b", ".."])
def test_a_namespace_is_one_name(release, tmp_path, capsys, namespace):
    assert release.main([namespace, "--out", str(tmp_path / "out")]) == 2
    assert f"the namespace is {namespace!r}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_earlier_release_stays(release, tmp_path, capsys):
    assert release.main(["user", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} exists" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "holds no run/report.json and store"),
        ('{"data": "recorded"}', "is of recorded data, and the Space says that it is simulated"),
        ('{"da', "report.json is damaged"),
        ("[]", "report.json is damaged"),
    ],
)
def test_a_demo_that_is_none_is_refused_before_anything_is_built(release, tmp_path, capsys, made, message):
    if made is not None:
        (tmp_path / "demo" / "run").mkdir(parents=True)
        (tmp_path / "demo" / "store").mkdir()
        (tmp_path / "demo" / "run" / "report.json").write_text(made)
    assert release.main(["user", "--out", str(tmp_path / "out"), "--demo", str(tmp_path / "demo")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_builder_it_is_named(release, tmp_path, monkeypatch):
    monkeypatch.setattr(release.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(release.ReleaseError, match="hatchling builds the wheel and is not installed"):
        release.build_wheel(tmp_path)


def test_programs_see_nothing_of_this_process(release, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setenv("HF_ENDPOINT", "kept")
    (tmp_path / "bin").mkdir()
    (tmp_path / "Scripts").mkdir()
    program = release.Environment(tmp_path, tmp_path).program("python")
    program.symlink_to(sys.executable)
    code = "import json, os; print(json.dumps([os.environ.get(one) for one in ('PYTHONPATH', 'HF_ENDPOINT')]))"
    assert json.loads(release.Environment(tmp_path, tmp_path).run("python", "-c", code)) == [None, "kept"]
    with pytest.raises(release.ReleaseError, match=r"ended with 3:\nwhy"):
        release.Environment(tmp_path, tmp_path).run(
            "python", "-c", "import sys; print('why', file=sys.stderr); exit(3)"
        )


def test_a_dry_run_asks_the_verbs_for_one(release, environment, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(type(environment), "verb", lambda self, *words: asked.append(words) or {})
    release.push(environment, tmp_path, "user/model", "user/data", dry_run=True)
    release.push(environment, tmp_path, "user/model", "user/data", dry_run=False)
    assert [("--dry-run" in words, words[0]) for words in asked] == [
        *((True, "push"), (True, "push-data"), (False, "push"), (False, "push-data"))
    ]


def test_the_space_goes_up_with_its_app_and_its_shelf(release, environment, tmp_path, monkeypatch):
    folder, ran = tmp_path / "space", []

    def make(self, *words):
        (folder / "run").mkdir(parents=True)
        (folder / "run" / "config.json").write_text("{}")
        return {}

    monkeypatch.setattr(type(environment), "verb", make)
    monkeypatch.setattr(type(environment), "run", lambda self, *words: ran.append(words) or "noise\nhttps://there\n")
    listed = release.push_space(environment, tmp_path, folder, "user/space", dry_run=True)
    assert set(listed["files"]) == {"run/config.json", "README.md", "app.py", "requirements.txt"}
    assert (listed["url"], ran) == (None, [])
    (folder / "run" / "config.json").unlink()
    (folder / "run").rmdir()
    assert release.push_space(environment, tmp_path, folder, "user/space", dry_run=False)["url"] == "https://there"
    assert ran == [("python", "-c", release.SPACE_PUSHED, "user/space", folder)]
    assert 'space_sdk="gradio"' in release.SPACE_PUSHED
