"""`prepare things-eeg2` with every option."""

import pytest

SMALL = ("--concepts", 3, "--test-concepts", 2, "--images-per-concept", 2, "--train-repeats", 2, "--test-repeats", 4,
         "--sessions", 2, "--image-size", 16, "--rate", 250, "--channels", "P7,O1,O2")  # fmt: skip


@pytest.fixture
def simulate(neuroclip, tmp_path):
    def run(form, subjects="1"):
        words = ("--out", tmp_path / form, "--format", form, "--subjects", subjects)
        assert neuroclip("simulate", "things-eeg2", *words, *SMALL).code == 0
        return tmp_path / form

    return run


@pytest.fixture
def prepare(neuroclip, tmp_path):
    return lambda source, *words: neuroclip(
        "prepare", "things-eeg2", "--source", source, "--out", tmp_path / "store", *words, "--json"
    )


def test_a_container_needs_no_flag_and_a_part_of_its_window_can_be_asked_for(simulate, prepare):
    made = prepare(simulate("nice"), "--channels", "O2,P7", "--window", "0.1,0.3").result
    assert (made["channels"], made["num_timesteps"], made["sampling_rate"]) == (2, 50, 250.0)
    assert (made["train_trials"], made["test_trials"]) == (12, 8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--whitening", "session"), "leave --whitening out"),
        (("--rate", 100), "--rate 100 needs the recordings"),
        (("--rate", 500), "--rate 500 needs the recordings"),
        (("--baseline", "none"), "can no longer be changed: leave --baseline none out"),
        (("--baseline", "-0.2,0"), "can no longer be changed: leave --baseline -0.2,0 out"),
        (("--baseline", "-0.1,0", "--window", "0,0.5"), "can no longer be changed: leave --baseline -0.1,0 out"),
        (("--window", "0,2"), "--window 0,2 is not inside"),
        (("--window", "-0.2,1"), "--window -0.2,1 is not inside"),
        (("--window", "0,0.999"), "--window 0,0.999 does not begin and end at a sample"),
        (("--whitening", "none"), "leave --whitening out"),
        (("--whitening", "training-subjects"), "leave --whitening out"),
        (("--channels", "Fp1"), "has no channel Fp1"),
        (("--channels", ""), "--channels '': name at least one, or leave the option out"),
        (("--channels", "P7,,O1"), "--channels 'P7,,O1': an entry is empty"),
    ],
)
def test_what_a_container_cannot_give_is_refused(simulate, prepare, words, message):
    outcome = prepare(simulate("ubp"), "--channels", "all", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_whitening_by_other_subjects(simulate, prepare, tmp_path):
    source = simulate("brainvision", "1,2")
    words = ("--channels", "all", "--whitening", "training-subjects")
    outcome = prepare(source, *words, "--subjects", "2")
    assert outcome.code == 2
    assert "only subject 2" in outcome.err
    assert prepare(source, *words).result["subjects"] == ["sub-01", "sub-02"]
    assert "sub-02/ses-02" in (tmp_path / "store.log").read_text()


def test_what_is_missing(simulate, prepare):
    source = simulate("raw")
    (source / "sub-01" / "ses-02" / "raw_eeg_test.npy").unlink()
    outcome = prepare(source, "--channels", "all")
    assert outcome.code == 2
    assert "--allow-missing" in outcome.err
    warnings = prepare(source, "--channels", "all", "--allow-missing").result["warnings"]
    assert warnings == ["sub-01/ses-02/raw_eeg_test.npy is missing."]


def test_a_bar_for_each_subject(simulate, prepare, monkeypatch):
    monkeypatch.setenv("NEUROCLIP_PROGRESS", "1")
    outcome = prepare(simulate("raw", "1,2"), "--channels", "all")
    assert "sub-01: " in outcome.err
    assert "sub-02: " in outcome.err
