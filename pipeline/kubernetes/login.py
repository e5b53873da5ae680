"""Signing in to a cluster, by the official client's settings: a kubeconfig, Azure's, or the pod that this is."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import UsageError
from pipeline.manifest.model import Secret

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Login(NamedTuple):
    """A client that is signed in (`kubernetes.client.ApiClient`), the namespace that goes with it, and who that is."""

    api: Any
    namespace: str
    context: str
    """The kubeconfig's context that was taken, whichever is its current one later."""
    who: str


def log_in(
    environ: Mapping[str, str],
    *,
    context: str = "",
    config: str | Callable[[], Secret] = "",
    token: Callable[[], Secret] | None = None,
) -> Login:
    """By a kubeconfig file (or what gives its text), else KUBECONFIG, ~/.kube/config, or from within a pod. `token`
    signs in where the text names a program for that. UsageError for what none of them has.
    """
    try:
        from kubernetes import client
    except ImportError:
        raise UsageError(
            "the kubernetes target needs the official client", remedy="pip install 'pipeline-images[kubernetes]'"
        ) from None
    settings = client.Configuration()
    settings.retries = False
    if callable(config):
        found = _from_text(config(), token, settings)
    elif config or not _within(environ):
        found = _from_file(config or _default(environ), context, settings)
    else:
        found = _from_pod(settings)
    return Login(client.ApiClient(settings), *found)


def _default(environ: Mapping[str, str]) -> str:
    return environ.get("KUBECONFIG") or str(Path(environ.get("HOME") or Path.home()) / ".kube/config")


def _within(environ: Mapping[str, str]) -> bool:
    """Whether this runs in a pod, and no file says otherwise."""
    files = _default(environ).split(":")
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and not any(Path(file).is_file() for file in files)


_Found = tuple[str, str, str]
"""Namespace, context, and who."""


def _from_pod(settings: Any) -> _Found:
    from kubernetes.config import ConfigException, load_incluster_config

    try:
        load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        remedy = "give the pod a service account whose token is mounted, or set KUBECONFIG"
        raise UsageError(f"this pod has no credentials of its cluster: {error}", remedy=remedy) from None
    namespace = ""
    with suppress(OSError):
        namespace = (_IN_CLUSTER / "namespace").read_text().strip()
    return namespace, "", "the service account of this pod"


def _from_file(file: str, context: str, settings: Any) -> _Found:
    from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config

    if not any(Path(one).is_file() for one in file.split(":")):
        remedy = "set KUBECONFIG, or `kubeconfig` in the target"
        raise UsageError(f"there is no kubeconfig: {file} is not there", remedy=remedy)
    try:
        contexts, current = list_kube_config_contexts(file)  # type: ignore[no-untyped-call]
        _known(context, [one["name"] for one in contexts], file)
        chosen = next((one for one in contexts if one["name"] == context), current)
        of = chosen.get("context") or {}
        who = f"user {of.get('user')} (context {chosen['name']} in {file})"
        with _heard() as troubles:
            load_kube_config(file, chosen["name"], settings, persist_config=False)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise UsageError(f"the kubeconfig {file} cannot be used: {error}") from None
    _signed_in(settings, who, troubles)
    return str(of.get("namespace") or ""), str(chosen["name"]), who


def _from_text(config: Secret, token: Callable[[], Secret] | None, settings: Any) -> _Found:
    """A kubeconfig whose user is to be asked of a program signs in by `token` instead, where there is one."""
    from kubernetes.config import ConfigException, load_kube_config_from_dict
    from kubernetes.config.kube_config import KubeConfigMerger

    try:
        value = KubeConfigMerger(io.StringIO(config.reveal())).config  # type: ignore[no-untyped-call]
        for entry in value.get("users") or () if token else ():
            # The program (kubelogin) need not be installed.
            if (entry.get("user") or {}).pop("exec", None) and token:
                entry["user"]["token"] = token().reveal()
        with _heard() as troubles:
            load_kube_config_from_dict(value, None, settings, persist_config=False)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise UsageError(f"the cluster's kubeconfig cannot be used: {error}") from None
    who = f"the context {value['current-context']} that Azure gave"
    _signed_in(settings, who, troubles)
    return "", "", who


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the library only logs of a program for credentials that fails: it would sign in as nobody."""
    told: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(" ".join(record.getMessage().split()))

    ear, root = Ear(logging.ERROR), logging.getLogger()
    root.addHandler(ear)
    try:
        yield told
    finally:
        root.removeHandler(ear)


def _signed_in(settings: Any, who: str, troubles: list[str]) -> None:
    """Raises UsageError where there is nothing to sign in with, and why is known."""
    if troubles and not settings.api_key and not settings.cert_file:
        remedy = "log in to the cluster again, or see the user's `exec` in the kubeconfig"
        raise UsageError(f"{who} has no credentials: {troubles[0][:300]}", remedy=remedy)


def _known(context: str, names: list[str], file: str) -> None:
    if context and context not in names:
        from pipeline.manifest.words import suggestion

        raise UsageError(f"there is no context '{context}' in {file}", remedy=suggestion(context, names, "there are"))
