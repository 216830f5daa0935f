"""
Two spectra, one pixel
======================

The clean track's camera sees three weighted sums of a spectrum. What lies in the other 28
dimensions leaves no trace in the picture.
"""

import matplotlib.pyplot as plt
import numpy as np

import respectra as rs

grid = np.arange(400, 701, 10.0)
camera = rs.get_track("clean").response_matrix(grid)
unseen = np.eye(31) - camera @ np.linalg.pinv(camera)
spectrum = 0.4 + 0.2 * np.sin(grid / 60)
metamer = spectrum + unseen @ (0.25 * np.cos(grid / 17))

print("seen:", np.round(spectrum @ camera, 6), np.round(metamer @ camera, 6))
plt.plot(grid, spectrum, grid, metamer)
plt.xlabel("wavelength (nm)")
plt.show()
