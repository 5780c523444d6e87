"""Measuring: predictions and accuracy, parity, latency and memory, and the statistics that judge them."""
