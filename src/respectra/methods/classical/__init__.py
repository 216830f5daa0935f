"""Classical methods, one file each. ``METHOD`` of a file is its method."""
