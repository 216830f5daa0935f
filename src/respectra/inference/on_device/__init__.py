"""What is done to spectra that lie on a graphics processor, before they are copied back.

The same as ``guarantees``, ``corrections`` and ``nearest_spectra`` do with compiled loops on this
machine's processor, in PyTorch.
"""
