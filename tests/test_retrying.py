import errno
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.pipelines import retrying
from raicurate.pipelines.retrying import RetryingFile, with_retries


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Time passes at once, and is noted."""
    noted = []
    monkeypatch.setattr("time.sleep", noted.append)
    return noted


class Chance:
    """Draws whether the next operation fails, at most as often as will be repeated."""

    def __init__(self, seed):
        self._draw = random.Random(seed)
        self.renew()

    def renew(self):
        self._left = len(retrying.DELAYS)

    def __call__(self):
        failed = self._left > 0 and self._draw.random() < 0.5
        self._left -= failed
        return failed


class Flaky(io.BytesIO):
    """A file whose operations fail by chance, and which then cannot be used any more."""

    def __init__(self, content, chance):
        super().__init__(content)
        self._chance = chance
        self._broken = False

    def _maybe(self):
        if self._broken or self._chance():
            self._broken = True
            raise OSError("connection lost")

    def read(self, size=-1):
        self._maybe()
        return super().read(size)

    def seek(self, offset, whence=0):
        self._maybe()
        return super().seek(offset, whence)

    def close(self):
        super().close()
        if self._broken:
            raise OSError("cannot even be closed")


def flaky_file(content, chance):
    return io.BufferedReader(RetryingFile(lambda: Flaky(content, chance)), buffer_size=16)


@given(st.binary(max_size=200), st.integers(), st.integers(1, 40))
def test_a_file_that_fails_here_and_there_yields_the_same_bytes(content, seed, size):
    """Reading goes on where it stopped: nothing is lost and nothing comes twice."""
    chance = Chance(seed)
    file = flaky_file(content, chance)
    found = b""
    while block := file.read(size):
        found += block
        chance.renew()
    assert found == content
    file.close()


@given(
    st.binary(min_size=1, max_size=100),
    st.lists(st.tuples(st.sampled_from(["start", "here", "end"]), st.integers(0, 100)), max_size=8),
    st.integers(),
)
def test_seeking_and_reading_do_as_on_a_file_that_never_fails(content, moves, seed):
    """Positions are right in all three ways of seeking, whatever fails between."""
    plain = io.BufferedReader(io.BytesIO(content), buffer_size=16)
    chance = Chance(seed)
    flaky = flaky_file(content, chance)
    for way, distance in moves:
        whence = {"start": io.SEEK_SET, "here": io.SEEK_CUR, "end": io.SEEK_END}[way]
        offset = -min(distance, len(content)) if way == "end" else distance
        for operation in (
            lambda file, place=(offset, whence): file.seek(*place),
            lambda file: file.tell(),
            lambda file, size=distance: file.read(size),
        ):
            chance.renew()
            assert operation(flaky) == operation(plain)


def test_an_operation_is_repeated_after_growing_waits(waits):
    """Four attempts in all; the last error is raised."""
    attempts = []

    def fail():
        attempts.append(1)
        raise OSError("unavailable")

    with pytest.raises(OSError, match="unavailable"):
        with_retries(fail)
    assert len(attempts) == 4
    assert waits == list(retrying.DELAYS)
    assert waits == sorted(waits)


def test_an_operation_that_succeeds_is_done_once(waits):
    """Its result is returned, without waiting."""
    assert with_retries(lambda: 3) == 3
    assert waits == []


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EISDIR])
def test_what_no_repetition_mends_is_raised_at_once(waits, number):
    """A missing file or a full disk is told without waiting."""

    def fail():
        raise OSError(number, "for good")

    with pytest.raises(OSError, match="for good"):
        with_retries(fail)
    assert waits == []


def test_other_errors_are_not_repeated(waits):
    """Only the storage fails for a while; a bug does so for ever."""

    def fail():
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        with_retries(fail)
    assert waits == []


def test_a_file_that_cannot_be_opened_for_a_while_is_opened(waits):
    """Opening is repeated like reading."""
    errors = [OSError("later"), OSError("later")]

    def open_once():
        if errors:
            raise errors.pop()
        return io.BytesIO(b"content")

    assert RetryingFile(open_once).read() == b"content"
    assert len(waits) == 2


def test_a_file_that_never_fails_is_opened_once():
    """Opening is what costs on a store."""
    opened = []

    def open_once():
        opened.append(1)
        return io.BytesIO(b"content")

    file = RetryingFile(open_once)
    file.seek(3)
    assert file.read(2) == b"te"
    assert file.read() == b"nt"
    assert len(opened) == 1


def test_closing_closes_the_file_and_further_reads_fail():
    """As on any file, closing twice is no error."""
    opened = io.BytesIO(b"content")
    file = RetryingFile(lambda: opened)
    file.close()
    file.close()
    assert opened.closed
    with pytest.raises(ValueError, match="closed"):
        io.BufferedReader(file).read()


def test_a_file_that_cannot_even_be_closed_was_read_all_the_same():
    """Nothing was written, so nothing is lost."""

    class Stubborn(io.BytesIO):
        def close(self):
            super().close()
            raise OSError("connection lost")

    file = RetryingFile(lambda: Stubborn(b"content"))
    assert file.read() == b"content"
    file.close()
    assert file.closed


def test_the_file_can_be_read_and_sought_but_not_written():
    """It says so, for libraries that ask."""
    file = RetryingFile(lambda: io.BytesIO(b""))
    assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
