"""Networks, one file each. A file describes its networks in ``METHODS``; the registry finds it."""
