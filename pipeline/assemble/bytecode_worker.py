"""Compiles Python sources to bytecode that is equal wherever it is made; run by an image's own interpreter.

Reads requests from standard input and answers on standard output until the input ends. It starts with a line that
holds the interpreter's version. A request is two byte strings, the source's path here and in the image; an answer is
one, the .pyc file, empty for a source that does not compile. Each is led by its length: 4 bytes, big-endian. Needs
nothing outside the interpreter, and Python 3.7 or newer.
"""

from __future__ import annotations

import gc
import marshal
import sys
from importlib.util import MAGIC_NUMBER

CodeType = type((lambda: 0).__code__)


def hold(value: object, held: list[object]) -> None:
    """Appends every object that marshal will meet below `value`, but for what it makes itself, to `held`.

    marshal marks an object for later reference only if it is referred to more than once (Python/marshal.c, w_ref), so
    that names the interpreter happens to know already would give other bytes. With one more reference to each, the
    mark is always there.
    """
    held.append(value)
    if isinstance(value, (tuple, frozenset)):
        for each in value:
            hold(each, held)
    elif isinstance(value, CodeType):
        parts = ["co_consts", "co_names", "co_filename", "co_name", "co_qualname"]
        parts += ["co_linetable", "co_exceptiontable"] if sys.version_info >= (3, 10) else ["co_lnotab"]
        for part in parts:
            if hasattr(value, part):
                hold(getattr(value, part), held)
        # The tuples of these are made anew each time; their strings are the ones that marshal writes.
        for part in ("co_varnames", "co_cellvars", "co_freevars"):
            held.extend(getattr(value, part))


def compiled(source: bytes, path: str, mtime: int) -> bytes | None:
    """The .pyc file (PEP 552, checked by time and size) of a source; None when it does not compile."""
    try:
        code = compile(source, path, "exec", dont_inherit=True)
        held: list[object] = []
        hold(code, held)
        body = marshal.dumps(code, 4)
    except (SyntaxError, ValueError, UnicodeError, RecursionError, MemoryError, OverflowError):
        return None
    words = [0, mtime, len(source)]
    return MAGIC_NUMBER + b"".join((word & 0xFFFFFFFF).to_bytes(4, "little") for word in words) + body


def main() -> None:
    # What compiling makes is no cycle; looking for some takes a twentieth of the time.
    gc.disable()
    requests, answers, mtime = sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[1])
    answers.write(sys.version.split()[0].encode() + b"\n")
    answers.flush()
    while True:
        size = requests.read(4)
        if not size:
            return
        here = requests.read(int.from_bytes(size, "big"))
        there = requests.read(int.from_bytes(requests.read(4), "big"))
        with open(here, "rb") as file:  # noqa: PTH123
            answer = compiled(file.read(), there.decode("utf-8", "surrogateescape"), mtime) or b""
        answers.write(len(answer).to_bytes(4, "big") + answer)
        answers.flush()


if __name__ == "__main__":
    main()
