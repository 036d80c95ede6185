"""Text in bulk: read a file as bytes, find its lines, hold a million strings in one buffer."""

from __future__ import annotations

import gzip
import io
import itertools
import shutil
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .errors import DataError

_SPACE = np.isin(np.arange(256), list(b"\t\n\v\f\r\x1c\x1d\x1e\x1f "))
TRUNCATED = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a truncated or damaged gzip file raises."""

_BLOCK = 1 << 20


class Texts(Sequence[str]):
    """Strings that lie in one buffer of bytes and are decoded when asked for.

    Parameters
    ----------
    content : ndarray of uint8
        UTF-8 text.
    starts, ends : ndarray of int64, shape (n,)
        String `i` is ``content[starts[i]:ends[i]]``.
    """

    def __init__(self, content: np.ndarray, starts: np.ndarray, ends: np.ndarray):
        self.content, self.starts, self.ends = content, starts, ends

    @classmethod
    def of(cls, strings: Iterable[str]) -> Texts:
        """Put strings into a buffer; :class:`Texts` stay what they are."""
        if isinstance(strings, Texts):
            return strings
        encoded = [string.encode() for string in strings]
        return cls._packed(
            np.frombuffer(b"".join(encoded), np.uint8), np.fromiter(map(len, encoded), np.int64, len(encoded))
        )

    @classmethod
    def _packed(cls, content: np.ndarray, lengths: np.ndarray) -> Texts:
        ends = np.cumsum(lengths)
        return cls(content, ends - lengths, ends)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Texts(self.content, self.starts[i], self.ends[i])
        return self.content[self.starts[i] : self.ends[i]].tobytes().decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"Texts({list(self[:3])}{'' if len(self) <= 3 else f' and {len(self) - 3} more'})"

    @property
    def lengths(self) -> np.ndarray:
        """Bytes of each string: its letters, if all are ASCII."""
        return self.ends - self.starts

    def take(self, rows: np.ndarray) -> Texts:
        """Return the strings with the given indices, in a buffer that holds nothing else."""
        return Texts(self.content, self.starts[rows], self.ends[rows]).compact()

    def compact(self) -> Texts:
        """Return the same strings in a buffer that holds nothing else."""
        lengths = self.lengths
        ends = np.cumsum(lengths)
        if len(ends) and ends[-1] == len(self.content) and np.array_equal(ends, self.ends):
            return self
        content = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
        for rows in blocks(ends):
            at = flat_indices(self.starts[rows], lengths[rows])
            content[ends[rows.start] - lengths[rows.start] : ends[rows.stop - 1]] = self.content[at]
        return Texts._packed(content, lengths)

    def merged(self, counts: np.ndarray) -> Texts:
        """Join consecutive strings: the first ``counts[0]`` become the first, and so on; a count may be 0."""
        offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        stops = np.cumsum(counts)
        return Texts._packed(self.compact().content, offsets[stops] - offsets[stops - counts])

    def strip(self) -> Texts:
        """Return the strings without white space at either end."""
        starts, ends = self.starts.copy(), self.ends.copy()
        for side, step in ((ends, -1), (starts, 1)):
            rows = np.flatnonzero(ends > starts)
            while len(rows):
                rows = rows[_SPACE[self.content[side[rows] - (step < 0)]]]
                side[rows] += step
                rows = rows[ends[rows] > starts[rows]]
        return Texts(self.content, starts, ends)

    def first_words(self) -> Texts:
        """Return what stands before the first white space in each string, leading white space left out."""
        words = self.compact().strip()
        spaces = np.append(np.flatnonzero(_SPACE[words.content]), len(words.content))
        ends = np.minimum(spaces[np.searchsorted(spaces, words.starts)], words.ends)
        return Texts(words.content, words.starts, ends)


def concatenate(parts: Sequence[Sequence[str]]) -> Sequence[str]:
    """Put sequences of strings after one another, lazily if all are :class:`Texts`."""
    if len(parts) == 1:
        return parts[0]
    if not all(isinstance(part, Texts) for part in parts):
        return [text for part in parts for text in part]
    packed = [part.compact() for part in parts]
    return Texts._packed(
        np.concatenate([part.content for part in packed]), np.concatenate([part.lengths for part in packed])
    )


def blocks(ends: np.ndarray) -> list[slice]:
    """Cut rows into runs of about a million bases; `ends` are their cumulated lengths."""
    if not len(ends):
        return []
    cuts = np.unique(np.searchsorted(ends, np.arange(_BLOCK, int(ends[-1]) + _BLOCK, _BLOCK)) + 1)
    cuts = np.unique(np.concatenate([[0], np.minimum(cuts, len(ends)), [len(ends)]]))
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(cuts)]


def flat_indices(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return ``starts[0], starts[0] + 1, ...`` for all rows, one after another."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def existing(path: str | Path) -> Path:
    """Return the path of an existing file (``~`` is the home folder), or say in a sentence what is wrong with it."""
    path = Path(path).expanduser()
    if not path.exists():
        raise DataError(
            f"Expected an existing file, received {path}, which does not exist (working folder: {Path.cwd()}): check "
            "the spelling or give an absolute path."
        )
    if path.is_dir():
        raise DataError(f"Expected a file, received the folder {path}: name a file inside it.")
    return path


def truncated(path: Path) -> DataError:
    """What to say of a gzip file whose reading raised one of :data:`TRUNCATED`."""
    return DataError(
        f"{path.name}: expected a complete gzip file, received one that is truncated or damaged: fetch or compress it "
        "again."
    )


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a text file (plain or gzip) as UTF-8 with one line feed a line end.

    Parameters
    ----------
    path : str or Path
        File (``~`` is the home folder); gzip is recognised by its first two bytes, not by its name.

    Returns
    -------
    bytes
        Without carriage returns and byte-order mark.

    Raises
    ------
    DataError
        If the file is missing, is a folder, is truncated gzip, or is not text.
    """
    path = existing(path)
    try:
        content = _unpacked(path)
        if not content.isascii():
            content.decode()
    except TRUNCATED as error:
        raise truncated(path) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name}: expected text, received bytes that are not text at offset {error.start}: give FASTA, "
            "CSV, TSV or plain text, optionally gzip-compressed."
        ) from error
    except PermissionError as error:
        raise DataError(f"{path.name}: expected a readable file, received one without read permission.") from error
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content.removeprefix(b"\xef\xbb\xbf")


def _unpacked(path: Path) -> bytes:
    with path.open("rb") as handle:
        packed = handle.read(2) == b"\x1f\x8b"
        handle.seek(0)
        if not packed:
            return handle.read()
        content = io.BytesIO()
        with gzip.open(handle) as unpacked:
            shutil.copyfileobj(unpacked, content, 1 << 20)
        return content.getvalue()


def read_lines(path: str | Path) -> list[str]:
    """Return the lines of a text file as Python strings, without line ends; see :func:`read_bytes`."""
    return list(lines_of(read_bytes(path)))


def lines_of(content: bytes) -> Texts:
    """Return the lines of a text that :func:`read_bytes` returned."""
    letters = np.frombuffer(content, np.uint8)
    ends = find(letters, b"\n")
    if len(letters) and letters[-1] != ord("\n"):
        ends = np.append(ends, len(letters))
    return Texts(letters, np.concatenate([[0], ends[:-1] + 1])[: len(ends)].astype(np.int64), ends)


def find(letters: np.ndarray, byte: bytes) -> np.ndarray:
    """Return the positions of a byte, int64, in order."""
    steps = range(0, len(letters), _BLOCK)
    found = [np.flatnonzero(letters[at : at + _BLOCK] == ord(byte)) + at for at in steps]
    return np.concatenate([np.zeros(0, np.int64), *found])
