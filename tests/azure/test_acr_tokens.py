"""Azure's way of signing in to its registries, by a real registry that takes its token server's word."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from acr_issuer import ZEROS, Issuer
from azure_double import CLIENT, SECRET, TENANT, AzureDouble
from registry_images import layer_bytes, make_image
from registry_server import RealRegistry

from pipeline.azure.identity import identity_of
from pipeline.cli._door import run
from pipeline.errors import OutOfReach, UsageError
from pipeline.manifest.model import Azure, Registry, Retry, Secret
from pipeline.reference import parse
from pipeline.registry import Registries
from pipeline.registry.credentials import Credential
from pipeline.registry.problems import Denied, Unauthorized
from pipeline.registry.transfers import copy, pull, push
from pipeline.store import Store

LAYERS = [layer_bytes("a"), layer_bytes("b", 300_000)]
SERVICE_PRINCIPAL = Azure(tenant=TENANT, client_id=CLIENT, client_secret=Secret(SECRET))


def as_principal(registry: RealRegistry, name: str, password: str = "", **more: object) -> Registries:
    """By name and password, as a service principal may be written."""
    given = [Registry("prod", registry.address, name, Secret(password or f"s3cret-of-{name}"))]
    return Registries({"HOME": "/nonexistent"}, given, retry=Retry(2, 0.01), **more)  # type: ignore[arg-type]


def as_entra(registry: RealRegistry, token: Callable[[], Secret], **more: object) -> Registries:
    who = Credential(registry.address, "the test's identity", ZEROS, entra=token, tenant=TENANT)
    return Registries({"HOME": "/nonexistent"}, extra=[who], retry=Retry(2, 0.01), **more)  # type: ignore[arg-type]


def by_manifest(registry: RealRegistry, azure: AzureDouble, settings: Azure) -> Registries:
    given = [Registry("prod", registry.address, azure=settings)]
    return Registries(
        azure.environ, given, retry=Retry(1), entra=lambda one, host: identity_of(one, host, azure.environ)
    )


def name_of(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("_", "-").replace("[", "-").replace("]", "")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return name_of(request)


def test_row_06_the_registry_of_a_workspace_needs_no_credentials_in_the_manifest(
    registry: RealRegistry, issuer: Issuer, azure: AzureDouble, store: Store, name: str
) -> None:
    """A token of Entra becomes a refresh token of the registry, and that an access token for each scope."""
    issuer.entra = _Entra(azure)
    registries = by_manifest(registry, azure, SERVICE_PRINCIPAL)
    image = make_image(store, LAYERS)
    push(store, image, registries.repository(f"{registry.address}/{name}"))
    assert issuer.asked == [("exchange", TENANT, ""), ("token", "refresh_token", f"repository:{name}:pull,push")]
    assert registries.repository(f"{registry.address}/{name}").has_manifest(image.digest)
    assert [one for one, _, _ in issuer.asked].count("exchange") == 1
    assert [line for line in azure.asked if line.startswith("POST")] == [f"POST /{TENANT}/oauth2/v2.0/token"]
    assert not any("Authorization" in headers for headers in issuer.headers)


class _Entra(dict[str, str]):
    """The registry knows every token that the double of Entra gave for registries, as the pusher's."""

    def __init__(self, azure: AzureDouble) -> None:
        self._azure = azure

    def get(self, token: str, _default: object = None) -> str | None:  # type: ignore[override]
        fits = token in self._azure.tokens and "containerregistry.azure.net" in token
        return "pusher" if fits else None


def test_row_08_a_principal_with_read_access_pulls_and_may_not_push(
    registry: RealRegistry, store: Store, name: str
) -> None:
    where = f"{registry.address}/{name}"
    image = make_image(store, LAYERS)
    push(store, image, as_principal(registry, "pusher").repository(where))
    reader = as_principal(registry, "puller")
    assert pull(Store(store.folder.with_name("o")), reader.repository(where), image.digest).copied == 3
    with pytest.raises(Denied) as caught:
        push(store, make_image(store, [layer_bytes("new")]), reader.repository(where))
    assert caught.value.action == "push"
    assert "for user 'puller' from registries.prod of the manifest" in str(caught.value)
    assert "ask whoever runs the registry for the right to push" in str(caught.value)


def test_the_missing_right_has_the_name_of_azure_role(
    registry: RealRegistry, issuer: Issuer, store: Store, name: str
) -> None:
    issuer.entra["e"] = "puller"
    reader = as_entra(registry, lambda: Secret("e")).repository(f"{registry.address}/{name}")
    with pytest.raises(Denied, match=r"the test's identity.*the right to push \(Azure's role AcrPush\)"):
        push(store, make_image(store, LAYERS), reader)
    issuer.rights["puller"] = set()
    with pytest.raises(Denied, match=r"the right to pull \(Azure's role AcrPull\)"):
        as_entra(registry, lambda: Secret("e")).repository(f"{registry.address}/{name}").tags()


def test_a_principal_signs_in_by_a_post_where_no_get_is_taken(
    registry: RealRegistry, issuer: Issuer, name: str
) -> None:
    issuer.get_allowed = False
    where = as_principal(registry, "puller").repository(f"{registry.address}/{name}")
    assert not where.has_manifest("sha256:" + "0" * 64)
    assert [how for _, how, _ in issuer.asked] == ["basic", "password"]


def test_row_09_public_images_ask_for_no_credentials_and_none_are_sent(
    registry: RealRegistry, issuer: Issuer, store: Store, name: str
) -> None:
    image = make_image(store, LAYERS)
    push(store, image, as_principal(registry, "pusher").repository(f"{registry.address}/{name}"))
    issuer.rights[""] = {"pull"}
    issuer.asked.clear()
    issuer.headers.clear()
    nobody = Credential(registry.address, "nobody's", ZEROS, entra=_never, last_resort=True)
    for extra in ([], [nobody]):
        registries = Registries({"HOME": "/nonexistent"}, extra=extra, retry=Retry(1))
        target = Store(store.folder.with_name(f"public{len(extra)}"))
        assert pull(target, registries.repository(f"{registry.address}/{name}"), image.digest).copied == 3
    assert {how for _, how, _ in issuer.asked} == {"nobody"}
    assert not any("Authorization" in headers for headers in issuer.headers)


def _never() -> Secret:
    raise AssertionError("nobody is to be asked who one is")


def test_what_is_not_public_is_asked_for_by_the_users_own_identity(
    registry: RealRegistry, issuer: Issuer, store: Store, name: str
) -> None:
    issuer.entra["e"] = "pusher"
    own = Credential(registry.address, "az login", ZEROS, entra=lambda: Secret("e"), last_resort=True)
    where = Registries({"HOME": "/nonexistent"}, extra=[own], retry=Retry(1)).repository(f"{registry.address}/{name}")
    assert not where.has_manifest("sha256:" + "0" * 64)
    assert [how for _, how, _ in issuer.asked] == ["nobody", "", "refresh_token"]
    push(store, make_image(store, LAYERS), where)
    assert issuer.asked[3:] == [("token", "refresh_token", f"repository:{name}:pull,push")]


def test_where_nobody_is_signed_in_the_error_says_both(registry: RealRegistry, name: str) -> None:
    def nobody() -> Secret:
        raise UsageError("signing in to Azure needs Azure's libraries", remedy="pip install it")

    own = Credential(registry.address, "az login", ZEROS, entra=nobody, last_resort=True)
    where = Registries({"HOME": "/nonexistent"}, extra=[own], retry=Retry(1)).repository(f"{registry.address}/{name}")
    with pytest.raises(
        Unauthorized, match=r"wants credentials, and there are none.*Azure's libraries \(pip install it"
    ):
        where.tags()


def test_a_push_of_forty_minutes_outlives_its_token(
    registry: RealRegistry, issuer: Issuer, store: Store, name: str
) -> None:
    """The clock moves by ten minutes with every request, and a token is said to live for half an hour."""
    now, tokens = [1_000_000.0], iter(range(100))

    def clock() -> float:
        now[0] += 120
        return now[0]

    def token() -> Secret:
        issuer.entra[made] = "pusher" if (made := f"e{next(tokens)}") else ""
        return Secret(made)

    issuer.life = 1800
    registries = as_entra(registry, token, clock=clock)
    push(
        store,
        make_image(store, [layer_bytes(f"{n}") for n in range(12)]),
        registries.repository(f"{registry.address}/{name}"),
    )
    assert now[0] - 1_000_000 > 2400
    assert [how for _, how, _ in issuer.asked].count("refresh_token") >= 2
    assert next(tokens) == 1


def test_a_token_that_has_run_out_for_the_registry_is_renewed_in_the_middle(
    registry: RealRegistry, issuer: Issuer, store: Store, name: str
) -> None:
    """The registry refuses what its token server gave: the answer is a new token, and the push goes on."""
    issuer.entra["e"] = "pusher"
    issuer.stale = 1
    done = push(
        store,
        make_image(store, LAYERS),
        as_entra(registry, lambda: Secret("e")).repository(f"{registry.address}/{name}"),
    )
    assert done.copied == 3
    assert [how for _, how, _ in issuer.asked] == [TENANT, "refresh_token", "refresh_token"]


def test_a_refresh_token_that_has_run_out_is_exchanged_anew(
    registry: RealRegistry, issuer: Issuer, store: Store, name: str
) -> None:
    issuer.entra["e"] = "pusher"
    now = [0.0]
    registries = as_entra(registry, lambda: Secret("e"), clock=lambda: now[0])
    where = registries.repository(f"{registry.address}/{name}")
    push(store, make_image(store, LAYERS), where)
    issuer.refresh.clear()
    now[0] += 4 * 3600
    push(store, make_image(store, [layer_bytes("c")]), where)
    assert [one for one, _, _ in issuer.asked] == ["exchange", "token", "token", "exchange", "token"]


def test_a_wrong_secret_of_entra_says_the_services_words_without_it(
    registry: RealRegistry, azure: AzureDouble, name: str
) -> None:
    wrong = Azure(tenant=TENANT, client_id=CLIENT, client_secret=Secret("wr0ng-secret"))
    with pytest.raises(OutOfReach) as caught:
        by_manifest(registry, azure, wrong).repository(f"{registry.address}/{name}").tags()
    assert f"Azure refuses the service principal {CLIENT}" in str(caught.value)
    assert "AADSTS7000215: Invalid client secret provided." in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    assert "Trace ID" not in str(caught.value)


def test_a_wrong_password_says_the_registrys_words_without_it(registry: RealRegistry, name: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        as_principal(registry, "puller", "wr0ng-secret").repository(f"{registry.address}/{name}").tags()
    assert "refuses the name or the password of user 'puller'" in str(caught.value)
    assert "authentication required, visit https://aka.ms/acr/authorization" in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def test_an_identity_that_the_registry_does_not_know(registry: RealRegistry, name: str) -> None:
    where = as_entra(registry, lambda: Secret("stranger")).repository(f"{registry.address}/{name}")
    with pytest.raises(
        Unauthorized, match=r"does not take the test's identity: the access token is not of this tenant"
    ):
        where.tags()


def test_row_27_an_image_one_already_has_is_copied_by_digest(
    registry: RealRegistry, issuer: Issuer, store: Store, name: str
) -> None:
    issuer.entra["e"] = "pusher"
    image = make_image(store, LAYERS)
    registries = as_entra(registry, lambda: Secret("e"))
    push(store, image, registries.repository(f"{registry.address}/{name}-from"))
    other = Store(store.folder.with_name("empty"))
    source, target = (registries.repository(f"{registry.address}/{name}-{end}") for end in ("from", "to"))
    copied = copy(source, image.digest, target)
    assert copied.image.digest == image.digest
    assert target.has_manifest(image.digest)
    assert not other.blobs.has(image.digest, image.size)


def test_row_29_a_private_registry_that_lacks_one_of_three(project: Callable[[dict[str, str]], Path]) -> None:
    from pipeline.errors import ManifestError
    from pipeline.manifest.load import load

    rest = "bases: {b: {image: 'python:3.11'}}\nimages: {i: {base: b}}\nversion: 1\nname: a\n"
    folder = project({"p.yaml": f"{rest}registries: {{prod: {{username: u, password: '${{env:P}}'}}}}\n"})
    with pytest.raises(ManifestError, match="missing key 'address'"):
        load(folder / "p.yaml", environ={"P": "x"})
    for given, missing in (("username: u", "password"), ("password: '${env:P}'", "username")):
        folder = project({"p.yaml": f"{rest}registries: {{prod: {{address: a.example.com, {given}}}}}\n"})
        manifest = load(folder / "p.yaml", environ={"P": "x"})
        with pytest.raises(UsageError, match=f"registries.prod: the {missing} is missing"):
            Registries({}, manifest.registries.values())


def test_row_10_what_is_probably_not_meant_is_pointed_out(project: Callable[[dict[str, str]], Path]) -> None:
    """An untagged image is latest, which is warned of; a host that looks mistyped is named as it should be."""
    folder = project({"p.yaml": DOUBTFUL})
    out, err = io.StringIO(), io.StringIO()
    assert run(["validate", str(folder / "p.yaml")], environ={"HOME": str(folder)}, out=out, err=err) == 0
    told = err.getvalue()
    assert "p.yaml:3:" in told
    assert "prod.azureecr.io looks mistyped (did you mean prod.azurecr.io?)" in told
    assert "python has no tag: docker.io/library/python:latest is used, which moves" in told
    assert "x/y has no tag: x/y:latest is used, which moves" in told
    assert "other.azurcr.io looks mistyped: did you mean other.azurecr.io?" in told
    assert told.count("warning") == 4


DOUBTFUL = """\
version: 1
name: a
registries: {prod: {address: prod.azureecr.io/ml}}
bases:
  b: {image: python}
  c: {image: {reference: x/y, registry: prod}}
  d: {image: "other.azurcr.io/a:1"}
  e: {image: "fine.azurecr.io/a:1"}
images: {i: {base: b, command: [/a]}, j: {base: c, command: [/a]}, k: {base: d, command: [/a]}}
"""


def test_what_is_handed_on_to_others_is_a_token_and_never_the_identity(registry: RealRegistry, issuer: Issuer) -> None:
    """An engine, or a cluster, that pulls by itself gets what Docker would send: zeros and a refresh token."""
    issuer.entra["e"] = "puller"
    registries = as_entra(registry, lambda: Secret("e"))
    given = registries.given_credential(parse(f"{registry.address}/a:1"))
    assert given is not None
    assert (given.username, issuer.refresh[given.password.reveal()]) == (ZEROS, "puller")
    assert given.entra is None
    docker = Registries({"HOME": "/nonexistent"}, extra=[given], retry=Retry(1))
    assert not docker.repository(f"{registry.address}/a").has_manifest("sha256:" + "0" * 64)
