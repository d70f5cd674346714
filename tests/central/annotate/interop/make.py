"""Makes an environment for each tool's own library, and the vectors that they write.

    python tests/central/annotate/interop/make.py FOLDER             environments below FOLDER
    python tests/central/annotate/interop/make.py FOLDER --vectors   and tests/vectors/formats anew from them

Those libraries want versions of their own of what we use, too, so that none of them may be installed beside us. With
WAYSIDE_INTEROP=FOLDER the tests of this folder run; without, they say so and skip.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
VECTORS = HERE.parents[2] / "vectors" / "formats"
LIBRARIES = {
    "datumaro": "datumaro==1.12.*",
    "label-studio-sdk": "label-studio-sdk==2.*",
    "cvat-sdk": "cvat-sdk==2.*",
    "pycocotools": "pycocotools==2.*",
}
WRITTEN = {
    "coco": ("coco", "coco/annotations/instances_train.json"),
    "yolo": ("yolo", "yolo"),
    "yolo-ultralytics": ("yolo_ultralytics", "yolo_ultralytics"),
    "voc": ("voc_detection", "voc_detection"),
    "cvat": ("cvat", "cvat/train.xml"),
    "datumaro": ("datumaro", "datumaro/annotations"),
}


def environments(root: Path) -> None:
    """Make what is missing."""
    for name, wanted in LIBRARIES.items():
        if not (root / name / "bin" / "python").exists():
            print(f"making {root / name}", file=sys.stderr)
            venv.create(root / name, with_pip=True)
            subprocess.run([root / name / "bin" / "pip", "install", "-q", wanted], check=True)


def vectors(root: Path) -> None:
    """Write the vectors anew."""
    scratch = root / "written"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(VECTORS, ignore_errors=True)
    for name, (form, part) in WRITTEN.items():
        tool = [root / "datumaro" / "bin" / "python", HERE / "datumaro_tool.py"]
        subprocess.run([*tool, "write", form, scratch / form], check=True)
        source, target = scratch / part, VECTORS / name
        target.mkdir(parents=True)
        if source.is_file():
            shutil.copy(source, target)
        else:
            shutil.copytree(source, target / source.name if name == "datumaro" else target, dirs_exist_ok=True)
    (VECTORS / "label-studio").mkdir()
    tool = [root / "label-studio-sdk" / "bin" / "python", HERE / "labelstudio_tool.py"]
    subprocess.run([*tool, "write", "x", VECTORS / "label-studio"], check=True)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vectors", action="store_true")
    given = parser.parse_args()
    environments(given.folder)
    if given.vectors:
        vectors(given.folder)


if __name__ == "__main__":
    main()
