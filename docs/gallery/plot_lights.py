"""
Lights by name
==============

Every illuminant of the CIE, Planck and daylight by temperature, on the bands of a cube.
"""

import matplotlib.pyplot as plt
import numpy as np

from respectra.colour import open_light, resample_light

grid = np.arange(400, 701, 10.0)
for name in ("D65", "A", "FL2", "LED-B3", "planck:4000"):
    light = resample_light(open_light(name), grid)
    plt.plot(grid, light / light.max(), label=name)
plt.xlabel("wavelength (nm)")
plt.legend()
plt.show()
