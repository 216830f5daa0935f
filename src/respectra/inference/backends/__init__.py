"""Backends: what runs the weights of a method, behind one interface.

``making`` chooses one: ``network`` (PyTorch), ``pixels`` (NumPy, for networks of single pixels),
``onnx`` (ONNX Runtime, for the tiles of a network), ``table`` (a look-up table), ``classical``
(NumPy), ``module`` (a module of the user's own).
"""
