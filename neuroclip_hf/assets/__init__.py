"""What ships with the package: a small CLIP trained on drawn pictures, and the commands that make it."""
