"""A run that is opened to be tested on a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from neuroclip_hf.checkpoints import load_run, protocol_held, read_facts, read_trained_on
from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.evaluation.fit import flags_of, subjects_to_test
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.processing.processing_brain import BrainImageProcessor
from neuroclip_hf.run_files import CONTROL


@dataclass(frozen=True)
class TestedRun:
    """A run, and what a test of it on a store must know. Its weights are read when they are first asked for.

    Args:
        folder (`Path`): of the run.
        store (`TrialStore`): that it is tested on.
        facts (`dict`): what run.json says; empty for a checkpoint that came without one.
        subjects (`list[str]` or None): whose trials; None means everybody's.
        protocol (`str`): what training and test really share.
        seen (`dict` or None): what trained_on.json says, see [`read_trained_on`].
    """

    folder: Path
    store: TrialStore
    facts: dict[str, Any]
    subjects: list[str] | None
    protocol: str
    seen: dict[str, list[str]] | None

    @property
    def model(self) -> BrainImageModel:
        """Of the run, in evaluation mode."""
        return self._loaded[0]

    @property
    def processor(self) -> BrainImageProcessor:
        """Saved with the model."""
        return self._loaded[1]

    @cached_property
    def control(self) -> tuple[BrainImageModel, BrainImageProcessor] | None:
        """Model and processor of the same training on shuffled pairs; None for a run without one."""
        return load_run(self.folder / CONTROL) if (self.folder / CONTROL).is_dir() else None

    @cached_property
    def flags(self) -> list[str]:
        """What does not forbid the test, and must stand beside its numbers, see [`flags_of`]."""
        return flags_of(self.store, self.subjects, self.facts, self.processor, self.seen, self.protocol)

    @cached_property
    def _loaded(self) -> tuple[BrainImageModel, BrainImageProcessor]:
        return load_run(self.folder)


def open_tested_run(
    folder: str | Path, store: TrialStore, split: str, subjects: Sequence[str] | None = None
) -> TestedRun:
    """Open a run for a test on a store, and refuse what may not be tested before any weight is read.

    Args:
        folder (path): the run, or a checkpoint without run.json.
        store (`TrialStore`): to be tested on.
        split (`str`): whose trials are opened, `columns.TEST` or `columns.IMAGERY`.
        subjects (sequence of `str`, *optional*): whose trials; by default as [`subjects_to_test`] chooses them.

    Raises:
        InputError: if run.json is damaged, if of the subjects some trained and some did not, or if a trial was trained
            on. Reading `model`, `processor` or `control` raises what [`load_run`] does.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    tested = subjects_to_test(facts, store, subjects)
    protocol = protocol_held(folder, store, store.select(split, tested))
    return TestedRun(folder, store, facts, tested, protocol, read_trained_on(folder))
