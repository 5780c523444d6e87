"""Dataset manifests and readers behind one protocol."""
