"""Source distributions and wheels made on the spot (PyPA specifications, "Package Distribution File Formats")."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

C_SOURCE = """\
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_speed", NULL, -1, methods};
PyMODINIT_FUNC PyInit__speed(void) { return PyModule_Create(&module); }
"""
SETUP = """\
from setuptools import Extension, setup

setup(name="speed", version="1.0", packages=["speed"], ext_modules=[Extension("speed._speed", ["speed.c"])])
"""


def speed(folder: Path) -> Path:
    """The sources of `speed` 1.0, a package that a C compiler is needed for."""
    return sdist(
        folder,
        "speed",
        {"setup.py": SETUP, "speed.c": C_SOURCE, "speed/__init__.py": "from speed._speed import answer\n"},
    )


def sdist(folder: Path, name: str, files: Mapping[str, str], version: str = "1.0") -> Path:
    """A source distribution whose metadata is known without building anything."""
    stem = f"{name}-{version}"
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    project = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for file, text in {"PKG-INFO": metadata, "pyproject.toml": project, **files}.items():
            info = tarfile.TarInfo(f"{stem}/{file}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def wheel(name: str, files: Mapping[str, str], version: str = "1.0") -> bytes:
    """A wheel's bytes."""
    info = f"{name}-{version}.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in {**files, **about}.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in [*files, *about, f"{info}/RECORD"]))
    return buffer.getvalue()
