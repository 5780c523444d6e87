"""Simplification: rewrites that remove nodes and change no value, one concern per file."""
