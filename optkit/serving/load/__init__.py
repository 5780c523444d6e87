"""Drives a running server of the Open Inference Protocol (v2): how much it carries, and whether it stays right."""
