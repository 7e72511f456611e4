"""Which part of a store a checkpoint of voxels reads, and whose."""

from types import SimpleNamespace

import numpy as np
import pytest

from neuroclip_hf import BrainFeatureExtractor, InputError
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.data.store_part import part_of_store
from neuroclip_hf.processing.fitting import fitting_part


@pytest.fixture
def opened(pattern_stores, tmp_path):
    pattern_stores.write_patterns(tmp_path / "store")
    return TrialStore(tmp_path / "store")


def processor_of(store, subject, **part):
    used = part_of_store(store, subjects=[subject], **part)
    return SimpleNamespace(feature_extractor=BrainFeatureExtractor.fit(used, store.select("train", [subject])))


def test_the_voxels_of_the_subject_that_trained_are_read(opened):
    for subject, part, places in (
        ("sub-01", {"rois": ["V2"]}, [2, 3, 4]),
        ("sub-02", {"channels": ["sub-02_7", "sub-02_0"]}, [7, 0]),
        ("sub-02", {}, list(range(8))),
    ):
        processor = processor_of(opened, subject, **part)
        found = fitting_part(processor, opened)
        rows = opened.select("test", [subject])
        np.testing.assert_array_equal(found.read(rows), opened.read(rows)[:, places])
        assert found.info.channels == processor.feature_extractor.channel_names
        assert fitting_part(processor, found).info.channels == found.info.channels


def test_other_peoples_trials_are_refused(opened, pattern_stores, tmp_path):
    processor = processor_of(opened, "sub-01")
    with pytest.raises(InputError, match="channels of sub-01 and sub-02 differ"):
        fitting_part(processor, opened).read(opened.select("test", ["sub-02"]))
    pattern_stores.write_patterns(tmp_path / "other", {"sub-02": pattern_stores.voxels_of("sub-02", 8)})
    with pytest.raises(InputError, match=r"reads 6 voxels of sub-01 \(sub-01_0, .*nobody in it has those \(sub-02\)"):
        fitting_part(processor, TrialStore(tmp_path / "other"))


def test_people_with_the_same_voxels_are_read_together(pattern_stores, tmp_path):
    common = pattern_stores.voxels_of("common", 6)
    own = pattern_stores.voxels_of("sub-03", 8)
    pattern_stores.write_patterns(tmp_path / "store", {"sub-01": common, "sub-02": common, "sub-03": own})
    store = TrialStore(tmp_path / "store")
    found = fitting_part(processor_of(store, "sub-02"), store)
    assert found.readable_subjects == ["sub-01", "sub-02"]
    assert found.read(store.select("test", ["sub-01", "sub-02"])).shape == (12, 6)


def test_of_several_that_have_its_voxels_the_one_that_trained_is_read(pattern_stores, tmp_path):
    small, large = (pattern_stores.voxels_of("common", count) for count in (6, 8))
    pattern_stores.write_patterns(tmp_path / "store", {"sub-01": large, "sub-02": small, "sub-03": large})
    store = TrialStore(tmp_path / "store")
    for subject, alike in (("sub-01", ["sub-01", "sub-03"]), ("sub-02", ["sub-02"])):
        processor = processor_of(store, subject, channels=["common_4", "common_1"])
        assert fitting_part(processor, store).readable_subjects == alike
