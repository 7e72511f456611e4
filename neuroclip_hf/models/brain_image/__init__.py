"""What models of brain recordings and pictures share: encoder, tower, projections, checkpoints."""
