"""What a manifest may say of images and registries, and yet probably does not mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pipeline import reference
from pipeline.errors import Diagnostic, UsageError
from pipeline.manifest.model import Manifest


def doubts(manifest: Manifest) -> Iterator[Diagnostic]:
    """Hosts that look mistyped, and images without a tag, which are `latest`: each with its place."""
    for registry in manifest.registries.values():
        host = registry.address.partition("/")[0].lower()
        if meant := reference.likely_host(host):
            yield Diagnostic(registry.location, f"{host} looks mistyped", f"did you mean {meant}?")
    for base in manifest.bases.values():
        if base.kind == "image":
            for text in of_image(base.spec):
                yield Diagnostic(base.location, text)


def of_image(spec: object) -> list[str]:
    """The same of the settings of a base of the kind `image`."""
    settings = spec if isinstance(spec, dict) else {"reference": spec}
    name = str(settings.get("reference", ""))
    below = bool(settings.get("registry"))
    with suppress(UsageError):
        # Below a registry's address, the first word of a path is no host.
        found = reference.warnings(f"registry.invalid/{name}" if below else name)
        return [text.replace("registry.invalid/", "") for text in found]
    return []
