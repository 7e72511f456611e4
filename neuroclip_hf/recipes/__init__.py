"""One screen of settings per experiment, as YAML, named after the method."""
