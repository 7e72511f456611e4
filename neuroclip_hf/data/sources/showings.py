"""Whether recordings of THINGS-EEG2 show every picture as often as they should."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuroclip_hf import columns
from neuroclip_hf.data.sources.layouts.base import SPLITS
from neuroclip_hf.data.sources.parts import Result
from neuroclip_hf.data.sources.resume import UnfinishedStore
from neuroclip_hf.data.sources.sessions import REMEDY
from neuroclip_hf.data.subject_names import subject_folder
from neuroclip_hf.data.things_eeg2 import ImageMetadata
from neuroclip_hf.errors import InputError


@dataclass(frozen=True)
class Showings:
    """What is expected of recordings.

    Args:
        metadata (`ImageMetadata`): the table of pictures.
        allow_missing (`bool`): whether what is missing is a warning, rather than an error.
    """

    metadata: ImageMetadata
    allow_missing: bool

    def check_session(self, path: Path, split: str, shown: Sequence[str], result: Result) -> list[str]:
        """Whether every picture was shown as often as most were, however many of its repeats are used.

        Args:
            path (`Path`): the recording.
            split (`str`): "train" or "test".
            shown (sequence of `str`): the picture of each event.
            result (`Result`): of the part; how often most were shown is added.

        Returns:
            Warnings.

        Raises:
            InputError: if not, and nothing may be missing.
        """
        used = Counter(shown)
        # Not every training picture is shown in every session.
        expected = set(used) if split == columns.TRAIN else self._pictures(split)
        counts = Counter(used[name] for name in expected)
        plan = max(counts, key=lambda count: (counts[count], count))
        result.repeats[split] = plan
        return self._uneven(short_name(path), split, used, expected, plan, "stimulus codes")

    def check_subject(self, subject: int, store: UnfinishedStore) -> list[str]:
        """Whether a subject saw every picture of the table as often as the others; if not, warnings.

        Raises:
            InputError: if not, and nothing may be missing, or no training picture is left at all.
        """
        name, warnings = subject_folder(subject), list[str]()
        for split in SPLITS:
            used = store.shown(name, split)
            most, what = max(used.values(), default=0), "showings (stimulus codes or a session)"
            if not used and split == columns.TRAIN:
                raise InputError(
                    f"{name} has no training recording that shows pictures: leave it out with --subjects."
                )
            warnings += self._uneven(name, split, used, self._pictures(split), most, what)
        return warnings

    def check_sessions(self, store: UnfinishedStore) -> list[str]:
        """Whether all sessions so far, of all subjects, showed their pictures equally often; if not, warnings.

        Raises:
            InputError: if not, and nothing may be missing.
        """
        warnings = []
        for split in SPLITS:
            repeats = {one.name: one.repeats[split] for one in store.records if split in one.repeats}
            most = max(repeats.values(), default=0)
            warnings += [
                self.allowed(f"{name}: {split} pictures were shown {count} times, and {most} times in other sessions")
                for name, count in repeats.items()
                if count < most
            ]
        return warnings

    def _uneven(
        self, where: str, split: str, used: Counter[str], expected: set[str], most: int, what: str
    ) -> list[str]:
        few = sorted(name for name in expected if used[name] < most)
        if not few:
            return []
        lost = sum(most - used[name] for name in few)
        text = (
            f"{where}: {len(few)} of {len(expected)} {split} pictures were shown less often than the others "
            f"({used[few[0]]} times instead of {most}: {few[0]}): {lost} {what} are missing"
        )
        return [self.allowed(text)]

    def allowed(self, text: str) -> str:
        """What is missing, as a warning.

        Raises:
            InputError: if nothing may be missing.
        """
        if not self.allow_missing:
            raise InputError(f"{text}: {REMEDY}.")
        return f"{text}."

    def _pictures(self, split: str) -> set[str]:
        return {self.metadata.image_id(split, code) for code in range(1, self.metadata.size(split) + 1)}


def short_name(path: Path) -> str:
    """A recording below its dataset: "sub-01/ses-01/raw_eeg_test.npy"."""
    return "/".join(path.parts[-3:])
