"""Cube formats, one file a format."""
