"""`neuroclip demo`: what it refuses at once, and (slowly) all that it promises."""

import json

import pytest

from neuroclip_hf.cli import demo


def test_a_folder_that_is_no_demo_is_left_alone(refused, tmp_path, snapshot):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    assert "not replaced" in refused("demo", "--out", tmp_path / "mine")
    assert snapshot(tmp_path) == {"mine/thesis.txt": b"mine"}


def test_a_demo_that_breaks_leaves_the_earlier_one(neuroclip, tmp_path, monkeypatch, snapshot):
    out = tmp_path / "demo"
    out.mkdir()
    (out / demo.MARK).write_text("{}")
    before = snapshot(tmp_path)

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_run", broken)
    assert neuroclip("demo", "--out", out).code == 130
    assert snapshot(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_fresh_process_that_fails_is_no_result():
    with pytest.raises(RuntimeError, match="exit code 2"):
        demo._fresh("evaluate", "nowhere", "--data", "nowhere")


@pytest.mark.slow
def test_all_of_it(neuroclip, tmp_path):
    out = tmp_path / "demo"
    result = neuroclip("demo", "--out", out, "--json").result
    report = result["report"]
    assert report["top1"] >= 5 * report["chance"]
    assert report["control_top1"] <= 3 * report["chance"]
    assert (report["data"], report["tower"]) == ("simulated", "small-clip")
    assert json.loads((out / "run" / "report.json").read_text()) == report
    assert all((tmp_path / path).exists() for path in result["files"].values())
    assert f'from_pretrained("{out / "run"}")' in (out / "run" / "README.md").read_text()
    words = neuroclip("demo", "--out", out)
    assert "SIMULATED" in words.out
    assert "small-clip" in words.out
