"""Long lists in pages."""

from __future__ import annotations

__all__ = ["MOST_PAGES", "Page", "paginate"]

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from wsgikit.exceptions import BadRequest, complaint

T = TypeVar("T")


MOST_PAGES = 2**31 - 1  # times 100 a page, the offset still fits in the 64 bits that databases count in


class Page(Generic[T]):
    """A page of a list. A view may return it: it becomes the JSON object of `as_dict`.

    Args:
        items: what is on the page.
        page: its number, from 1.
        per_page: how many a page has.
        total: how many there are in all.
    """

    def __init__(self, items: Sequence[T], page: int, per_page: int, total: int) -> None:
        self.items = items
        self.page = page
        self.per_page = per_page
        self.total = total

    @property
    def pages(self) -> int:
        """How many pages there are; an empty list has none."""
        return -(-self.total // self.per_page)

    @property
    def has_next(self) -> bool:
        """Whether there is a page after this one."""
        return self.page < self.pages

    @property
    def has_prev(self) -> bool:
        """Whether there is a page before this one."""
        return self.page > 1

    @property
    def next_num(self) -> int | None:
        """The number of the next page, or None."""
        return self.page + 1 if self.has_next else None

    @property
    def prev_num(self) -> int | None:
        """The number of the page before, or None."""
        return self.page - 1 if self.has_prev else None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def numbers(self, edge: int = 2, around: int = 2) -> Iterator[int | None]:
        """Iterate over the page numbers to show; None stands for a gap."""
        last = 0
        for number in range(1, self.pages + 1):
            if number <= edge or abs(number - self.page) <= around or number > self.pages - edge:
                if number > last + 1:
                    yield None
                yield number
                last = number

    def link_header(self, url_of: Callable[[int], str]) -> str:
        """Return the value of a ``Link`` header (RFC 8288) with the first, previous, next and last page."""
        numbers = {"first": 1, "prev": self.prev_num, "next": self.next_num, "last": max(self.pages, 1)}
        return ", ".join(f'<{url_of(number)}>; rel="{rel}"' for rel, number in numbers.items() if number)

    def as_dict(self) -> dict[str, Any]:
        """Return the page as an object of JSON."""
        return {
            "items": list(self.items),
            "page": self.page,
            "pages": self.pages,
            "per_page": self.per_page,
            "total": self.total,
        }


def paginate(
    items: Sequence[T], page: int = 1, per_page: int = 20, *, max_per_page: int = 100, total: int | None = None
) -> Page[T]:
    """Cut a page out of a list.

    Args:
        items: anything with a length that can be sliced. With `total`, the items of the page itself, as a database gave
            them.
        page: the number of the page, from 1.
        per_page: how many a page has.
        max_per_page: the most that a page may have, whatever the visitor asks for.
        total: how many there are in all.

    Raises:
        BadRequest: the page or its size is less than 1, or the page is beyond 2,147,483,647.
    """
    if page < 1:
        raise BadRequest(complaint("paginate", "page", "a number from 1", page))
    if page > MOST_PAGES:
        raise BadRequest(complaint("paginate", "page", f"a number up to {MOST_PAGES}", page))
    if per_page < 1:
        raise BadRequest(complaint("paginate", "per_page", "a number from 1", per_page))
    per_page = min(per_page, max_per_page)
    if total is not None:
        return Page(items, page, per_page, total)
    start = (page - 1) * per_page
    return Page(items[start : start + per_page], page, per_page, len(items))
