"""The processors saved with models: the brain side, and the pictures of the other."""

from collections.abc import Mapping, Sequence
from copy import copy
from os import PathLike
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, BatchFeature, ProcessorMixin
from transformers.utils import TensorType

from neuroclip_hf.columns import (
    ATTENTION_MASK,
    CAPTION,
    CONCEPT,
    CONCEPT_INDEX,
    EEG_VALUES,
    FMRI_VALUES,
    INPUT_IDS,
    PIXEL_VALUES,
)
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.calibration import calibrated
from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
from neuroclip_hf.processing.inputs import Trials, read_trials
from neuroclip_hf.pushes import Pushed
from neuroclip_hf.run_files import PROCESSOR_FILE

_NO_TOKENS = SimpleNamespace(eos_token_id=None, bos_token_id=None, pad_token_id=None)
_ARGUMENTS = {EEG_VALUES: "eeg", FMRI_VALUES: "fmri"}  # what recordings are given as, by the batch key they become


class BrainImageProcessor(Pushed, ProcessorMixin):
    """Trials and pictures -> what a model of recordings and pictures takes, whatever was recorded.

    A kind of model has a subclass, by whose name a checkpoint knows it.

    Args:
        feature_extractor (`BrainFeatureExtractor`): the brain side.
        image_processor (an image processor of transformers): the picture side.
        others: what a subclass names in its own `__init__` beside these two: a `tokenizer`.
    """

    def __init__(self, feature_extractor: BrainFeatureExtractor, image_processor: Any, **others: Any) -> None:
        super().__init__(feature_extractor, image_processor, **others)

    @classmethod
    def build(
        cls,
        feature_extractor: BrainFeatureExtractor,
        image_processor: Any,
        tower: str,
        revision: str | None,
        config: Any,
    ) -> Self:
        """The processor of a model that is about to be trained: of these two parts, unless a kind of model has more.

        Args:
            feature_extractor (`BrainFeatureExtractor`): the brain side, fitted on the training trials.
            image_processor (an image processor of transformers): of the tower.
            tower (`str`): folder or name on the Hub of the checkpoint with the model's towers, where its tokenizer is.
            revision (`str`, *optional*): its commit.
            config (`BrainImageConfig`): of the model.
        """
        return cls(feature_extractor, image_processor)

    @property
    def tokenizer(self) -> Any:
        """No tokens: transformers' Trainer asks the tokenizer of any processor for them, whether it has one or not."""
        return _NO_TOKENS

    @property
    def auto_maps(self) -> dict[str, dict[str, str]]:
        """See [`Pushed.auto_maps`]."""
        return {PROCESSOR_FILE: {"AutoProcessor": type(self).__name__}}

    @classmethod
    def register_for_auto_class(cls, auto_class: str = "AutoProcessor") -> None:
        """Nothing: transformers asks for it after remote code, and would copy this file into all that is saved."""

    @classmethod
    def _get_arguments_from_pretrained(
        cls,
        pretrained_model_name_or_path: str | PathLike[str],
        processor_dict: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        # Through AutoProcessor it was about finding this class.
        if kwargs.pop("trust_remote_code", False) and not kwargs.get("_from_auto"):
            raise InputError(
                "trust_remote_code is True: a processor is made of settings, and code that comes beside them is never "
                "run; leave it out."
            )
        path = pretrained_model_name_or_path
        # transformers would look the brain side up among its own feature extractors.
        parts = [
            BrainFeatureExtractor.from_pretrained(path, **kwargs),
            AutoImageProcessor.from_pretrained(path, backend="pil", trust_remote_code=False, **kwargs),
        ]
        if "tokenizer" in cls.get_attributes():
            parts.append(AutoTokenizer.from_pretrained(path, trust_remote_code=False, **kwargs))
        return parts

    def __call__(
        self,
        eeg: NDArray[np.floating] | None = None,
        images: Image.Image | Sequence[Image.Image] | None = None,
        *,
        text: str | Sequence[str] | None = None,
        fmri: NDArray[np.floating] | None = None,
        channel_names: Sequence[str] | None = None,
        sampling_rate: float | None = None,
        unit: str | None = None,
        window_start: float | None = None,
        interpolate: bool = False,
        return_tensors: str | TensorType | None = "pt",
    ) -> BatchFeature:
        """Process trials, pictures and texts, or some of them.

        Args:
            eeg (`numpy.ndarray` of shape `(batch, channels, samples)`): in `unit`; MEG is given here too.
            images (one picture or a list): RGB pictures.
            text (one text or a list): for a checkpoint with a text tower; longer ones are cut to what it reads.
            fmri (`numpy.ndarray` of shape `(batch, voxels)`): for a checkpoint of patterns, in place of `eeg`.
            channel_names (sequence of `str`): of `eeg` or `fmri`, and needed with it; channels, or voxels, are picked
                and ordered by name.
            sampling_rate (`float`, *optional*): of `eeg`, in Hz; see [`BrainFeatureExtractor.__call__`].
            unit (`str`, *optional*): of `eeg`; by default the checkpoint's: volts for EEG, tesla for MEG, standard
                deviations for what is whitened.
            window_start (`float`, *optional*): of `eeg`, in seconds; by default the checkpoint's.
            interpolate (`bool`): interpolate electrodes that are missing or cannot be used, as MNE does.
            return_tensors (`str`): "pt" for torch.

        Returns:
            `BatchFeature` with `eeg_values` or `fmri_values`, `pixel_values`, and `input_ids` and `attention_mask`,
            as far as given.

        Raises:
            InputError: if nothing is given, texts are and nothing reads them, or recordings do not fit the checkpoint.
        """
        name = _ARGUMENTS[self.feature_extractor.input_name]
        given = {"eeg": eeg, "fmri": fmri}
        other = next((each for each in given if each != name and given[each] is not None), None)
        if other is not None:
            raise InputError(f"{other} was given, but this checkpoint reads {name}: pass {name}=.")
        values = given[name]
        if values is None and images is None and text is None:
            raise InputError(f"Give {name}, images, or {'text' if self.tokenizer is not _NO_TOKENS else 'both'}.")
        batch = BatchFeature()
        if values is not None:
            if channel_names is None:
                raise InputError(f"{name} comes without channel_names: name its channels, so that none is mistaken.")
            batch.update(
                self.feature_extractor(
                    values,
                    channel_names=channel_names,
                    sampling_rate=sampling_rate,
                    unit=unit,
                    window_start=window_start,
                    interpolate=interpolate,
                    return_tensors=return_tensors,
                )
            )
        if images is not None:
            pixels = self.image_processor(images, return_tensors=return_tensors)
            batch[PIXEL_VALUES] = pixels[PIXEL_VALUES]
        if text is not None:
            batch.update(self._read_texts([text] if isinstance(text, str) else text, return_tensors))
        return batch

    def _read_texts(self, texts: Sequence[str], return_tensors: str | TensorType | None) -> Mapping[str, Any]:
        """Tokens of texts, where a tokenizer is among the parts."""
        if self.tokenizer is _NO_TOKENS:
            raise InputError("text was given, but this checkpoint has no text tower: leave it out.")
        if not len(texts) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"text is {texts!r}: give one text, or a list of at least one.")
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors=return_tensors)
        return {name: tokens[name] for name in (INPUT_IDS, ATTENTION_MASK)}

    def calibrate(self, trials: Trials, **settings: Any) -> Self:
        """A processor with the statistics of another subject's or session's unlabelled trials.

        Mean and scale are fitted, and where there are enough trials the whitening; see [`calibrated`]. The processor
        says so in `feature_extractor.calibration`, and is saved with it.

        Args:
            trials: single trials; whatever [`read_trials`] takes.
            settings: its other arguments, such as `unit`, `subject` or `interpolate`; names are not looked at.

        Returns:
            A new processor; this one stays as it is.

        Raises:
            InputError: for trials that do not fit the checkpoint, or are too few.
        """
        found = read_trials(trials, self.feature_extractor, **settings, whitened=False)
        new = copy(self)
        new.feature_extractor = calibrated(
            self.feature_extractor, found.values, to_whiten=found.to_whiten, subject=found.subject
        )
        return new

    def picture_inputs(self, pictures: pd.DataFrame) -> dict[str, torch.Tensor]:
        """What besides its pixels a model is given of each picture: nothing, unless a kind of model has more to say.

        Args:
            pictures (`pandas.DataFrame`): rows of a store's picture table, with concepts and captions.

        Returns:
            Names of arguments of the model's `forward` -> tensors (pictures, ...), as ids of the captions' tokens.
        """
        return {}


class NeuroCLIPProcessor(BrainImageProcessor):
    """Trials and pictures -> what [`NeuroCLIPModel`] takes; see [`BrainImageProcessor`]."""


class BrainCLIPProcessor(BrainImageProcessor):
    """Trials, pictures and texts -> what [`BrainCLIPModel`] takes; see [`BrainImageProcessor`].

    Args:
        feature_extractor (`BrainFeatureExtractor`): the brain side.
        image_processor (an image processor of transformers): the picture side.
        tokenizer (a tokenizer of transformers): the tower's own.
        text_template (`str`): the text of a picture without a caption; {} stands for its concept.
    """

    tokenizer: Any = None  # an attribute here, and no property

    def __init__(
        self,
        feature_extractor: BrainFeatureExtractor,
        image_processor: Any,
        tokenizer: Any,
        text_template: str = "an image of {}.",
    ) -> None:
        super().__init__(feature_extractor, image_processor, tokenizer=tokenizer)
        self.text_template = text_template

    @classmethod
    def build(
        cls,
        feature_extractor: BrainFeatureExtractor,
        image_processor: Any,
        tower: str,
        revision: str | None,
        config: Any,
    ) -> Self:
        """See [`BrainImageProcessor.build`].

        Raises:
            InputError: if the tower has no tokenizer.
        """
        try:
            tokenizer = AutoTokenizer.from_pretrained(tower, revision=revision, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{tower} has no tokenizer ({error}): name a complete checkpoint.") from None
        return cls(feature_extractor, image_processor, tokenizer, config.text_template)

    def tokens(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Texts -> `input_ids` and `attention_mask` (texts, tokens), cut to what the text tower reads."""
        return dict(self._read_texts(texts, "pt"))

    def texts(self, pictures: pd.DataFrame) -> list[str]:
        """The text of each picture: its caption, or its concept in `text_template`."""
        captions = pictures[CAPTION] if CAPTION in pictures else [""] * len(pictures)
        pairs = zip(captions, pictures[CONCEPT], strict=True)
        return [caption or self.text_template.format(concept) for caption, concept in pairs]

    def picture_inputs(self, pictures: pd.DataFrame) -> dict[str, torch.Tensor]:
        """Tokens of the pictures' texts, and numbers of their concepts; see [`BrainImageProcessor.picture_inputs`]."""
        concepts = torch.from_numpy(pd.factorize(pictures[CONCEPT])[0])
        return {**self.tokens(self.texts(pictures)), CONCEPT_INDEX: concepts}
