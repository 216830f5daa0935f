"""What one types: an example or two of each command, for its help."""

from __future__ import annotations

#: Command -> lines that are shown at the head of its options.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("respectra demo --output respectra-demo",),
    "reconstruct": (
        "respectra reconstruct photo.jpg -o photo.zarr --preview",
        "respectra reconstruct shot.tif -o shot.hdr --camera mycamera.csv --light A",
        "respectra reconstruct 'flight/*.NEF' -o cubes --capture mycamera.json",
    ),
    "serve": ("respectra serve --open", "respectra serve --host 0.0.0.0 --token 'a long secret'"),
    "relight": ("respectra relight photo.zarr -o evening.zarr --light planck:2856",),
    "calibrate": ("respectra calibrate chart.NEF --light D50 -o mycamera.json",),
    "cameras": ("respectra cameras", "respectra cameras real-world"),
    "simulate": ("respectra simulate scene.mat -o images --track real-world --seed 1",),
    "inspect": ("respectra inspect photo.zarr",),
    "check": ("respectra check cubes",),
    "convert": ("respectra convert scene.mat -o scene.hdr --resample 400:700:10",),
    "methods": ("respectra methods", "respectra methods awan"),
    "train": (
        "respectra train awan-clean --data cubes -o run",
        "respectra train root-polynomial --data cubes -o run",
    ),
    "evaluate": (
        "respectra evaluate default classical --data cubes -o results --aux official",
        "respectra evaluate mine=run/best.safetensors --data cubes -o results",
    ),
    "leaderboard": ("respectra leaderboard results others --published",),
    "report": ("respectra report results -o report.html",),
    "import-weights": (
        "respectra import-weights mst-plus-plus theirs.pth --track exposed -o w.safetensors",
    ),
    "bench": ("respectra bench default root-polynomial --sizes 0.25,2",),
    "bake": ("respectra bake root-polynomial -o table.lut --cube-file proof.cube",),
    "export": ("respectra export run/best.safetensors -o network.onnx --height 512 --width 482",),
    "plugins": ("respectra plugins",),
    "data check": ("respectra data check cubes",),
    "data prepare": ("respectra data prepare cubes -o store --track clean",),
    "data synthesize": ("respectra data synthesize -o scenes --count 20 --size 512x512",),
}
