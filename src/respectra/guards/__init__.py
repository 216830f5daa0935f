"""The one guarded way into libraries that read files whose contents nobody vouches for.

A file may name other files, promise more than it holds, nest without end, or be made to crash the
library that reads it. What is read of files passes through here, whoever asks and whatever for:
cubes, pictures, responses, lights, weights, stores, tables, journals, recipes.

* :mod:`limits`: that it is a file at all, and what opening will cost, compared with the file, the
  limits and the free memory;
* :mod:`text`: JSON, YAML and tables of numbers;
* :mod:`hdf5`: HDF5, whose library only ever runs in a process of its own (:mod:`processes`);
* :mod:`matlab`: MATLAB 4 (:mod:`mat4`) and 5 (:mod:`mat5`), read without any library;
* :mod:`npy`: NumPy's files, and archives of them;
* :mod:`zarr`: which stores and codecs are let through.

Whatever is wrong with a file raises ``FormatError``, what does not fit into memory ``DataError``;
the functions of this room do not say that again. Nothing that could execute code is loaded: no
pickles, no classes named by a file, no plug-ins.
"""
