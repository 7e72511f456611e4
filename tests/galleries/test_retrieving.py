"""A recording and a folder of pictures: the checkpoint's cut, the checkpoint's channels, right ones marked."""

from dataclasses import replace

import mne
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from neuroclip_hf.data.recordings import find_recordings, open_recording
from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries import Gallery, as_gallery, retrieve, write_sheet


@pytest.fixture(scope="module")
def recording(simulated):
    return open_recording(find_recordings([simulated / "sub-01" / "ses-01" / "raw_eeg_test.npy"])[0], ())


@pytest.fixture(scope="module")
def gallery(simulated) -> Gallery:
    return as_gallery(simulated / "test_images")


def scores(found) -> list[list[float]]:
    return [[match.score for match in one.matches] for one in found.queries]


def with_raw(recording, raw):
    return replace(recording, raw=raw)


def test_events_of_one_name_are_averaged_and_known_ones_marked(trained, recording, gallery):
    found = retrieve(trained.model, trained.processor, recording, gallery).queries
    assert len(found) == 6
    assert {one.trials for one in found} == {2}
    for one in found:
        assert one.target.image_id.split("/")[-1] == one.name.split("/")[-1]
        assert len(one.matches) == 5
        assert [match.score for match in one.matches] == sorted((m.score for m in one.matches), reverse=True)
        assert [match.right for match in one.matches] == [m.image_id == one.target.image_id for m in one.matches]


def test_single_trials_and_more_pictures_than_there_are(trained, recording, gallery):
    found = retrieve(trained.model, trained.processor, recording, gallery, top_k=50, single_trials=True).queries
    assert len(found) == 12
    assert {len(one.matches) for one in found} == {6}
    assert all(sum(bool(match.right) for match in one.matches) == 1 for one in found)


def test_names_that_the_gallery_lacks_are_not_judged(trained, recording, simulated):
    found = retrieve(trained.model, trained.processor, recording, as_gallery(simulated / "training_images")).queries
    assert all(one.target is None for one in found)
    assert all(match.right is None for one in found for match in one.matches)


def test_channels_in_another_order_change_nothing(trained, recording, gallery):
    mine = retrieve(trained.model, trained.processor, recording, gallery)
    turned = recording.raw.copy().load_data().reorder_channels(recording.raw.ch_names[::-1])
    assert scores(retrieve(trained.model, trained.processor, with_raw(recording, turned), gallery)) == scores(mine)


def test_missing_channels_are_named(trained, recording, gallery):
    fewer = recording.raw.copy().load_data().drop_channels(["O1"])
    with pytest.raises(InputError, match=r"checkpoint's channels O1 are missing.*rename"):
        retrieve(trained.model, trained.processor, with_raw(recording, fewer), gallery)


def test_a_recording_slower_than_the_checkpoint_is_refused(trained, recording, gallery):
    info = mne.create_info(recording.raw.ch_names, 40.0, recording.raw.get_channel_types())
    slow = mne.io.RawArray(recording.raw.get_data(), info, verbose="ERROR")
    with pytest.raises(InputError, match="40 Hz, less than the 50 Hz"):
        retrieve(trained.model, trained.processor, with_raw(recording, slow), gallery)


def test_a_faster_recording_is_brought_to_the_rate_even_where_preparation_kept_the_recordings_own(
    trained, recording, gallery
):
    processor = type(trained.processor).__new__(type(trained.processor))
    processor.__dict__.update(trained.processor.__dict__)
    kept = trained.processor.feature_extractor
    settings = {**kept.to_dict(), "epochs": {**kept.epochs, "sampling_rate": None}}
    processor.feature_extractor = type(kept)(**{name: settings[name] for name in vars(kept) if name in settings})
    mine = retrieve(trained.model, trained.processor, recording, gallery)
    assert scores(retrieve(trained.model, processor, recording, gallery)) == scores(mine)


def test_rejection_may_leave_nothing(trained, recording, gallery):
    late = pd.DataFrame({**recording.events.iloc[:1], "sample": [recording.raw.n_times - 1]})
    with pytest.raises(InputError, match="no epoch survived"):
        retrieve(trained.model, trained.processor, replace(recording, events=late), gallery)


def test_at_least_one_picture(trained, recording, gallery):
    with pytest.raises(InputError, match="top_k is 0"):
        retrieve(trained.model, trained.processor, recording, gallery, top_k=0)


def test_a_damaged_picture_is_named_before_any_work(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        as_gallery(tmp_path)


def test_the_sheet_is_a_picture(trained, recording, gallery, tmp_path):
    found = retrieve(trained.model, trained.processor, recording, gallery, single_trials=True).queries
    write_sheet(found * 2, gallery, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert np.asarray(sheet.convert("L")).std() > 10


def test_a_sheet_is_of_pictures(trained, recording, gallery, tmp_path):
    found = retrieve(trained.model, trained.processor, recording, gallery).queries
    with pytest.raises(InputError, match="this gallery is of texts"):
        write_sheet(found, as_gallery(["cat", "dog"]), tmp_path / "sheet.png")
