"""Media types are compared without regard to case."""

from __future__ import annotations

import pytest

from wsgikit.http.media_types import is_form, is_json, media_type_of


@pytest.mark.parametrize(
    ("content_type", "media_type"),
    [
        (None, ""),
        ("", ""),
        ("text/html", "text/html"),
        ("Text/HTML; Charset=UTF-8", "text/html"),
        (" Multipart/Form-Data ;boundary=X", "multipart/form-data"),
        (";", ""),
    ],
)
def test_a_media_type_is_in_lower_case_and_without_parameters(content_type, media_type):
    assert media_type_of(content_type) == media_type


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("multipart/form-data", "form"),
        ("application/x-www-form-urlencoded", "form"),
        ("application/json", "json"),
        ("application/vnd.api+json", "json"),
        ("application/json5", ""),
        ("text/json", ""),
        ("multipart/mixed", ""),
        ("", ""),
    ],
)
def test_a_media_type_is_a_form_or_json(media_type, kind):
    assert (is_form(media_type), is_json(media_type)) == (kind == "form", kind == "json")
