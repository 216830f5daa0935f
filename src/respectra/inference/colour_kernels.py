"""Telling the colours of large pictures apart, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from respectra.notices import watch_compiler

watch_compiler()


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _mixed(a: Any, b: Any, c: Any) -> Any:
    mixed = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= np.uint64(b) * np.uint64(0xC2B2AE3D27D4EB4F)
    return mixed ^ (np.uint64(c) * np.uint64(0x165667B19E3779F9))


@numba.njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _group(a: Any, b: Any, c: Any, groups: Any) -> Any:
    """One of a power of two of groups, by other bits than those of a slot."""
    return np.int64(_mixed(a, b, c) >> np.uint64(8)) & (groups - 1)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def number_rows(
    bits: Any, keys: Any, slots: Any, number: Any, group: int = 0, groups: int = 1
) -> int:
    """Number the distinct rows of bits in the order of their appearance; -1: too many.

    Open addressing: ``slots`` holds the number of a key, or -1. Rows of other groups than the one
    of a power of two of ``groups`` are passed over.
    """
    mask, count, last = np.int64(len(slots) - 1), 0, -1
    for i in range(len(bits)):
        a, b, c = bits[i, 0], bits[i, 1], bits[i, 2]
        if groups > 1 and _group(a, b, c, groups) != group:
            continue
        if last >= 0 and keys[last, 0] == a and keys[last, 1] == b and keys[last, 2] == c:
            number[i] = last
            continue
        slot = np.int64(_mixed(a, b, c) >> np.uint64(29)) & mask
        while True:
            known = slots[slot]
            if known < 0:
                if count == len(keys):
                    return -1
                slots[slot] = count
                keys[count, 0], keys[count, 1], keys[count, 2] = a, b, c
                last = count
                count += 1
                break
            if keys[known, 0] == a and keys[known, 1] == b and keys[known, 2] == c:
                last = known
                break
            slot = (slot + 1) & mask
        number[i] = last
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_groups(bits: Any, counts: Any) -> None:
    """How many rows fall to each of ``len(counts)`` groups, a power of two."""
    for i in range(len(bits)):
        counts[_group(bits[i, 0], bits[i, 1], bits[i, 2], len(counts))] += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def shift_groups(bits: Any, starts: Any, number: Any) -> None:
    """Add to the number of each row where its group starts."""
    for i in range(len(bits)):
        number[i] += starts[_group(bits[i, 0], bits[i, 1], bits[i, 2], len(starts))]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def renumber(number: Any, first: int, known: Any) -> None:
    """``number = known[first + number]``."""
    for i in range(len(number)):
        number[i] = known[first + number[i]]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fill_rows(table: Any, number: Any, out: Any) -> None:
    """``out[i] = table[number[i]]``."""
    for i in range(len(number)):
        row = number[i]
        for band in range(table.shape[1]):
            out[i, band] = table[row, band]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def same_rows(table: Any, number: Any, rows: Any) -> bool:
    """Whether ``rows[i] == table[number[i]]`` for all i."""
    for i in range(len(number)):
        row = number[i]
        for band in range(table.shape[1]):
            if rows[i, band] != table[row, band]:
                return False
    return True
