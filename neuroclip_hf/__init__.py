"""Brain recordings to pictures: small modules around a frozen CLIP, retrieval, and sharing on the Hub.

The public names below are loaded when they are first used, so that `import neuroclip_hf` is quick and imports no
torch. The first model or adapter name also registers the models with transformers' Auto classes and NeuroPrompt
with peft, as does transformers' `pipelines` once somebody imports it beside this package; a program that only loads by
Auto class says `import neuroclip_hf` and calls [`register`].
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from neuroclip_hf.errors import InputError
from neuroclip_hf.import_hook import when_loaded

if TYPE_CHECKING:
    from neuroclip_hf.adapters.neuro_prompt import NeuroPromptConfig, NeuroPromptModel
    from neuroclip_hf.data.store import TrialStore
    from neuroclip_hf.data.trials import TrialDataset
    from neuroclip_hf.metrics.prediction import retrieval_metrics
    from neuroclip_hf.models.brainclip import BrainCLIPConfig, BrainCLIPModel
    from neuroclip_hf.models.neuroclip import NeuroCLIPConfig, NeuroCLIPModel
    from neuroclip_hf.pipelines import BrainImageRetrievalPipeline
    from neuroclip_hf.processing.collator import BrainImageCollator
    from neuroclip_hf.processing.feature_extraction_brain import BrainFeatureExtractor
    from neuroclip_hf.processing.processing_brain import BrainCLIPProcessor, NeuroCLIPProcessor
    from neuroclip_hf.training.dataset_epochs import DatasetEpochs

__version__ = "0.1.0"

__all__ = [
    "BrainCLIPConfig",
    "BrainCLIPModel",
    "BrainCLIPProcessor",
    "BrainFeatureExtractor",
    "BrainImageCollator",
    "BrainImageRetrievalPipeline",
    "DatasetEpochs",
    "InputError",
    "NeuroCLIPConfig",
    "NeuroCLIPModel",
    "NeuroCLIPProcessor",
    "NeuroPromptConfig",
    "NeuroPromptModel",
    "TrialDataset",
    "TrialStore",
    "__version__",
    "register",
    "retrieval_metrics",
]

_HOMES = {
    "BrainCLIPConfig": "neuroclip_hf.models.brainclip",
    "BrainCLIPModel": "neuroclip_hf.models.brainclip",
    "BrainCLIPProcessor": "neuroclip_hf.processing.processing_brain",
    "BrainFeatureExtractor": "neuroclip_hf.processing.feature_extraction_brain",
    "BrainImageCollator": "neuroclip_hf.processing.collator",
    "BrainImageRetrievalPipeline": "neuroclip_hf.pipelines",
    "DatasetEpochs": "neuroclip_hf.training.dataset_epochs",
    "NeuroCLIPConfig": "neuroclip_hf.models.neuroclip",
    "NeuroCLIPModel": "neuroclip_hf.models.neuroclip",
    "NeuroCLIPProcessor": "neuroclip_hf.processing.processing_brain",
    "NeuroPromptConfig": "neuroclip_hf.adapters.neuro_prompt",
    "NeuroPromptModel": "neuroclip_hf.adapters.neuro_prompt",
    "TrialDataset": "neuroclip_hf.data.trials",
    "TrialStore": "neuroclip_hf.data.store",
    "retrieval_metrics": "neuroclip_hf.metrics.prediction",
}


def register() -> None:
    """Make transformers' Auto classes and peft know this package's models, processor and adapter.

    May be called repeatedly.
    """
    import_module("neuroclip_hf.adapters")
    import_module("neuroclip_hf.kinds").register_kinds()


def _register_pipeline() -> None:
    register()
    import_module("neuroclip_hf.pipelines")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    if home.startswith(("neuroclip_hf.models.", "neuroclip_hf.adapters.")):
        register()
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


when_loaded("transformers.pipelines", _register_pipeline)
