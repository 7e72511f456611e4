"""Settings of an experiment: frozen, checked when they are made, misspelt names refused."""

import difflib
import math
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from neuroclip_hf import columns
from neuroclip_hf.errors import InputError
from neuroclip_hf.files import write_text
from neuroclip_hf.training.values import check_choice, checked, read_yaml

RECIPES = Path(__file__).parent.parent / "recipes"
Settings = TypeVar("Settings")
ACCUMULATION = "gradient_accumulation"
ACCUMULATION_REMEDY = (
    "To save memory keep the batch and let pictures pass the tower in chunks (picture_chunk_size), or use more "
    "processes."
)


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
        vision_feature_layers (`list[int]` or None): layers of the tower that are read, 1 being the lowest and -1 the
            highest; None reads its pooled output.
        vision_feature_token (`str`): of those layers, "cls" or the "mean" of the patches.
        brain_projection, image_projection (`str`): into the shared space: "linear", "mlp" or "none".
        projection_dim (`int`): size of the shared space.
        softening, softening_temperature (`float` or None): of the softened contrastive loss; None is the model's
            default, see [`NeuroCLIPConfig`].
    """

    encoder: str = "eeg_project"
    encoder_settings: dict[str, Any] = field(default_factory=dict)
    tower: str | None = columns.SMALL_CLIP
    tower_revision: str | None = None
    tower_settings: dict[str, Any] = field(default_factory=dict)
    tower_dtype: str | None = None
    prompt: dict[str, Any] | None = field(default_factory=dict)
    vision_feature_layers: list[int] | None = None
    vision_feature_token: str = "cls"
    brain_projection: str = "linear"
    image_projection: str = "linear"
    projection_dim: int = 512
    softening: float | None = None
    softening_temperature: float | None = None

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
            store's if it declares one, else concepts, pictures or trials as its protocol asks for.
        average (`list[int]`): an item is the mean of this many trials of its target, drawn between the two each epoch.
        shift (`float`): largest shift of a trial in time, in seconds.
        noise, channel_dropout, time_mask, scaling (`float`): EEG perturbation, see `Perturbation`.
    """

    split: str = columns.POOLED
    subjects: list[str] | None = None
    held_out_subject: str | None = None
    validation: str = columns.AUTO
    average: list[int] = field(default_factory=lambda: [1, 1])
    noise: float = 0.0
    shift: float = 0.0
    channel_dropout: float = 0.0
    time_mask: float = 0.0
    scaling: float = 0.0

    def __post_init__(self) -> None:
        check_choice("split", self.split, columns.SUBJECT_SPLITS)
        check_choice("validation", self.validation, columns.VALIDATIONS)
        if len(self.average) == 1:  # average=4: always four
            object.__setattr__(self, "average", self.average * 2)
        if len(self.average) != 2 or not 1 <= self.average[0] <= self.average[1]:
            raise InputError(f"average is {self.average}: give two whole numbers, 1 or more, as in average=[1,4].")
        if self.subjects is not None and not self.subjects:
            raise InputError("subjects is []: name at least one, or say null for all of them.")
        for name in ("noise", "shift", "scaling"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}: it must be zero or more.")
        for name in ("channel_dropout", "time_mask"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: it must be from 0 to below 1.")


@dataclass(frozen=True)
class TrainingSettings:
    """How it is trained.

    Args:
        epochs (`int`): passes over the training items.
        batch_size (`int`): items a step, over all processes together.
        learning_rate, weight_decay (`float`): of AdamW; biases, norms and prompts are not decayed.
        prompt_learning_rate (`float` or None): of the prompts; None takes `learning_rate`.
        warmup (`float`): part of the steps over which the rate rises; it falls along a cosine afterwards.
        max_grad_norm (`float`): gradients are clipped to this norm.
        selection (`str`): which epoch is kept, judged on validation: "loss" (lowest), "top1" (highest), or "last".
        mixed_precision (`str`): "no", "fp16" or "bf16", as Accelerate names them.
        sampling (`str`): which trials meet in a batch: "shuffled", "subjects-by-pictures" (the same pictures by
            several subjects), "class-balanced" (concepts in equal shares, where trials know only few concepts), or
            "auto", see `neuroclip_hf.data.sampling.choose_sampling`.
        picture_chunk_size (`int` or None): pictures that pass the tower at once, on each process; None for all of a
            batch. Fewer need less memory and one more pass; loss and gradients stay those of the whole batch.
        num_workers (`int`): processes that load data; the order does not depend on it.
        checkpoint_minutes (`float` or None): a checkpoint is written after the first step that ends so long after the
            last one; 0 writes one after every step, None writes none. 10 minutes of work are the most that is lost
            then (ours).
        seed (`int`): of weights, order, dropout, perturbation and validation.
    """

    epochs: int = 40
    batch_size: int = 256
    learning_rate: float = 3e-4
    weight_decay: float = 1e-2
    prompt_learning_rate: float | None = None
    warmup: float = 0.05
    max_grad_norm: float = 1.0
    selection: str = "loss"
    mixed_precision: str = "no"
    sampling: str = columns.AUTO
    picture_chunk_size: int | None = None
    num_workers: int = 0
    checkpoint_minutes: float | None = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise InputError(f"batch_size is {self.batch_size}: a contrastive loss needs at least 2.")
        for name in ("epochs", "learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}: it must be above zero.")
        for name in ("weight_decay", "num_workers", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}: it must be zero or more.")
        if self.seed >= 2**32:
            raise InputError(f"seed is {self.seed}: it must be below 2 ** 32.")
        if self.picture_chunk_size is not None and self.picture_chunk_size < 1:
            raise InputError(f"picture_chunk_size is {self.picture_chunk_size}: it must be 1 or more, or null.")
        if self.checkpoint_minutes is not None and not 0 <= self.checkpoint_minutes < math.inf:
            raise InputError(f"checkpoint_minutes is {self.checkpoint_minutes}: it must be zero or more, or null.")
        if self.prompt_learning_rate is not None and not 0 < self.prompt_learning_rate < math.inf:
            raise InputError(f"prompt_learning_rate is {self.prompt_learning_rate}: it must be above zero, or null.")
        if not 0 <= self.warmup < 1:
            raise InputError(f"warmup is {self.warmup}: it is a part of the steps, from 0 to below 1.")
        check_choice("selection", self.selection, ("loss", "top1", "last"))
        check_choice("mixed_precision", self.mixed_precision, ("no", "fp16", "bf16"))
        check_choice("sampling", self.sampling, columns.SAMPLINGS)


@dataclass(frozen=True)
class Recipe:
    """One experiment: a YAML file of one screen, with the sections `model`, `data` and `training`."""

    name: str = "neuroclip"
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON."""
        return asdict(self)

    def save(self, path: str | Path) -> None:
        """Write the recipe as YAML; [`load_recipe`] reads it back."""
        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False))


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name_or_path: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe by name, or from a YAML file.

    Args:
        name_or_path (`str` or `Path`): one of [`recipe_names`], or a file.
        overrides (`dict`): setting -> value; a setting is named alone (`epochs`) or with its section
            (`training.epochs`), and deeper ones with dots (`model.prompt.num_prompt_tokens`).

    Raises:
        InputError: for an unknown recipe, an unknown setting (with the nearest one), or a value of another type.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPES / f"{name_or_path}.yaml"
        if not path.is_file():
            raise InputError(
                f"Recipe {str(name_or_path)!r} is unknown: name a .yaml file, or one that comes with the package; "
                f"{_nearest(str(name_or_path), recipe_names())}"
            )
    try:
        values = read_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as a recipe: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is not a recipe: it must hold the sections model, data and training.")
    values = {"name": path.stem, **values}
    for name, value in (overrides or {}).items():
        _override(values, name, value)
    return _build(Recipe, values, str(path), "")


def parse_overrides(texts: list[str]) -> dict[str, Any]:
    """`["epochs=3", "average=[1,4]"]` -> `{"epochs": 3, "average": [1, 4]}`; values are YAML."""
    overrides: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"{text!r} is not a setting: write name=value, as in epochs=20.")
        try:
            overrides[name.strip()] = read_yaml(value)
        except yaml.YAMLError:
            raise InputError(f"{text!r}: the value cannot be read; quote it, as in name='\"text\"'.") from None
    return overrides


def _override(values: dict[str, Any], name: str, value: Any) -> None:
    sections = {section: {f.name for f in fields(kind)} for section, kind in _sections().items()}
    parts = name.split(".")
    if parts[0] not in sections and parts[0] != "name":
        owners = [section for section, names in sections.items() if parts[0] in names]
        if not owners:
            known = sorted(names for section in sections.values() for names in section)
            raise InputError(
                f"Setting {name!r} is unknown: {_nearest(parts[0], known)} Settings of a part are written "
                f"encoder_settings.{name}, tower_settings.{name} or prompt.{name}."
            )
        parts = [owners[0], *parts]
    place = values
    for part in parts[:-1]:
        if not isinstance(place.get(part), dict):
            place[part] = {}
        place = place[part]
    place[parts[-1]] = value


def _sections() -> dict[str, Any]:
    return {f.name: f.default.__class__ for f in fields(Recipe) if is_dataclass(f.default)}


def _build(kind: type[Settings], values: Any, path: str, section: str) -> Settings:
    if not isinstance(values, dict):
        raise InputError(f"{path}: {section or 'the recipe'} must hold settings, not {values!r}.")
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    arguments = {}
    for name, value in values.items():
        where = f"{section}.{name}" if section else name
        if name not in known:
            raise InputError(f"{path}: setting {where!r} is unknown: {_nearest(str(name), known)}")
        if is_dataclass(hints[name]):
            value = _build(hints[name], value, path, where)
        arguments[name] = checked(value, hints[name], path, where)
    return kind(**arguments)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if ACCUMULATION in name:
        return f"accumulated gradients tell each picture from fewer others. {ACCUMULATION_REMEDY}"
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
