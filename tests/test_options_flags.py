"""A switch is True or False, and not text that only looks like one of them."""

from __future__ import annotations

import pytest

from wsgikit import SessionMiddleware, Templates
from wsgikit.exceptions import ConfigurationError
from wsgikit.options.flags import check_flags


def test_true_and_false_are_right():
    assert check_flags("Layer", debug=True, console=False) is None


@pytest.mark.parametrize("value", ["0", "false", "yes", ""])
def test_text_is_refused_with_what_to_write(value):
    with pytest.raises(ConfigurationError) as caught:
        check_flags("Layer", good=True, debug=value)
    assert str(caught.value) == (
        f"Layer: debug: expected True or False, got {value!r}. "
        "Text from outside has to be compared: os.environ.get(…) == '1'."
    )


@pytest.mark.parametrize("value", [0, 1, None, 1.0])
def test_what_is_equal_to_a_switch_is_none(value):
    with pytest.raises(ConfigurationError) as caught:
        check_flags("Layer", debug=value)
    assert str(caught.value) == f"Layer: debug: expected True or False, got {value!r}."


@pytest.mark.parametrize(
    "option", ["cookie_httponly", "cookie_partitioned", "cookie_permanent", "encrypt", "save_on_error"]
)
def test_switches_of_sessions_are_checked(option):
    with pytest.raises(ConfigurationError, match=f"^SessionMiddleware: {option}: expected True or False, got '0'"):
        SessionMiddleware(lambda environ, start_response: [], secret_key="k0123456789abcde", **{option: "0"})


def test_switches_of_templates_are_checked():
    with pytest.raises(ConfigurationError, match="^Templates: debug: expected True or False, got '0'"):
        Templates(debug="0")
