"""Endless synthetic scenes under random captures, and how a network learns from them."""
