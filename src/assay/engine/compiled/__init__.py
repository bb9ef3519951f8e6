"""The eager step traced, parted into scalars and tensors, compiled and kept on disk."""
