"""One repository of a registry: image manifests, blobs, tags, one request for each (OCI distribution-spec 1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from pipeline.digest import Digest, parsed
from pipeline.errors import OutOfReach
from pipeline.facts import Platform
from pipeline.http import Body
from pipeline.noun import noun
from pipeline.oci.descriptor import Descriptor
from pipeline.registry.authentication import Scopes
from pipeline.registry.client import Answer, RegistryClient, Request, Tally
from pipeline.registry.documents import ACCEPT, Document, document, for_platform, is_digest
from pipeline.registry.problems import Damaged, Denied, NotFound, Refused, Unauthorized, twice

_MOST_TAG_PAGES = 1000
_MOST_DIGITS = 18


@noun
class UploadSession:
    """An upload under way: where it goes on, and how many bytes the registry has."""

    location: str
    offset: int = 0


class Repository:
    """A repository, opened by a user. `tally` counts the requests made and the bytes moved through this very object.

    `scopes` is what a token for it must allow (distribution's spec/auth/scope.md).
    """

    def __init__(self, client: RegistryClient, name: str, scopes: Scopes = frozenset()) -> None:
        self.client = client
        self.name = name
        self.tally = Tally()
        self.scopes = scopes or frozenset({f"repository:{name}:pull"})

    def for_push(self, mount_from: Iterable[str] = ()) -> Repository:
        """The same repository, with one token for all that a push does; counts anew."""
        sources = (f"repository:{name}:pull" for name in mount_from if name != self.name)
        return Repository(self.client, self.name, frozenset({f"repository:{self.name}:pull,push", *sources}))

    @property
    def address(self) -> str:
        """`registry/repository`, for messages."""
        return f"{self.client.registry}/{self.name}"

    def __str__(self) -> str:
        return self.address

    # -- image manifests ----------------------------------------------------------------------------------------

    def resolve(self, wanted: str, platform: Platform | None = None) -> Descriptor:
        """What a tag or a digest stands for; with `platform`, through an index to its image manifest.

        NotFound when it is not there; ResolveError when it has no image for the platform.
        """
        answer = self._call("HEAD", f"manifests/{quote(wanted, safe=':')}", wanted, headers={"Accept": ACCEPT})
        digest = answer.headers.get("docker-content-digest", "")
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        size = answer.headers.get("content-length", "")
        if (
            not is_digest(digest)
            or not _is_size(size)
            or not media_type
            or (platform and "manifest.v2" not in media_type)
        ):
            found = self.manifest(wanted)
            if platform and found.is_index:
                return for_platform(found, platform, self._place(wanted))
            return found.descriptor
        return Descriptor(media_type, Digest(digest), int(size))

    def manifest(self, wanted: str, platform: Platform | None = None) -> Document:
        """An image manifest or an index, verified; with `platform`, an index is followed to its image manifest."""
        path = f"manifests/{quote(wanted, safe=':')}"

        def read() -> Document:
            answer = self._call("GET", path, wanted, headers={"Accept": ACCEPT})
            self.tally.add(moved=len(answer.data))
            promised = wanted if ":" in wanted else answer.headers.get("docker-content-digest", "")
            return document(answer.data, self._place(wanted), answer.headers.get("content-type", ""), promised)

        found = twice(read)
        if platform and found.is_index:
            return self.manifest(for_platform(found, platform, self._place(wanted)).digest)
        return found

    def has_manifest(self, digest: str) -> bool:
        """Whether the repository has this very image manifest or index."""
        try:
            self._call("HEAD", f"manifests/{digest}", digest, headers={"Accept": ACCEPT})
        except NotFound:
            return False
        return True

    def put_manifest(self, found: Document, wanted: str = "") -> None:
        """Puts an image manifest or an index: under its digest, or under a tag, which moves it.

        Refused with the code MANIFEST_BLOB_UNKNOWN when the registry lacks a part of it.
        """
        wanted = wanted or found.descriptor.digest
        headers = {"Content-Type": found.descriptor.media_type, "Content-Length": str(len(found.data))}
        path = f"manifests/{quote(wanted, safe=':')}"
        answer = self._call("PUT", path, wanted, headers=headers, body=lambda: found.data, good=(201, 200, 202))
        self.tally.add(moved=len(found.data))
        # The specification says that it is told; a proxy may answer for a registry that never heard of it.
        kept = answer.headers.get("docker-content-digest", "") or self.resolve(wanted).digest
        if kept != found.descriptor.digest:
            raise Damaged(f"{self._place(wanted)}: the registry kept {kept} in place of {found.descriptor.digest}")

    # -- tags ---------------------------------------------------------------------------------------------------

    def tag(self, digest: str, tags: Sequence[str], found: Document | None = None) -> None:
        """Moves tags to an image that the repository has; `found` saves reading it. The digest stays what it is."""
        found = found or self.manifest(digest)
        for tag in tags:
            self.put_manifest(found, tag)

    def tags(self, page: int = 1000) -> list[str]:
        """All tags, sorted, read `page` at a time; none for a repository that is not there."""
        found: set[str] = set()
        asked: set[str] = set()
        url = self._url(f"tags/list?n={page}")
        while url not in asked and len(asked) < _MOST_TAG_PAGES:
            asked.add(url)
            try:
                answer = self.client.call(self._request("GET", url, "tags"))
            except NotFound:
                break
            found.update(tag for tag in _json(answer, self.address).get("tags") or [] if isinstance(tag, str))
            following = answer.headers.get("link", "")
            if 'rel="next"' not in following and "rel=next" not in following:
                break
            url = following.partition("<")[2].partition(">")[0]
            url = url if url.startswith(("/", "http")) else self._url("tags/" + url)
        return sorted(found)

    # -- blobs --------------------------------------------------------------------------------------------------

    def has_blob(self, digest: str) -> bool:
        try:
            self._call("HEAD", f"blobs/{digest}", digest)
        except NotFound:
            return False
        return True

    @contextmanager
    def open_blob(self, digest: str, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """A blob's bytes from `offset` on, not verified. Tried once: whoever reads knows how far it got."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        request = self._request("GET", self._url(f"blobs/{digest}"), digest, headers, good=(200, 206))
        with self.client.open(request) as (response, _url):
            yield _skipped(response.chunks(), offset if response.status == 200 else 0)

    def start_upload(self, digest: str = "", mount_from: str = "") -> UploadSession | None:
        """Begins an upload; None when the registry mounted the blob from the repository `mount_from` instead."""
        query = f"?{urlencode({'mount': digest, 'from': mount_from})}" if mount_from else ""
        url = self._url(f"blobs/uploads/{query}")
        request = self._request("POST", url, digest, {"Content-Length": "0"}, good=(201, 202))
        if mount_from:
            try:
                return self.client.retry(lambda: self._begun(self.client.once(request)))
            except (Denied, Unauthorized, NotFound, Refused):
                # An upload will do.
                pass
        return self.client.retry(self.begin_upload)

    def begin_upload(self) -> UploadSession:
        """Begins an upload where nothing is to be mounted. Tried once."""
        url = self._url("blobs/uploads/")
        answer = self.client.once(self._request("POST", url, "", {"Content-Length": "0"}, good=(202,)))
        return UploadSession(self._location(answer))

    def _begun(self, answer: Answer) -> UploadSession | None:
        return None if answer.status == 201 else UploadSession(self._location(answer))

    def upload_status(self, session: UploadSession) -> UploadSession | None:
        """How far an upload got; None when the registry does not go on with it."""
        try:
            request = self._request("GET", session.location, "upload", good=(204, 200, 202))
            answer = self.client.once(request)
        except (NotFound, Refused):
            return None
        last = answer.headers.get("range", "").rpartition("-")[2]
        if not _is_size(last) or not int(last):
            # `0-0` is the answer for no byte as well as for one: not worth going on with.
            return None
        return UploadSession(self._location(answer, session.location), int(last) + 1)

    def put_blob(self, session: UploadSession, digest: str, size: int, body: Callable[[], Body]) -> None:
        """Ends an upload with the rest of its bytes; the registry verifies the digest. Tried once."""
        url = session.location + ("&" if "?" in session.location else "?") + urlencode({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - session.offset)}
        self.client.once(self._request("PUT", url, digest, headers, body, (201, 204)))

    def patch_blob(self, session: UploadSession, end: int, body: Callable[[], Body]) -> UploadSession:
        """Sends the bytes up to `end` of an upload, which goes on. Tried once."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{session.offset}-{end - 1}",
            "Content-Length": str(end - session.offset),
        }
        request = self._request("PATCH", session.location, "upload", headers, body, (202, 204))
        return UploadSession(self._location(self.client.once(request), session.location), end)

    # -- within -------------------------------------------------------------------------------------------------

    def _call(
        self,
        method: str,
        path: str,
        subject: str,
        headers: dict[str, str] | None = None,
        body: Callable[[], Body] | None = None,
        good: tuple[int, ...] = (200,),
    ) -> Answer:
        return self.client.call(self._request(method, self._url(path), subject, headers, body, good))

    def _request(
        self,
        method: str,
        url: str,
        subject: str,
        headers: dict[str, str] | None = None,
        body: Callable[[], Body] | None = None,
        good: tuple[int, ...] = (200,),
    ) -> Request:
        scopes = self.scopes if method in ("GET", "HEAD") else self._push_scopes()
        return Request(method, url, self._place(subject), scopes, headers or {}, body, good, self.tally)

    def _push_scopes(self) -> Scopes:
        pushes = f"repository:{self.name}:pull,push"
        return self.scopes if pushes in self.scopes else frozenset({pushes})

    def _url(self, path: str) -> str:
        return f"/v2/{self.name}/{path}"

    def _place(self, subject: str) -> str:
        if not subject or subject in ("upload", "tags"):
            return self.address
        return f"{self.address}{'@' if ':' in subject else ':'}{subject}"

    def _location(self, answer: Answer, otherwise: str = "") -> str:
        location = answer.headers.get("location", "") or otherwise
        if not location:
            fact = f"{self.address}: the registry names no place to upload to"
            raise OutOfReach(fact, remedy="see its log", transient=True)
        return self.client.absolute(answer.url, location)


def _is_size(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _json(answer: Answer, where: str) -> dict[str, Any]:
    try:
        value = parsed(answer.data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise OutOfReach(f"{where}: the registry answers nonsense", remedy="check its address")
    return value


def _skipped(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Without the first `count` bytes, for a registry that knows no ranges."""
    for chunk in chunks:
        if count >= len(chunk):
            count -= len(chunk)
        else:
            yield chunk[count:]
            count = 0
