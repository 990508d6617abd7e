"""Where a credential may go. The rest of the rules is told by the settings' own tests."""

import pytest

from hypereal.providers.addresses import check_url, is_path


@pytest.mark.parametrize("url", ["https://a.example/x", "http://127.0.0.1:9", "http://vllm:8000", "http+unix:///s|/v1"])
def test_a_safe_address_is_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url", ["http://a.example", "https://a{b}.example", "https://a.example/{b}", "https://u:p@a.example", "gopher://a"]
)
def test_another_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_url(url)


def test_a_path_has_no_slash_at_its_end_and_no_braces() -> None:
    assert is_path("")
    assert is_path("/a/b@c")
    assert not any(map(is_path, ("/", "a", "/a/", "/{a}", "/a?b", "/a b")))
