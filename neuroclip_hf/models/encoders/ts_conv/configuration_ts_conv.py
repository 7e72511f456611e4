"""Settings of the TSConv encoder."""

from neuroclip_hf.models.encoders.convolution import ConvolutionEncoderConfig


class TSConvConfig(ConvolutionEncoderConfig):
    """Settings of [`TSConvEncoder`]; the defaults are those of NICE, for one second at 250 Hz.

    The features are flattened to `flat_size`: 1440 for 250 samples and the defaults.

    Args:
        num_channels (`int`): 63, all channels of THINGS-EEG2.
        num_timesteps (`int`): 250, one second at 250 Hz.
        hidden_size (`int`): width of the features.
        num_filters (`int`): feature maps of both convolutions.
        kernel_size (`int`): samples that the temporal convolution sees.
        pool_size (`int`): samples that are averaged after it.
        pool_stride (`int`): samples from one average to the next.
        dropout (`float`): after the spatial convolution.
        projector_dropout (`float`): in the residual block at the end.
    """

    model_type = "ts_conv"

    pool_size: int = 51
    pool_stride: int = 5
