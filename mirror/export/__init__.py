"""Encoders in the forms that others read: a folder, ONNX, a table of word vectors."""
