"""
How sure it is
==============

Beside a cube, the network states a standard deviation for every pixel and band: narrow where many
materials agree, wide at the ends of the spectrum, where a camera sees little.
"""

import matplotlib.pyplot as plt

import respectra as rs
from respectra.datasets.still_life import still_life

truth = still_life(180, 240)
image = rs.get_track("clean").render(truth)
cube, deviation = rs.load().with_uncertainty(image)

for number, (y, x) in enumerate([(60, 60), (120, 120), (90, 200)]):
    middle, around = cube[y, x], deviation[y, x]
    band = (middle - around).clip(min=0), middle + around
    plt.fill_between(cube.wavelength, *band, color=f"C{number}", alpha=0.25)
    plt.plot(cube.wavelength, middle, color=f"C{number}")
    plt.plot(truth.wavelength, truth[y, x], "--", color=f"C{number}")
plt.xlabel("wavelength (nm)")
plt.ylabel("radiance: recovered, dashed: true")
plt.show()
