"""The controller: it opens a run directory, starts the workers of each stage, and reads how they ended."""
