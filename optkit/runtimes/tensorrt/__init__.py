"""TensorRT and TensorRT-RTX behind one code path: the library's module is a parameter everywhere."""
