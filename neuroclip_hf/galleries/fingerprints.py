"""Which model embedded a gallery: digests that another checkpoint, or another tower, does not have."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.models.tower_loading import fingerprint_of
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

CHECKPOINT, TOWER = "checkpoint", "tower"
# What a configuration says of itself that changes no embedding.
_NO_MATTER = frozenset({"_name_or_path", "name_or_path", "processor_class", "transformers_version", "architectures"})


def model_fingerprints(model: Any, processor: BrainImageProcessor) -> dict[str, str]:
    """Digests of all that the embeddings of a gallery, and their comparison with recordings, depend on.

    Args:
        model (`BrainImageModel`): of the checkpoint.
        processor (`BrainImageProcessor`): of the checkpoint.

    Returns:
        `tower`, of the vision tower's own weights; `checkpoint`, of all other weights (encoder, prompts, projections),
        of the layers that are read, and of what is done to a picture.

    Raises:
        InputError: if the model was loaded without its tower.
    """
    tower = model.tower_fingerprint()
    of_towers = set(model._tower_keys())
    others = {name: tensor for name, tensor in model.state_dict().items() if name not in of_towers}
    settings = {
        "model_type": model.config.model_type,
        "layers": model.config.feature_layers,
        "token": model.config.vision_feature_token,
        "preprocessing": _plain(processor.image_processor.to_dict()),
    }
    digest = hashlib.sha256(fingerprint_of(others).encode())
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return {CHECKPOINT: digest.hexdigest(), TOWER: tower}


def refuse_another(what: str, known: Mapping[str, Any], mine: Mapping[str, str], remedy: str) -> None:
    """Refuse what another model made.

    Args:
        what (`str`): what it made, for the message.
        known (`Mapping`): fingerprints that were written down then.
        mine (`Mapping`): of the model at hand, from [`model_fingerprints`].
        remedy (`str`): what to do about it, for the message.

    Raises:
        InputError: naming tower or checkpoint, and both fingerprints.
    """
    for part in (TOWER, CHECKPOINT):  # another tower is another checkpoint too, and says more
        if known.get(part) != mine[part]:
            theirs = str(known.get(part))[:12]
            raise InputError(
                f"{what} was made by another {part} ({theirs}, and this one is {mine[part][:12]}): {remedy}"
            )


def ids_digest(ids: tuple[str, ...], root: Path | None) -> str:
    """A digest of the entries of a gallery, in order; of files below `root` their sizes and times count too."""
    digest = hashlib.sha256()
    for name in ids:
        digest.update(name.encode() + b"\n")
        if root is not None:
            found = (root / name).stat()
            digest.update(f"{found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in _NO_MATTER}
