"""What ships with the package: a small CLIP trained on drawn pictures, and the command that makes it."""
