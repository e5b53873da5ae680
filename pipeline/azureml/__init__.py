"""Azure ML's Python API and its files, without Azure."""
