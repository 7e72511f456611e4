"""Brain embeddings to pictures, through pipelines of diffusers, with the controls that such pictures need."""

from neuroclip_hf.generation.controls import CONTROLS, GENERATED, KINDS, MEAN, NEAREST, SHUFFLED
from neuroclip_hf.generation.generate import generate
from neuroclip_hf.generation.report import GenerationReport, read_generation
from neuroclip_hf.generation.settings import METHODS, GenerationSettings

__all__ = [
    "GenerationSettings",
    "METHODS",
    "generate",
    "GenerationReport",
    "read_generation",
    "KINDS",
    "GENERATED",
    "CONTROLS",
    "SHUFFLED",
    "MEAN",
    "NEAREST",
]
