"""Runtimes: each one opens a model artifact as a `Session`, whatever library stands behind it."""
