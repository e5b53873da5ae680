"""Every manifest in tests/golden: the good ones load, the bad ones say exactly what the file beside them says.

`python tests/manifest/test_golden.py` writes the messages anew, to be read in a diff.
"""

from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest.load import load
from pipeline.manifest.paths import project_root

GOLDEN = Path(__file__).parents[1] / "golden"
GOOD = sorted((GOLDEN / "good").glob("*.yaml"))
BAD = sorted((GOLDEN / "bad").glob("*.yaml"))
ENVIRON = {"REGISTRY": "registry.example.com", "REGISTRY_PASSWORD": "correct horse", "PORT": "5002", "WORD": "many"}


def message(path: Path) -> str:
    """What loading says, without the folders of this machine."""
    with pytest.raises(ManifestError) as caught:
        load(path, environ=ENVIRON)
    text = str(caught.value).replace(f"{path.parent}/", "").replace(str(project_root(path)), "PROJECT")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_manifest_says_what_is_expected(path: Path) -> None:
    assert message(path) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_manifest_loads(path: Path) -> None:
    manifest = load(path, environ=ENVIRON)
    assert manifest.name == path.stem
    assert "correct horse" not in repr(manifest)


if __name__ == "__main__":
    for bad in BAD:
        bad.with_suffix(".txt").write_text(message(bad))
