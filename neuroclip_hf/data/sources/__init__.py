"""What a trial store is made from: one file a source, each with one `prepare_...` function."""
