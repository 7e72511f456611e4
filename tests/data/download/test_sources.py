"""The table of sources, and the choice from it."""

from urllib.parse import urlsplit

import pytest

from neuroclip_hf.data.download.sources import THINGS_EEG2, mirrored, shown, things_eeg2_sources
from neuroclip_hf.data.things_eeg2 import FACTS
from neuroclip_hf.errors import InputError


def test_the_table_names_every_file_once_and_only_official_places():
    assert len({source.name for source in THINGS_EEG2}) == len(THINGS_EEG2) == FACTS.subjects + 3
    assert len({source.url for source in THINGS_EEG2}) == len(THINGS_EEG2)
    for source in THINGS_EEG2:
        assert urlsplit(source.url).scheme == "https"
        assert urlsplit(source.url).hostname in ("osf.io", "files.osf.io")
        assert source.largest >= 4 * source.download_size > 0
        assert (source.folder is not None) == source.name.endswith(".zip")


def test_what_becomes_of_it_is_what_the_reader_looks_for():
    targets = {source.target for source in THINGS_EEG2}
    assert {"sub-01", "sub-10", "training_images", "test_images", "image_metadata.npy"} <= targets


def test_the_known_checksum_is_that_of_the_real_table(real_data):
    from neuroclip_hf.data.download.transfer import fault_of_file

    (source,) = things_eeg2_sources((), ("metadata",))
    assert fault_of_file(real_data / "things_eeg2" / source.name, source) is None


def test_the_pictures_terms_forbid_passing_them_on():
    (terms,) = {source.terms for source in things_eeg2_sources((), ("pictures",))}
    assert "research only" in terms
    assert "passed on" in terms
    assert "https://osf.io/jum2f/" in terms


def test_subjects_and_kinds_are_chosen():
    assert [source.name for source in things_eeg2_sources((2, 10, 2), ("raw",))] == ["sub-02.zip", "sub-10.zip"]
    names = [source.name for source in things_eeg2_sources((1,))]
    assert names == ["image_metadata.npy", "test_images.zip", "training_images.zip", "sub-01.zip"]


def test_a_mirror_replaces_every_address_and_nothing_else():
    plain, elsewhere = things_eeg2_sources((1,)), things_eeg2_sources((1,), mirror="https://example.org/a/")
    assert [source.url for source in elsewhere] == [f"https://example.org/a/{source.name}" for source in plain]
    assert [source.sha256 for source in elsewhere] == [source.sha256 for source in plain]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (((11,),), "subject 11 does not exist: THINGS-EEG2 has subjects 1 to 10"),
        (((0,),), "subject 0"),
        (((), ("raw",)), "no subject"),
        (((1,), ("eeg",)), "eeg: choose from raw, metadata, pictures"),
        (((1,), ()), "choose from"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, match):
    with pytest.raises(InputError, match=match):
        things_eeg2_sources(*arguments)


@pytest.mark.parametrize(
    "mirror",
    ["", "example.org", "file:///x", "ftp://example.org", "https://", "https://[", "https://example.org/?x=1"],
)
def test_a_mirror_that_is_no_address_is_refused(mirror):
    with pytest.raises(InputError, match="the mirror is"):
        things_eeg2_sources((1,), mirror=mirror)


def test_addresses_are_shown_without_secrets():
    assert shown("https://me:secret@example.org:8/a?token=b#c") == "https://example.org:8/a"
    assert "secret" not in mirrored(THINGS_EEG2[0], "https://me:secret@example.org/a").page
