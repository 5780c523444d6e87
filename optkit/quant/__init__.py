"""Post-training quantization: profiles, calibration, ranges, placement and the Q/DQ writer."""
