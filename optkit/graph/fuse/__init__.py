"""Fusion: groups of nodes become the one operator that a runtime has a kernel for, one pattern per file."""
