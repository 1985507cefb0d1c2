"""The hash of a key, by the two ways to it."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.keys import KeyHasher, hash_key


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(max_size=600), min_size=1))
def test_a_hasher_hashes_as_the_standard_library_does(pepper: bytes, keys: list[bytes]) -> None:
    hasher = KeyHasher(pepper)
    assert [hasher.hash(key) for key in keys] == [hash_key(pepper, key) for key in keys]
