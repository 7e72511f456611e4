"""One recipe, every subject and several seeds: from one command to one report, stopped and resumed at will."""
