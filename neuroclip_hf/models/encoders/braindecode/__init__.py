"""Models of an installed braindecode as encoders."""

from neuroclip_hf.models.encoders.braindecode.configuration_braindecode import BraindecodeConfig
from neuroclip_hf.models.encoders.braindecode.modeling_braindecode import BraindecodeEncoder

__all__ = ["BraindecodeConfig", "BraindecodeEncoder"]
