"""`transformers.pipeline("brain-image-retrieval")`: recordings in, pictures' ids with scores out."""

from collections.abc import Sequence
from dataclasses import asdict
from inspect import signature
from types import GeneratorType
from typing import Any

from transformers import AutoModel
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.base import Pipeline

from neuroclip_hf.errors import InputError
from neuroclip_hf.galleries.gallery import embed_gallery
from neuroclip_hf.galleries.index.searching import as_searchable
from neuroclip_hf.galleries.retrieving import check_sizes, embed_read, rank, read_queries
from neuroclip_hf.galleries.searchable import SearchableGallery
from neuroclip_hf.models.brain_image.modeling_brain_image import BrainImageModel
from neuroclip_hf.processing.embedding import BATCH
from neuroclip_hf.processing.inputs import read_trials
from neuroclip_hf.processing.processing_brain import BrainImageProcessor

TASK = "brain-image-retrieval"
_READING = {"single_trials", "calibrate"} | {
    name for name in signature(read_trials).parameters if name not in ("trials", "form", "whitened")
}
_LOADING = {"local_files_only"}  # of transformers.pipeline, which hands it on


class BrainImageRetrievalPipeline(Pipeline):
    """Recordings of somebody who looked at pictures -> for each picture shown, those of a gallery that fit best.

    ```python
    import neuroclip_hf
    from transformers import pipeline

    find = pipeline("brain-image-retrieval", model="user/name")
    find(epochs, gallery="pictures/", top_k=5)["queries"][0]["matches"]
    ```

    It gives what `neuroclip retrieve` gives. A setting of a call may also be given when the pipeline is made.
    """

    _load_processor = True
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.model, BrainImageModel):
            raise InputError(
                f"{TASK} takes a model of recordings and pictures, not a {type(self.model).__name__}: name another."
            )
        if not isinstance(self.processor, BrainImageProcessor):
            raise InputError(f"{TASK} needs the model's processor: pass processor= beside the model.")
        self.model.eval()

    def __call__(self, trials: Any, *, batch_size: int | None = None, **settings: Any) -> Any:
        """Find what fits trials best.

        Args:
            trials: `mne.Epochs`, `mne.io.Raw` with annotations, an array, a mapping or a file, see [`read_trials`]; or
                a list or generator of these.
            batch_size (`int`, *optional*): queries, or pictures, that are encoded at once.
            settings: `gallery`, what [`as_searchable`] takes (pictures, texts, an index); `top_k` (5), how many
                entries a query; `templates` of prompts for texts; `single_trials` and `calibrate`, see
                [`read_queries`]; and what [`read_trials`] is told of an array (`channel_names`, `sampling_rate`,
                `unit`, ...), of bad channels (`interpolate`) and of the `subject`.

        Returns:
            A [`Retrieval`] as plain values: `queries`, each with `name`, how many `trials` were averaged, `target` and
            `matches` (`image_id`, `score`, `right`), best first; `gallery_size`, `tier`, `calibration`, `notes`. Of a
            list a list, of a generator a generator.

        Raises:
            InputError: for an unknown setting, a missing gallery, or trials that do not fit the checkpoint.
        """
        parameters = self._sanitize_parameters(batch_size=batch_size, **settings)
        reading, encoding, ranking = (
            {**before, **now}
            for before, now in zip(
                (self._preprocess_params, self._forward_params, self._postprocess_params), parameters, strict=True
            )
        )
        if "gallery" not in encoding:
            raise InputError("There is no gallery: pass gallery=, a folder, a dataset, a list of pictures or texts.")
        check_sizes(ranking.get("top_k", 1), encoding.get("batch_size", 1))
        encoding["gallery"] = as_searchable(encoding["gallery"])
        if isinstance(encoding["gallery"], SearchableGallery):
            encoding["gallery"].check(self.model, self.processor)
        if isinstance(trials, GeneratorType):
            return (self.run_single(one, reading, encoding, ranking) for one in trials)
        if isinstance(trials, list | tuple):
            if len(trials) > 1:
                encoding["gallery"] = self.embed_gallery(**encoding)
                encoding.pop("templates", None)
            return [self.run_single(one, reading, encoding, ranking) for one in trials]
        return self.run_single(trials, reading, encoding, ranking)

    def embed_gallery(
        self, gallery: Any, *, templates: Sequence[str] | None = None, batch_size: int = BATCH
    ) -> SearchableGallery:
        """Embed a gallery once, to be passed as `gallery` many times; see [`neuroclip_hf.galleries.embed_gallery`]."""
        with self.device_placement():
            return embed_gallery(self.model, self.processor, gallery, templates=templates, batch_size=batch_size)

    def preprocess(self, trials: Any, **settings: Any) -> dict[str, Any]:
        """Trials to [`Queries`]."""
        return {"queries": read_queries(self.processor, trials, **settings)}

    def _forward(
        self,
        model_inputs: dict[str, Any],
        gallery: Any = None,
        templates: Sequence[str] | None = None,
        batch_size: int = BATCH,
    ) -> dict[str, Any]:
        queries = model_inputs["queries"]
        embeds = embed_read(self.model, queries, batch_size)
        embedded = self.embed_gallery(gallery, templates=templates, batch_size=batch_size)
        return {"queries": queries, "embeds": embeds, "embedded": embedded}

    def postprocess(self, model_outputs: dict[str, Any], top_k: int = 5) -> dict[str, Any]:
        """Embeddings to the entries that fit best, as plain values."""
        return asdict(rank(model_outputs["queries"], model_outputs["embeds"], model_outputs["embedded"], top_k))

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Save model and processor as a checkpoint, which the pipeline loads; no code goes with it."""
        self.model.save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory, **kwargs)

    def _sanitize_parameters(self, **settings: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known: tuple[set[str], ...] = (_READING, {"gallery", "templates", "batch_size"}, {"top_k"})
        unknown = sorted(set(settings) - set().union(*known) - _LOADING)
        if unknown:
            raise InputError(
                f"{TASK} has no setting {unknown[0]!r}: there are {', '.join(sorted(set().union(*known)))}."
            )
        given = {name: value for name, value in settings.items() if value is not None}
        reading, encoding, ranking = ({name: given[name] for name in given if name in part} for part in known)
        return reading, encoding, ranking


PIPELINE_REGISTRY.register_pipeline(TASK, BrainImageRetrievalPipeline, pt_model=AutoModel)
