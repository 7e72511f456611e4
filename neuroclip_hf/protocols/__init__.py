"""From a store to results: one run, and (many runs) whole protocols."""
