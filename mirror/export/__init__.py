"""Exports of encoders: sentence-transformers folders, ONNX and word vectors."""
