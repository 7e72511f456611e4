"""What a training makes recordings land near: pictures, or what a tower without adapters says of them once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from neuroclip_hf.data.store import TrialStore
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.processing.collator import PictureSet
from neuroclip_hf.processing.embedding import BATCH, embed_pictures, embed_pictures_frozen, inference
from neuroclip_hf.processing.image_features import ImageFeatureCache
from neuroclip_hf.processing.picture_views import PictureView, ViewOpener
from neuroclip_hf.processing.processing_brain import BrainImageProcessor


@dataclass(frozen=True)
class TrainingPictures:
    """The pictures of a training, as it looks at them.

    Args:
        pictures (`PictureSet`): what goes through the tower, where it is adapted.
        features (`torch.Tensor`): (pictures, num_layers, width), what the tower without adapters says of them.
        embeds (`torch.Tensor`): (pictures, projection_dim), where the model puts them before it is trained.
    """

    pictures: PictureSet
    features: torch.Tensor
    embeds: torch.Tensor


def look_at_pictures(
    model: BrainImageModel, pictures: PictureSet, sets: Iterable[PictureSet], cache: ImageFeatureCache | None
) -> TrainingPictures:
    """Encode the pictures of a training once.

    Args:
        model (`BrainImageModel`): whose tower it is.
        pictures (`PictureSet`): the pictures themselves.
        sets (iterable of `PictureSet`): the same in each view, see [`picture_sets`]; the mean of the features is
            taken. Empty: the pictures themselves.
        cache (`ImageFeatureCache`, *optional*): where pictures that were encoded before are looked up.
    """
    total, count = None, 0
    for each in sets:
        features = embed_pictures_frozen(model, each, cache)
        total, count = features if total is None else total + features, count + 1
        if model.needs_pictures:  # a tower with adapters looks at one view
            return TrainingPictures(each, features, embed_pictures(model, each, "centring"))
    if total is None:
        features = embed_pictures_frozen(model, pictures, cache)
        if model.needs_pictures:
            return TrainingPictures(pictures, features, embed_pictures(model, pictures, "centring"))
        return TrainingPictures(pictures, features, project_frozen(model, features))
    features = total / count
    return TrainingPictures(pictures, features, project_frozen(model, features))


def picture_sets(
    store: TrialStore,
    image_ids: Sequence[str],
    processor: BrainImageProcessor,
    views: Sequence[PictureView],
    seed: int,
) -> Iterator[PictureSet]:
    """The pictures in each view, in order; noise depends on seed, view and picture alone.

    One after the other, since each keeps its pictures in memory.
    """
    for number, view in enumerate(views):
        yield PictureSet(ViewOpener(store.open_picture, view, seed, number), image_ids, processor)


def project_frozen(model: BrainImageModel, features: torch.Tensor) -> torch.Tensor:
    """Where a model without adapters puts pictures of known features (pictures, num_layers, width), on the CPU."""
    with inference(model):
        parts = [model.embed_pictures(None, part.to(model.device), False)[0] for part in features.split(BATCH)]
    return torch.cat([part.float().cpu() for part in parts if part is not None])
