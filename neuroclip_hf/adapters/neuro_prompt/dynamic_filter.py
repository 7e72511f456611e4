"""The Dynamic Filter Layer: every picture is filtered by what it shows.

NeuroCLIP (arXiv 2511.09250) names the layer and says that its filtering adapts to the picture; its equations were not
readable for us, so both forms here are our reading. Pictures are (pictures, channels, height, width), of any size.
Everything is computed in at least float32, whatever autocast says: filters are sums over many pixels, and cheap.
"""

import math

import torch
from torch import nn
from torch.nn import functional

# Channels of the filter network's two convolutions; ours.
_HIDDEN = (16, 32)


class FilterNetwork(nn.Module):
    """A small convolutional network that looks at a reduced copy of each picture and says how to filter it. Ours.

    Args:
        num_channels (`int`): colour channels of the pictures.
        input_size (`int`): height and width to which pictures are reduced by averaging.
        num_outputs (`int`): numbers predicted for each picture.
    """

    def __init__(self, num_channels: int, input_size: int, num_outputs: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.fine = nn.Conv2d(num_channels, _HIDDEN[0], kernel_size=3, stride=2, padding=1)
        self.coarse = nn.Conv2d(_HIDDEN[0], _HIDDEN[1], kernel_size=3, stride=2, padding=1)
        self.to_outputs = nn.Linear(_HIDDEN[1], num_outputs)

    def reset_parameters(self) -> None:
        """Draw the weights afresh: He's initialisation, and zero biases."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Pictures (pictures, channels, height, width) to logits (pictures, num_outputs) of the same dtype."""
        reduced = functional.adaptive_avg_pool2d(pixel_values, self.input_size)
        features = functional.gelu(self.fine(reduced.to(self.fine.weight.dtype)))
        features = functional.gelu(self.coarse(features))
        return self.to_outputs(features.mean(dim=(2, 3))).to(pixel_values.dtype)


class SpatialFilter(nn.Module):
    """One convolution kernel per colour channel and per picture, after Dynamic Filter Networks.

    From De Brabandere et al., 2016 (section 3): a network generates the filter from the input. Ours: softmax over the
    taps, so that a kernel sums to one and lies between passing the picture through and blurring it; one kernel for a
    whole channel; the nearest pixel repeated beyond the border, which leaves a picture of one colour as it is.

    Args:
        num_channels (`int`): colour channels of the pictures.
        filter_size (`int`): height and width of the kernels, odd.
        filter_start (`float`): the centre tap's share of a kernel before training, when logits are near zero.
        input_size (`int`): see [`FilterNetwork`].
    """

    def __init__(self, num_channels: int, filter_size: int, filter_start: float, input_size: int) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.filter_size = filter_size
        # A constant beside the logits rather than a start value of a bias: nothing to save, and nothing to forget
        # when weights are drawn afresh.
        self.centre_logit = math.log(filter_start / (1 - filter_start) * (filter_size**2 - 1))
        self.network = FilterNetwork(num_channels, input_size, num_channels * filter_size**2)

    def reset_parameters(self) -> None:
        """Draw the weights afresh; the logits then are small and differ a little between pictures."""
        self.network.reset_parameters()
        nn.init.normal_(self.network.to_outputs.weight, std=0.02)

    def responses(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The kernels (pictures, channels, filter_size, filter_size) for these pictures, each summing to one."""
        taps = self.filter_size**2
        logits = self.network(pixel_values).unflatten(1, (self.num_channels, taps))
        centre = torch.zeros(taps, dtype=logits.dtype, device=logits.device)
        centre[taps // 2] = self.centre_logit
        return (logits + centre).softmax(dim=-1).unflatten(-1, (self.filter_size, self.filter_size))

    def change(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """What filtering adds to the pictures, in their shape."""
        pixel_values = at_least_float32(pixel_values)
        with torch.autocast(pixel_values.device.type, enabled=False):
            return _correlate(pixel_values, self.responses(pixel_values)) - pixel_values


class SpectralFilter(nn.Module):
    """The picture's Fourier transform times a per-picture mixture of a few learned global filters.

    After DFFormer (Tatsunami and Taki, 2024, "Dynamic Filter") and GFNet (Rao et al., 2021, section 3.2): filters
    over frequencies, learned, and mixed per picture by softmax weights. Ours: the filters act on the pixels; they are
    real and depend on the size of a frequency along each axis only, so that nothing is displaced; they are tables from
    zero to the highest frequency, interpolated linearly to the frequencies that a picture of any size has. As in the
    sources, a picture continues on its opposite side.

    All filters start as all-pass. What is stored is the difference from all-pass, and what is added to the picture is
    its transform times that difference, so that at the start a picture comes out to the bit as it went in.

    Args:
        num_channels (`int`): colour channels of the pictures.
        num_filters (`int`): global filters that are mixed.
        resolution (`int`): frequencies in a filter's table along each axis.
        input_size (`int`): see [`FilterNetwork`].
    """

    def __init__(self, num_channels: int, num_filters: int, resolution: int, input_size: int) -> None:
        super().__init__()
        self.tables = nn.Parameter(torch.empty(num_filters, num_channels, resolution, resolution))
        self.network = FilterNetwork(num_channels, input_size, num_filters)

    def reset_parameters(self) -> None:
        """Draw the network's weights afresh, and make the filters all-pass."""
        nn.init.zeros_(self.tables)
        self.network.reset_parameters()

    def responses(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The gains (pictures, channels, height, width // 2 + 1) in the order of `torch.fft.rfft2`."""
        return 1 + self._deviations(pixel_values)

    def change(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """What filtering adds to the pictures, in their shape."""
        pixel_values = at_least_float32(pixel_values)
        with torch.autocast(pixel_values.device.type, enabled=False):
            # Real gains times real and imaginary parts: of a complex product, torch 2.13's inductor computes the
            # gradient wrongly here, without a word.
            spectrum = torch.view_as_real(torch.fft.rfft2(pixel_values))
            filtered = torch.view_as_complex(spectrum * self._deviations(pixel_values)[..., None])
            return torch.fft.irfft2(filtered, s=pixel_values.shape[-2:])

    def _deviations(self, pixel_values: torch.Tensor) -> torch.Tensor:
        height, width = pixel_values.shape[-2:]
        weights = self.network(pixel_values).softmax(dim=-1)
        # Mixing the small tables first gives the same as mixing whole filters, both being linear.
        table = torch.einsum("bm,mcij->bcij", weights, self.tables.to(weights.dtype))
        rows = self._interpolation(torch.fft.fftfreq(height, device=table.device, dtype=table.dtype))
        columns = self._interpolation(torch.fft.rfftfreq(width, device=table.device, dtype=table.dtype))
        return rows @ table @ columns.T

    def _interpolation(self, frequencies: torch.Tensor) -> torch.Tensor:
        """A matrix (frequencies, resolution) that reads a table at these frequencies, in cycles per pixel."""
        resolution = self.tables.shape[-1]
        positions = frequencies.abs() * 2 * (resolution - 1)
        points = torch.arange(resolution, dtype=frequencies.dtype, device=frequencies.device)
        return (1 - (positions[:, None] - points).abs()).clamp(min=0)


def at_least_float32(pixel_values: torch.Tensor) -> torch.Tensor:
    """The same pictures in float32, or in float64 if they were."""
    return pixel_values.to(torch.promote_types(pixel_values.dtype, torch.float32))


def _correlate(pixel_values: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Each channel of each picture with its own kernel, as one grouped convolution."""
    pictures, channels = pixel_values.shape[:2]
    margin = kernels.shape[-1] // 2
    padded = functional.pad(pixel_values, (margin,) * 4, mode="replicate")
    filtered = functional.conv2d(
        padded.flatten(0, 1)[None], kernels.flatten(0, 1)[:, None], groups=pictures * channels
    )
    return filtered.view(pixel_values.shape)
