"""HTTP/1.1 with kept connections, the user's proxies and certificates, and failures as OutOfReach.

It follows no redirect and adds no credential: both are decided by whoever knows which host may see what. Written on
sockets, for whether a registry still has an image is asked in every run: the usual libraries take longer to import
than such a run may last.
"""

from __future__ import annotations

from pipeline.http.address import is_loopback
from pipeline.http.model import Body, NoTLS, Response, Transport, after, long, retry_after, shown
from pipeline.http.network import Http

__all__ = ["Body", "Http", "NoTLS", "Response", "Transport", "after", "is_loopback", "long", "retry_after", "shown"]
