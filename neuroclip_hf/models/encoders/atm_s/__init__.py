"""The ATM-S encoder."""

from neuroclip_hf.models.encoders.atm_s.configuration_atm_s import ATMSConfig
from neuroclip_hf.models.encoders.atm_s.modeling_atm_s import ATMSEncoder

__all__ = ["ATMSConfig", "ATMSEncoder"]
