"""Builders of `datasets`: trials as a `Dataset` or an `IterableDataset` without exporting them first."""
