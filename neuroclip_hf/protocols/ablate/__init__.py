"""One recipe in several variations, each trained and tested alike, and compared on the same queries."""
