"""The Accelerate loop, its settings, checkpoints and seeds."""
