"""A folder of pictures of which one is damaged, and an index of it."""

import shutil

import pytest


@pytest.fixture(scope="session")
def pictures(simulated):
    return simulated / "test_images"


@pytest.fixture
def damaged(pictures, tmp_path):
    """A copy of `pictures` in which one is no picture; the folder and the id."""
    folder = tmp_path / "gallery"
    shutil.copytree(pictures, folder)
    first = sorted(path for path in folder.rglob("*") if path.is_file())[0]
    first.write_bytes(b"no picture")
    return folder, first.relative_to(folder).as_posix()


@pytest.fixture(scope="session")
def index_folder(trained, pictures, tmp_path_factory):
    """An index of `pictures`; not to be changed."""
    from neuroclip_hf.galleries import build_index

    folder = tmp_path_factory.mktemp("index") / "index"
    build_index(trained.model, trained.processor, pictures, folder)
    return folder
