"""
A still life, photographed and recovered
========================================

A rendered scene with known spectra, seen by the camera of the clean track, and what the
project's own network makes of the picture.
"""

import matplotlib.pyplot as plt

import respectra as rs
from respectra.datasets.still_life import still_life

truth = still_life(180, 240)
image = rs.get_track("clean").render(truth)
cube = rs.load()(image)

points = [(60, 60), (120, 120), (90, 200)]
axes = cube.respectra.plot_spectra(points)
for number, (y, x) in enumerate(points):
    axes.plot(truth.wavelength, truth[y, x], "--", color=f"C{number}")
plt.show()
