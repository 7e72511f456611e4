"""Builders of datasets whose subjects are numbered: a store of one of them is made from the dataset's own files."""

from pathlib import Path

from neuroclip_hf.data.builders.trial_store import TrialStoreBuilder
from neuroclip_hf.data.parquet import layout
from neuroclip_hf.data.subject_names import subject_folder, subject_number
from neuroclip_hf.errors import InputError


class SubjectBuilder(TrialStoreBuilder):
    """Base of builders whose configs are the subjects of a dataset, and the pictures, which are everybody's.

    A subclass names the dataset and says how many subjects it has and which of them a folder holds.
    """

    DATASET: str
    """What stores are called after."""
    SUBJECTS: int
    """How many people the dataset has."""

    def first_subject(self, source: Path) -> int:
        """The first subject that a folder of the dataset holds, with whom the pictures come."""
        raise NotImplementedError

    def store_name(self, source: Path) -> str:
        """See [`TrialStoreBuilder`]; a store holds one subject."""
        return f"{self.DATASET}-{subject_folder(self.subject(source))}"

    def subject(self, source: Path) -> int:
        """The subject that the config names, or with whom the pictures come.

        Raises:
            InputError: if the config is neither.
        """
        if self.config.name == layout.PICTURES_CONFIG:
            return self.first_subject(source)
        found = subject_number(self.config.name)
        if found is None:
            raise InputError(
                f"config_name is {self.config.name!r}: name a subject ({subject_folder(1)} to "
                f"{subject_folder(self.SUBJECTS)}) or {layout.PICTURES_CONFIG}."
            )
        return found
