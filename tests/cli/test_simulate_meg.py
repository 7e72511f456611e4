"""`neuroclip simulate meg`, and the command that its help names."""

import pytest

SMALL = [
    "--concepts", 4, "--test-concepts", 2, "--images-per-concept", 1, "--train-repeats", 1, "--test-repeats", 1,
    "--sessions", 1, "--image-size", 16, "--rate", 100, "--channels", "MEG001,MEG090,MEG100",
]  # fmt: skip


def test_simulate_then_prepare(neuroclip, tmp_path):
    out = tmp_path / "meg"
    made = neuroclip(
        "simulate", "meg", "--out", out, *SMALL, "--subjects", "1,2", "--bad-channels", "MEG090", "--json"
    )
    assert (made.result["data"], made.result["subjects"]) == ("simulated", [1, 2])
    assert made.result["bad_channels"] == ["MEG090"]
    files = sorted(out.glob("sub-*/ses-*/meg/*_meg.fif"))
    assert len(files) == 4
    store = neuroclip(
        "prepare", "recordings", *files, "--pictures", out / "pictures", "--ignore", "catch",
        "--test-files", "*_task-test_meg.fif", "--out", tmp_path / "store", "--json",
    ).result  # fmt: skip
    assert (store["train_trials"], store["test_trials"]) == (8, 4)
    assert (store["data"], store["channels"], store["target"]) == ("simulated", 3, "image")
    assert (store["train_pictures"], store["test_pictures"]) == (4, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--subjects", "a"], "--subjects 'a'"),
        (["--channels", "Oz"], "channels Oz do not exist"),
        (["--bad-channels", "MEG001,MEG090,MEG100"], "leave at least one good"),
    ],
)
def test_bad_values(refused, tmp_path, words, message):
    assert message in refused("simulate", "meg", "--out", tmp_path / "out", *SMALL, *words)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_left_alone(refused, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert "--overwrite" in refused("simulate", "meg", "--out", tmp_path, *SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
