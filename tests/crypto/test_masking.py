"""Masked tokens: different on each page, the same token inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgikit.crypto.masking import mask_token, tokens_match, unmask_token
from wsgikit.crypto.random import random_text


@given(st.text(st.characters(codec="utf-8")))
def test_unmasking_gives_the_token(token):
    assert unmask_token(mask_token(token)) == token


def test_each_mask_is_different():
    token = random_text()
    masked = {mask_token(token) for _ in range(50)}
    assert len(masked) == 50
    assert not any(token in text for text in masked)


@given(st.text(max_size=200))
def test_any_text_is_a_token_or_none(text):
    assert unmask_token(text) is None or isinstance(unmask_token(text), str)


@pytest.mark.parametrize("change", ["=", " ", "!", "A", "\n", "\xe4", "€"])
def test_a_masked_token_with_something_added_is_refused(change):
    token = random_text()
    assert not tokens_match(token, mask_token(token) + change)
    assert not tokens_match(token, change + mask_token(token))


def test_plain_and_masked_tokens_match():
    token = random_text()
    assert tokens_match(token, token)
    assert tokens_match(token, mask_token(token))


@pytest.mark.parametrize("wrong", ["", "A", random_text(), mask_token(random_text()), "\ud800", "=" * 86])
def test_another_token_does_not_match(wrong):
    assert not tokens_match(random_text(), wrong)
