"""Passes: coarse file-to-file steps. Only the module `table` knows their names."""
