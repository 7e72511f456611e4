"""What decides how pictures are generated."""

from dataclasses import dataclass
from typing import Any

from neuroclip_hf import columns
from neuroclip_hf.data.queries import require_tested_split
from neuroclip_hf.errors import InputError

UNCLIP, KANDINSKY, IP_ADAPTER = "unclip", "kandinsky", "ip-adapter"
METHODS = (UNCLIP, KANDINSKY, IP_ADAPTER)
BY_TRAINING, BY_QUERIES = "training", "queries"
MOMENTS = (BY_TRAINING, BY_QUERIES)
DEFAULT_STEPS = 20
DEFAULT_GUIDANCE = {UNCLIP: 10.0, KANDINSKY: 4.0, IP_ADAPTER: 7.5}
"""What each pipeline of diffusers takes if nothing is said."""


@dataclass(frozen=True)
class GenerationSettings:
    """How pictures are generated. All of it, but `limit`, decides what a picture looks like.

    Args:
        pipeline (`str`): folder, or name on the Hub, of a pipeline of diffusers with weights in safetensors.
        method (`str`, *optional*): "unclip", "kandinsky" or "ip-adapter"; by default what the pipeline's class says.
        revision (`str`, *optional*): branch, tag or commit of a pipeline on the Hub.
        image_encoder (`str`, *optional*): folder or name on the Hub of the CLIP vision tower whose embeddings the
            pipeline takes, at its top or in a folder `image_encoder`; by default the pipeline's own. Kandinsky's is
            part of its prior, so there it must be said.
        ip_adapter (`str`, *optional*): for "ip-adapter", a `.safetensors` file, or REPOSITORY:PATH of one on the Hub.
        steps (`int`): denoising steps (20: ours, as diffusers' unCLIP).
        guidance (`float`, *optional*): guidance scale; by default 10 for unCLIP, 4 for Kandinsky, 7.5 for IP-Adapter.
        seed (`int`): of the start noise, which hangs on it and on the query alone.
        trials (`str`): "test", or "imagery" for what was imagined.
        moments (`str`): which recordings' mean and standard deviation are replaced by those of training pictures.
            "training" takes those of the training trials, so that a picture hangs on its own recording alone (ours).
            "queries" takes those of all queries, as published methods do; the report then says "transductive".
        limit (`int`, *optional*): so many queries, the first; all by default.

    Raises:
        InputError: for an impossible value.
    """

    pipeline: str
    method: str | None = None
    revision: str | None = None
    image_encoder: str | None = None
    ip_adapter: str | None = None
    steps: int = DEFAULT_STEPS
    guidance: float | None = None
    seed: int = 0
    trials: str = columns.TEST
    moments: str = BY_TRAINING
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.method is not None:
            _require_one_of("method", self.method, METHODS)
        require_tested_split(self.trials)
        _require_one_of("moments", self.moments, MOMENTS)
        _require_whole("steps", self.steps, 1)
        _require_whole("seed", self.seed, 0)
        if self.limit is not None:
            _require_whole("limit", self.limit, 1)
        if self.guidance is not None and not 0 <= self.guidance <= 100:  # NaN too
            raise InputError(f"guidance is {self.guidance}: it must be a number from 0 to 100.")

    def guidance_of(self, method: str) -> float:
        """The guidance scale that a method is called with.

        Raises:
            InputError: for IP-Adapter without guidance: its pipeline would then take the negative half of what it is
                given for a second picture, without a word.
        """
        guidance = DEFAULT_GUIDANCE[method] if self.guidance is None else self.guidance
        if method == IP_ADAPTER and guidance <= 1:
            raise InputError(f"guidance is {guidance}: an IP-Adapter pipeline needs more than 1.")
        return guidance


def _require_one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} is {value!r}: choose one of {', '.join(known)}.")


def _require_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} is {value!r}: it must be a whole number of at least {least}.")
