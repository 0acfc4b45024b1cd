"""Embedders on ONNX Runtime: any ONNX image encoder."""
