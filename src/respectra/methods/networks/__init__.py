"""Networks, one file each. ``METHOD`` of a file describes its network; the registry finds it."""
