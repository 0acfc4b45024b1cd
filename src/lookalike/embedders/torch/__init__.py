"""Embedders of PyTorch libraries, with weights of the model hub, and their export to ONNX."""
