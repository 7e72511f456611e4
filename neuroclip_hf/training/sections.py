"""The sections of a recipe, model, data and training: frozen, and checked when they are made."""

import math
from dataclasses import dataclass, field
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.processing.picture_views import PictureView
from neuroclip_hf.training.kind_settings import DEFAULT_KIND
from neuroclip_hf.training.tracking import NONE, TRACKINGS
from neuroclip_hf.training.values import check_choice

TRIALS, TARGETS = "trials", "targets"
COSINE, CONSTANT = "cosine", "constant"
LEAST, MOST = 2.0**-126, 2.0**60
"""Between these a rate, decay or norm stays a number of float32 in all that AdamW does with it (ours): from the
smallest normal one, to where neither the product of two such values nor a quotient by 1 - beta passes the largest."""
_MOST_OF = {"noise": MOST, "shift": 3600.0, "scaling": math.log(MOST)}  # trials stay finite; an hour holds any trial
_MOST_WORKERS = 128  # ours: more processes than that hold a machine up before they load anything
_OF_FLOAT32 = (
    "learning_rate",
    "prompt_learning_rate",
    "tower_learning_rate",
    "weight_decay",
    "tower_weight_decay",
    "max_grad_norm",
)
OF_THE_MACHINE = ("num_workers", "checkpoint_minutes", "tracking")
"""Settings of a training that its weights do not depend on."""


@dataclass(frozen=True)
class ModelSettings:
    """What is trained.

    Args:
        encoder (`str`): name of an encoder of the registry; "braindecode:EEGNeX" for that class of an installed
            braindecode.
        encoder_settings (`dict`): settings of that encoder; sizes come from the store.
        tower (`str` or None): CLIP vision checkpoint, a folder or a name on the Hub; "small-clip", which None stands
            for, ships with the package; "random" has random weights, and its size unless `tower_settings` say
            otherwise.
        tower_revision (`str` or None): commit or tag of `tower`.
        tower_settings (`dict`): fields of `CLIPVisionConfig` for the random tower.
        tower_dtype (`str` or None): precision of the tower's own weights, "float16" or "bfloat16"; None is float32.
        prompt (`dict` or None): fields of `NeuroPromptConfig`; None leaves the tower unprompted, and its pictures are
            encoded once.
        lora (`dict` or None): fields of peft's `LoraConfig`, such as r, lora_alpha, lora_dropout and target_modules,
            for low-rank adapters on the tower, beside the prompts or instead of them; None for none.
        vision_feature_layers (`list[int]` or None): layers of the tower that are read, 1 being the lowest and -1 the
            highest; None reads its pooled output.
        vision_feature_token (`str`): of those layers, "cls" or the "mean" of the patches.
        brain_projection, image_projection (`str`): into the shared space: "linear", "mlp" or "none".
        projection_dim (`int` or None): size of the shared space; None for that of the tower, where a kind of model
            takes the tower's own.
        logit_scale_init_value (`float`): where the logarithm of the cosines' factor starts, from ln 2 to ln 100.
        kind (`str`): of model, a name of `neuroclip_hf.kinds.KINDS`.
        kind_settings (`dict`): settings that this kind has of its own, as NeuroCLIP's `softening`; recipes may write
            them among the others.
    """

    encoder: str = "eeg_project"
    encoder_settings: dict[str, Any] = field(default_factory=dict)
    tower: str | None = columns.SMALL_CLIP
    tower_revision: str | None = None
    tower_settings: dict[str, Any] = field(default_factory=dict)
    tower_dtype: str | None = None
    prompt: dict[str, Any] | None = field(default_factory=dict)
    lora: dict[str, Any] | None = None
    vision_feature_layers: list[int] | None = None
    vision_feature_token: str = "cls"
    brain_projection: str = "linear"
    image_projection: str = "linear"
    projection_dim: int | None = 512
    logit_scale_init_value: float = math.log(1 / 0.07)
    kind: str = DEFAULT_KIND
    kind_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tower is None:
            object.__setattr__(self, "tower", columns.SMALL_CLIP)


@dataclass(frozen=True)
class DataSettings:
    """Which trials train, which validate, and what a training item is.

    Args:
        split (`str`): "pooled" (the subjects train and are tested together), "intra-subject" (one subject does), or
            "leave-one-subject-out" (`held_out_subject` is tested, no trial of it trains or validates).
        subjects (`list[str]` or None): whose trials train; None takes all of the store, but the one held out.
        held_out_subject (`str` or None): for "leave-one-subject-out", and for nothing else.
        validation (`str`): what is held out of the training trials to choose the epoch: "concepts" (the smaller of 100
            and a tenth), "pictures" (a tenth of each concept's), "trials" (the last run), "sessions" (the last one of
            each subject), "subjects" (one), "store" (the validation split that the store declares), or "auto": the
            store's if it declares one, else concepts, pictures or trials as its protocol asks for. Encoders that are
            solved for choose no epoch: "auto" holds nothing out for them where nothing can be, and "none" never does.
        channels (`list[str]` or None): those of the store that are used, or ["occipital"]; None takes all of them.
        rois (`list[str]` or None): regions of interest whose voxels are used, in place of `channels`; a voxel in
            several counts once. None takes all voxels.
        voxels (`int` or None): how many of those are used: the ones that answer most differently to different concepts
            in the training trials, see `neuroclip_hf.processing.voxel_selection`. None takes all of them.
        window (`list[float]` or None): the part of a trial that is used, in seconds from the onset; None takes all.
        items (`str`): what an epoch goes through: "trials", or "targets", each subject's picture (or concept) once.
        average (`list[int]`): an item is the mean of this many trials of its target, drawn between the two each epoch.
        shift (`float`): largest shift of a trial in time, in seconds.
        noise, channel_dropout, time_mask, scaling, smoothing (`float`): EEG perturbation, see `Perturbation`.
        smoothing_window (`float`): seconds that a smoothed channel is averaged over.
        picture_views (`list[dict]`): fields of `PictureView`; training looks at its pictures like this, at the mean of
            what a tower without adapters says of several. Empty: at the pictures themselves. Validation and
            evaluation always look at the pictures themselves (ours).
    """

    split: str = columns.POOLED
    subjects: list[str] | None = None
    held_out_subject: str | None = None
    validation: str = columns.AUTO
    channels: list[str] | None = None
    rois: list[str] | None = None
    voxels: int | None = None
    window: list[float] | None = None
    items: str = TRIALS
    average: list[int] = field(default_factory=lambda: [1, 1])
    noise: float = 0.0
    shift: float = 0.0
    channel_dropout: float = 0.0
    time_mask: float = 0.0
    scaling: float = 0.0
    smoothing: float = 0.0
    smoothing_window: float = 0.02
    picture_views: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_choice("split", self.split, columns.SUBJECT_SPLITS)
        check_choice("validation", self.validation, columns.VALIDATIONS)
        check_choice("items", self.items, (TRIALS, TARGETS))
        self.views()
        if len(self.average) == 1:  # average=4: always four
            object.__setattr__(self, "average", self.average * 2)
        if len(self.average) != 2 or not 1 <= self.average[0] <= self.average[1]:
            raise InputError(f"average is {self.average}: give two whole numbers, 1 or more, as in average=[1,4].")
        if self.subjects is not None and not self.subjects:
            raise InputError("subjects is []: name at least one, or say null for all of them.")
        if self.rois is not None and (not self.rois or self.channels is not None):
            what = f"channels is {self.channels}" if self.rois else "none is named"
            raise InputError(
                f"rois is {self.rois}, and {what}: name regions, as in rois=[V1,V2], or channels, or neither."
            )
        if self.voxels is not None and self.voxels < 1:
            raise InputError(f"voxels is {self.voxels}: it must be 1 or more, or null for all of them.")
        for name, most in _MOST_OF.items():
            if not 0 <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}: it must be zero or more, and at most {most:.3g}.")
        for name in ("channel_dropout", "time_mask"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it must be from 0 to below 1.")
        if not 0 <= self.smoothing <= 1:
            raise InputError(f"smoothing is {self.smoothing}: it is the probability of a channel, from 0 to 1.")
        if not 0 < self.smoothing_window < math.inf:
            raise InputError(f"smoothing_window is {self.smoothing_window}: it must be above zero, in seconds.")

    def views(self) -> list[PictureView]:
        """`picture_views`, checked."""
        return [PictureView.of(view) for view in self.picture_views]


@dataclass(frozen=True)
class TrainingSettings:
    """How it is trained.

    Args:
        epochs (`int`): passes over the training items.
        batch_size (`int`): items a step, over all processes together.
        learning_rate, weight_decay (`float`): of AdamW; biases, norms and prompts are not decayed. Without decay AdamW
            is Adam.
        betas (`list[float]`): of AdamW: how much of its two means of gradients each step keeps.
        prompt_learning_rate (`float` or None): of the prompts; None takes `learning_rate`.
        tower_learning_rate, tower_weight_decay (`float` or None): of other adapters in the tower (a LoRA); None takes
            `learning_rate` and `weight_decay`.
        warmup (`float`): part of the steps over which the rates rise.
        schedule (`str`): what they do afterwards: "cosine", along which they fall to zero, or "constant".
        halve_after (`int` or None): epochs after which the rates are half of that, whatever the schedule; None never.
        max_grad_norm (`float` or None): gradients are clipped to this norm; None does not clip.
        selection (`str`): which epoch is kept, judged on validation: "loss" (lowest), "top1" (highest), or "last".
        mixed_precision (`str`): "no", "fp16" or "bf16", as Accelerate names them.
        sampling (`str`): which trials meet in a batch: "shuffled", "subjects-by-pictures" (the same pictures by
            several subjects), "class-balanced" (concepts in equal shares, where trials know only few concepts), or
            "auto", see `neuroclip_hf.data.sampling.choose_sampling`.
        picture_chunk_size (`int` or None): pictures that pass the tower at once, on each process; None for all of a
            batch. Fewer need less memory and one more pass; loss and gradients stay those of the whole batch.
        gradient_checkpointing (`bool`): recompute the tower's layers in the backward pass, which saves their memory.
        mmd_weight (`list[float]` or None): share of the loss that is the distance between subjects (MMD) rather than
            the contrastive loss, in the first and in the last epoch of `mmd_epochs`, between which it changes evenly;
            None for none. See `neuroclip_hf.training.objective`.
        mmd_epochs (`int` or None): epochs in which it counts; None for all of them.
        tracking (`str`): "tensorboard" (its files lie in `tensorboard` beside the run), "trackio" or "none"; a line of
            JSON an epoch is always written.
        num_workers (`int` or None): processes that load data, for each process that trains; what they load does not
            depend on it. None: none on a CPU; on a GPU up to 8, see `neuroclip_hf.training.loading.choose_workers`.
        checkpoint_minutes (`float` or None): a checkpoint is written after the first step that ends so long after the
            last one; 0 writes one after every step, None writes none. 10 minutes of work are the most that is lost
            then (ours).
        seed (`int`): of weights, order, dropout, perturbation and validation.
    """

    epochs: int = 40
    batch_size: int = 256
    learning_rate: float = 3e-4
    weight_decay: float = 1e-2
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    prompt_learning_rate: float | None = None
    tower_learning_rate: float | None = None
    tower_weight_decay: float | None = None
    warmup: float = 0.05
    schedule: str = COSINE
    halve_after: int | None = None
    max_grad_norm: float | None = 1.0
    selection: str = "loss"
    mixed_precision: str = "no"
    sampling: str = columns.AUTO
    picture_chunk_size: int | None = None
    gradient_checkpointing: bool = False
    mmd_weight: list[float] | None = None
    mmd_epochs: int | None = None
    tracking: str = NONE
    num_workers: int | None = None
    checkpoint_minutes: float | None = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise InputError(f"batch_size is {self.batch_size}: a contrastive loss needs at least 2.")
        for name in ("epochs", "learning_rate"):
            self._check_number(name, above=True)
        for name in ("weight_decay", "seed"):
            self._check_number(name)
        for name in ("prompt_learning_rate", "tower_learning_rate", "max_grad_norm"):
            self._check_number(name, above=True, optional=True)
        for name in ("checkpoint_minutes", "num_workers", "tower_weight_decay"):
            self._check_number(name, optional=True)
        if self.num_workers is not None and self.num_workers > _MOST_WORKERS:
            raise InputError(f"num_workers is {self.num_workers}: it must be at most {_MOST_WORKERS}.")
        for name in _OF_FLOAT32:
            self._check_float32(name)
        for name in ("picture_chunk_size", "halve_after", "mmd_epochs"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it must be 1 or more, or null.")
        if self.seed >= 2**32:
            raise InputError(f"seed is {self.seed}: it must be below 2 ** 32.")
        if not 0 <= self.warmup < 1:
            raise InputError(f"warmup is {self.warmup}: it is a part of the steps, from 0 to below 1.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas is {self.betas}: give two numbers from 0 to below 1, as in betas=[0.9,0.999].")
        weight = self.mmd_weight
        if weight is not None and (len(weight) != 2 or not all(0 <= part <= 1 for part in weight)):
            raise InputError(f"mmd_weight is {weight}: give two parts from 0 to 1, as in mmd_weight=[0.9,0.5].")
        if weight is None and self.mmd_epochs is not None:
            raise InputError(f"mmd_epochs is {self.mmd_epochs}, but mmd_weight is null: give one, or leave both out.")
        check_choice("tracking", self.tracking, TRACKINGS)
        check_choice("schedule", self.schedule, (COSINE, CONSTANT))
        check_choice("selection", self.selection, ("loss", "top1", "last"))
        check_choice("mixed_precision", self.mixed_precision, ("no", "fp16", "bf16"))
        check_choice("sampling", self.sampling, columns.SAMPLINGS)

    def _check_float32(self, name: str) -> None:
        value = getattr(self, name)
        if value and not LEAST <= value <= MOST:
            raise InputError(f"{name} is {value}: float32 works with {LEAST:.3g} to {MOST:.3g}.")

    def _check_number(self, name: str, above: bool = False, optional: bool = False) -> None:
        value = getattr(self, name)
        if optional and value is None:
            return
        if not 0 <= value < math.inf or (above and value == 0):
            bound = "above zero" if above else "zero or more"
            raise InputError(f"{name} is {value}: it must be {bound}{', or null' if optional else ''}.")
