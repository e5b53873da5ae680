"""A manifest's runs as jobs of a scheduler that one has already: one file for each, with `text(job)`. Pure."""
