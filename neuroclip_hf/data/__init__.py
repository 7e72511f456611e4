"""Recordings to a trial store, and splits of it. NumPy, MNE and pyarrow; no torch, no models."""
