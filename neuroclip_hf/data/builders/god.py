"""Generic Object Decoding (Horikawa and Kamitani, Nature Communications 2017) as a `datasets` builder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroclip_hf.data.builders.subject import SubjectBuilder
from neuroclip_hf.data.builders.trial_store import TrialStoreConfig
from neuroclip_hf.data.god import FACTS
from neuroclip_hf.data.sources.god import find_subjects, prepare_god


@dataclass
class GenericObjectDecodingConfig(TrialStoreConfig):
    """One subject of Generic Object Decoding, or the pictures.

    Args:
        name (`str`): "sub-01" to "sub-05", or "pictures".
        data_dir (`str`): folder of the dataset (anything that `neuroclip prepare god` takes), or a store.
        images (`bool`): whether the pictures' config holds the files.
        rois, picture_folder, captions, category_names, drop_bad_voxels: as `prepare_god` has them (the second as its
            `images`); refused where `data_dir` is a store.
    """

    rois: Sequence[str] = ()
    picture_folder: str | None = None
    captions: str | None = None
    category_names: str | None = None
    drop_bad_voxels: bool = False

    def preparation(self) -> dict[str, Any]:
        """What `prepare_god` is told."""
        return {
            "rois": tuple(self.rois),
            "images": self.picture_folder,
            "captions": self.captions,
            "category_names": self.category_names,
            "drop_bad_voxels": self.drop_bad_voxels,
        }


class GenericObjectDecoding(SubjectBuilder):
    """Builds one subject of Generic Object Decoding, or the pictures.

    From the dataset's own files a trial store of the subject is prepared first (see [`TrialStoreBuilder`]). The
    pictures' config has those of the first subject that the folder holds, which are everybody's.

    Raises:
        InputError: as `prepare_god`, for other configs, and for settings of the preparation where `data_dir` is a
            store.
    """

    BUILDER_CONFIG_CLASS = GenericObjectDecodingConfig
    DATASET, SUBJECTS = "god", FACTS.subjects

    def first_subject(self, source: Path) -> int:
        """See [`SubjectBuilder`]."""
        return min(find_subjects(source, self.config.rois))

    def prepare_store(self, source: Path, out: Path, settings: dict[str, Any]) -> None:
        """See [`TrialStoreBuilder`]."""
        prepare_god(source, out, subjects=(self.subject(source),), **settings)
