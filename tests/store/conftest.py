"""Images to export and to look into."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_images import ARM64, name, pack, put_image, put_index, text

from pipeline.assemble.entry import Entry
from pipeline.oci.descriptor import Descriptor
from pipeline.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def scoring(store: Store) -> Descriptor:
    """The image scoring:v1: a compressed base, a model stored as it is, and a layer of whiteouts."""
    base = [Entry("opt", "dir", 0o755), text("opt/old", "old"), text("opt/app", "#!/bin/sh\n", 0o755)]
    model = [text("opt/model.bin", "weights " * 1000), text("opt/ü", "umlaut")]
    stack = [
        pack(store, base),
        pack(store, model, "none"),
        pack(store, [text("opt/.wh.old", ""), text("opt/new", "new")]),
    ]
    return name(store, put_image(store, stack), "scoring", "v1")


@pytest.fixture
def both(store: Store, scoring: Descriptor) -> Descriptor:
    """The image both:v1 for two platforms; the first is scoring's."""
    arm = put_image(store, [pack(store, [text("arm", "arm")])], ARM64)
    return name(store, put_index(store, [scoring, arm]), "both", "v1")
