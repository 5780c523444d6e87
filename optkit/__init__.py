"""Turns a PyTorch or ONNX model into the fastest deployable artifact that provably keeps its accuracy."""

__version__ = "0.1.0"
