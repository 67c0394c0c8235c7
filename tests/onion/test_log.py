"""The line of the log that an error gets which nobody can answer."""

from __future__ import annotations

import pytest

from wsgikit.onion.log import cause_of, log_error


class Silent(Exception):
    def __str__(self):
        raise SystemExit


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TypeError("no\n  number"), "TypeError: no number"),
        (TypeError(), "TypeError"),
        (TypeError("ends with a colon:"), "TypeError: ends with a colon:"),
        (Silent("x"), "Silent"),
        (ValueError("x" * 2000), "ValueError: " + "x" * 987 + "…"),
    ],
    ids=["lines", "none", "colon", "str raises", "long"],
)
def test_cause_is_class_and_text_on_one_line(error, text):
    assert cause_of(error) == text


def test_line_of_an_error_has_its_text_without_credentials(environ, caplog):
    log_error(environ, ValueError("no postgresql://ann:hunter2@host/db"), "in a stream")
    (record,) = caplog.records
    assert record.getMessage().startswith("GET /: error in a stream: ValueError: no postgresql://")
    assert "hunter2" not in record.getMessage()
