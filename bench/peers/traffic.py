"""Counts bytes on TCP connections as the kernel does: those of a registry's port, and those from other machines.

The kernel tells of each connection when it ends (netlink, sock_diag(7), group SKNLGRP_INET_TCP_DESTROY) and of the open
ones when asked; so nothing stands in the way of what is measured. It needs CAP_NET_ADMIN.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DUMP = 0x0301  # NLM_F_REQUEST | NLM_F_DUMP
_DONE = 3
_DESTROYED = 1 << 0 | 1 << 2  # SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY, as bits
_INFO = 2  # INET_DIAG_INFO: struct tcp_info (linux/tcp.h)
_ACKED = 120  # its tcpi_bytes_acked; tcpi_bytes_received follows
_LOOPBACK = (b"\x7f", b"\x00" * 15 + b"\x01", b"\x00" * 10 + b"\xff\xff\x7f")


@dataclass(frozen=True)
class Moved:
    """Bytes that a registry got and gave, and that came from other machines."""

    up: int = 0
    down: int = 0
    fetched: int = 0

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.up + other.up, self.down + other.down, self.fetched + other.fetched)

    def __sub__(self, other: Moved) -> Moved:
        return Moved(self.up - other.up, self.down - other.down, self.fetched - other.fetched)


class Traffic:
    """Counts while a block runs. Without the right to ask the kernel, `counts` is false and all figures are 0."""

    def __init__(self, port: int) -> None:
        self._port = port
        try:
            with _listener():
                self.counts = True
        except OSError:
            self.counts = False

    @contextlib.contextmanager
    def of(self, found: list[Moved]) -> Iterator[None]:
        """Adds what was moved in the block to the list, at its end."""
        if not self.counts:
            yield
            found.append(Moved())
            return
        with _listener() as ended:
            before = self._open()
            yield
            # The last connections of a process that has ended are closed by then.
            time.sleep(0.1)
            found.append(self._ended(ended) + self._open() - before)

    def _ended(self, ended: socket.socket) -> Moved:
        moved = Moved()
        while True:
            try:
                data = ended.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return moved
            moved += self._count(data)

    def _open(self) -> Moved:
        moved = Moved()
        for family in (socket.AF_INET, socket.AF_INET6):
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asked:
                # struct inet_diag_req_v2: all states, the extension tcp_info.
                request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0xFFFFFFFF)
                asked.send(struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + request)
                while not _last(data := asked.recv(1 << 20)):
                    moved += self._count(data)
        return moved

    def _count(self, data: bytes) -> Moved:
        moved = Moved()
        for message in _messages(data):
            acked, received = _bytes(message)
            # struct inet_diag_msg: family, state, timer, retransmissions, ports, source, destination.
            source, target = struct.unpack_from("!HH", message, 4)
            remote = message[24 : 28 if message[0] == socket.AF_INET else 40]
            if source == self._port:
                moved += Moved(up=received, down=acked)
            elif target != self._port and not remote.startswith(_LOOPBACK):
                moved += Moved(fetched=received)
        return moved


@contextlib.contextmanager
def _listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as made:
        with contextlib.suppress(PermissionError):
            # SO_RCVBUFFORCE: fifty services close many connections before anybody reads.
            made.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)
        made.bind((0, _DESTROYED))
        yield made


def _messages(data: bytes) -> Iterator[bytes]:
    """The bodies of the netlink messages that tell of a connection."""
    start = 0
    while start + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, start)
        if length < 16:
            raise OSError(errno.EPROTO, "a netlink message without a length")
        if kind == _SOCK_DIAG_BY_FAMILY and length >= 16 + 72:
            yield data[start + 16 : start + length]
        start += (length + 3) & ~3


def _last(data: bytes) -> bool:
    """Whether the answer ends here; its last message comes in a datagram of its own."""
    return struct.unpack_from("=IH", data)[1] in (_DONE, 2)


def _bytes(message: bytes) -> tuple[int, int]:
    """Acknowledged and received bytes of a connection; none for one that just listens or waits for its end."""
    at = 72
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind & 0x3FFF == _INFO and length >= 4 + _ACKED + 16:
            acked, received = struct.unpack_from("=QQ", message, at + 4 + _ACKED)
            return acked, received
        at += max((length + 3) & ~3, 4)
    return 0, 0
