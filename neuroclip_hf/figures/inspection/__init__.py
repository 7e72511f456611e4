"""What a trained model does to pictures, and which channels it listens to: torch in, plain arrays out."""
