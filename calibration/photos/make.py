"""Writes labelled.npz, calibration.npz and evaluation.npz from the pictures that three packages install.

    make recipes

Photographs of foolbox carry ImageNet labels; those of scikit-image, and the object pictures of Debian's
tuxpaint-stamps-default (on white), do not. Pictures whose names differ in a number only may show the same thing: they
go to the same side. A picture that stands twice counts once.
"""

# ruff: noqa: INP001 - a script beside its data, not a package

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from PIL.Image import Image

    Picture = Callable[[Path], np.ndarray]

SIZE = 224
SHORTER = 256  # what a photograph's shorter side becomes before the centre is cut out
SMALLEST = 64  # pixels; smaller stamps are icons
NO_PHOTOS = re.compile(r"symbols/|cartoon|_mirror|_flip|outline")
# Of scikit-image's pictures, those that show things, in colour or grey.
PHOTOS = ("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png",
          "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png",
          "retina.jpg", "rocket.jpg")  # fmt: skip
FOR_CALIBRATION = 2 / 5  # of the stamps; everything else judges


def photo(path: Path) -> np.ndarray:
    """Returns the centre of a photograph, uint8[3, 224, 224]."""
    from PIL import Image

    with Image.open(path) as file:
        image = file.convert("RGB")
    factor = SHORTER / min(image.size)
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
    return _pixels(image.crop((left, top, left + SIZE, top + SIZE)))


def stamp(path: Path) -> np.ndarray:
    """Returns a cut-out object, whole, in the middle of a white square: uint8[3, 224, 224]."""
    from PIL import Image

    with Image.open(path) as file:
        image = file.convert("RGBA")
    side = max(image.size)
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
    return _pixels(square.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def stamps(folder: Path) -> dict[str, list[Path]]:
    """Returns the stamps that look like photographs, by what they show, in a fixed shuffled order."""
    from PIL import Image

    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.png")):
        name = path.relative_to(folder).as_posix()
        with Image.open(path) as file:
            usable = file.mode == "RGBA" and min(file.size) >= SMALLEST
        if usable and not NO_PHOTOS.search(name):
            groups.setdefault(_subject(name), []).append(path)
    order = sorted(groups, key=lambda subject: hashlib.sha256(subject.encode()).digest())
    return {subject: groups[subject] for subject in order}


def _subject(name: str) -> str:
    """Returns a name without what tells pictures of one thing apart: `frog-1`, `frog_2` and `frog3b` are `frog`."""
    return re.sub(r"[-_ ]*\d+[a-z]?(?=\.png$)|[-_][a-z](?=\.png$)", "", name)


def _pixels(image: Image) -> np.ndarray:
    import numpy as np

    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _unseen(paths: list[Path], picture: Picture, seen: set[bytes]) -> Iterator[np.ndarray]:
    """Yields pictures, each once."""
    for path in paths:
        pixels = picture(path)
        digest = hashlib.sha256(pixels.tobytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield pixels


def main(sources: Path, out: Path) -> None:
    """Reads the packages unpacked below `sources`, and writes the three files into `out`."""
    import numpy as np

    named = sorted((sources / "foolbox" / "foolbox" / "data").glob("imagenet_*.jpg"))
    labels = np.array([int(path.stem.rpartition("_")[2]) for path in named])
    groups = list(stamps(sources / "tuxpaint-stamps-default").values())
    cut = round(len(groups) * FOR_CALIBRATION)
    seen: set[bytes] = set()
    labelled = list(_unseen(named, photo, seen))
    calibration = list(_unseen([path for group in groups[:cut] for path in group], stamp, seen))
    others = [sources / "scikit-image" / "skimage" / "data" / name for name in PHOTOS]
    evaluation = [*labelled, *_unseen(others, photo, seen)]
    evaluation += _unseen([path for group in groups[cut:] for path in group], stamp, seen)
    np.savez_compressed(out / "labelled.npz", images=np.stack(labelled), labels=labels)
    for name, pictures in (("calibration", calibration), ("evaluation", evaluation)):
        # The class of these is not known; -1 stands for that.
        np.savez_compressed(out / f"{name}.npz", images=np.stack(pictures), labels=np.full(len(pictures), -1))
    sys.stdout.write(f"{len(labelled)} labelled, {len(calibration)} for calibration, {len(evaluation)} to judge\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent)
