"""Settings of the ShallowFBCSP encoder."""

from neuroclip_hf.models.encoders.convolution import ConvolutionEncoderConfig


class ShallowFBCSPConfig(ConvolutionEncoderConfig):
    """Settings of [`ShallowFBCSPEncoder`]; the defaults are the source's, for 250 Hz.

    Args:
        num_channels (`int`): channels of a trial.
        num_timesteps (`int`): samples of a trial.
        hidden_size (`int`): width of the features.
        num_filters (`int`): feature maps of both convolutions.
        kernel_size (`int`): samples that the convolution over time sees.
        pool_size (`int`): samples over which power is averaged.
        pool_stride (`int`): samples from one average to the next.
        dropout (`float`): of the logarithms of power.
        projector_dropout (`float`): in the residual block at the end; NICE's.
    """

    model_type = "shallow_fbcsp"
