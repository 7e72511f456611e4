"""Encoders of brain recordings, one folder each; [`neuroclip_hf.models.registry`] lists them."""
