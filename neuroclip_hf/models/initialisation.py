"""Start weights of our own layers: torch's, not those of transformers."""

from torch import nn


def initialise_as_torch(module: nn.Module) -> bool:
    """Give a linear, convolution or embedding layer torch's own start weights; say whether it was one.

    transformers would draw all of them from N(0, 0.02), which is tuned to language models of one width; encoders of
    brain recordings were published with torch's defaults. To be called from `_init_weights`, where transformers guards
    the functions that torch draws with, so that weights loaded from a checkpoint stay as they are.
    """
    if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)):
        module.reset_parameters()
        return True
    return False
