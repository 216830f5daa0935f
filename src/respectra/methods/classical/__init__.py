"""Classical methods, one file each. A file lists its methods in ``METHODS``."""
