"""ONNX graphs: safe loading, deterministic saving, description and pure rewrites on `onnx_ir`."""
