"""A trial store as Parquet that `datasets.load_dataset` reads without any script, and back to the same store."""
