"""Datasets: folders of scenes as labelled collections, and synthetic scenes."""
