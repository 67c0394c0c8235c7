"""RESTful dispatch: one class for a collection and its items, JSON in and out, errors as problem details."""

from __future__ import annotations

__all__ = ["ACTIONS", "Action", "add_resource"]

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from werkzeug.exceptions import NotAcceptable

from wsgikit.exceptions import BadRequest, ConfigurationError, complaint
from wsgikit.http.parameters import Invalid, from_json, from_text, hints_of, is_body_type, is_object_type
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.policies import policy_in_class
from wsgikit.routing.invoke import as_sync, wants_of, with_wants
from wsgikit.routing.pages import MOST_PAGES, Page
from wsgikit.routing.problem import Problem, as_problem
from wsgikit.routing.urls import build_url
from wsgikit.wsgi import ROUTING

if TYPE_CHECKING:
    from wsgikit.routing.registry import Registry

# What each method of the class is for: its HTTP method, and whether it is about one item.
ACTIONS = {
    "index": ("GET", False),
    "create": ("POST", False),
    "show": ("GET", True),
    "update": ("PUT", True),
    "patch": ("PATCH", True),
    "delete": ("DELETE", True),
}
CONVERTERS: dict[Any, str] = {int: "int", float: "float", UUID: "uuid", str: "string"}
_WITH_BODY = ("create", "update", "patch")


class Action:
    """One method of a resource, as the view of its rule.

    Attributes:
        name: ``"index"``, ``"create"``, …
        resource: the class.
        method: its function.
        body: the parameter that gets the JSON body and its annotation, or None.
        query: parameters that come from the query string, with their annotation and default.
        returns: what it is annotated to return.
        endpoint: the name of its rule.
        item_endpoint: the name of the rule that shows an item, or None.
        key: the variable that tells items apart, or None.
    """

    def __init__(
        self, name: str, resource: type[Any], make: Callable[[], Any], arguments: frozenset[str], endpoint: str
    ) -> None:
        self.name = name
        self.resource = resource
        self.method: Callable[..., Any] = getattr(resource, name)
        self.endpoint = endpoint
        self.item_endpoint: str | None = None
        self.key: str | None = None
        self._make = make
        self.__name__ = endpoint
        self.__qualname__ = f"{resource.__qualname__}.{name}"
        self.__module__ = resource.__module__
        self.__doc__ = self.method.__doc__
        self.__wsgikit_wants__ = (("exchange", "exchange"),)
        self.__wsgikit_policy__ = policy_in_class(resource, self.method)
        self.wants = wants_of(self.method, arguments)
        hints = hints_of(self.method)
        self.returns = hints.get("return")
        self.body: tuple[str, Any] | None = None
        self.query: dict[str, tuple[Any, Any]] = {}
        given = {*arguments, *(parameter for parameter, _ in self.wants)}
        signature = inspect.signature(self.method)
        for parameter in list(signature.parameters.values())[1:]:
            if parameter.name in given or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            hint = hints.get(parameter.name, Any)
            is_object = name in _WITH_BODY and (parameter.name == "body" or is_object_type(hint))
            if self.body is None and (is_body_type(hint) or is_object):
                self.body = (parameter.name, hint)
            else:
                self.query[parameter.name] = (hint, parameter.default)

    def __call__(self, exchange: Exchange, **values: Any) -> Any:
        try:
            self._check_accept(exchange)
            for name, (hint, default) in self.query.items():
                texts = exchange.request.args.getlist(name)
                if texts:
                    values[name] = value = from_text(texts, hint, name)
                    if (
                        name == "page" and isinstance(value, int) and value > MOST_PAGES
                    ):  # its offset overflows in a database
                        raise Invalid([{"loc": ["query", name], "msg": f"expected a number up to {MOST_PAGES}"}])
                elif default is inspect.Parameter.empty:
                    raise Invalid([{"loc": ["query", name], "msg": "is missing"}])
            if self.body is not None:
                name, hint = self.body
                value = exchange.request.get_json()
                values[name] = from_json(value, hint) if is_body_type(hint) or is_object_type(hint) else value
            if self.wants:
                values = with_wants(values, self.wants, exchange)
            result = as_sync(getattr(self._make(), self.name))(**values)
        except Invalid as error:
            is_query = all(one["loc"][:1] == ["query"] for one in error.errors)
            raise Problem(400 if is_query else 422, "The request can't be understood.", errors=error.errors) from error
        except BadRequest as error:
            raise Problem(int(error.status[:3]), str(error)) from error
        except Exception as error:
            problem = as_problem(error)
            if problem is error:
                raise
            raise problem from error
        return self._answer(result, exchange)

    def _check_accept(self, exchange: Exchange) -> None:
        accept = exchange.environ.get("HTTP_ACCEPT")
        if accept and accept != "*/*" and not exchange.request.accept_mimetypes.best_match(["application/json"]):
            raise NotAcceptable("The answer is application/json, which the request doesn't accept.")

    def _answer(self, result: Any, exchange: Exchange) -> Any:
        if self.name == "delete" and result is None:
            return "", 204
        if isinstance(result, Page):
            return result.as_dict(), {"Link": result.link_header(lambda page: self._page_url(page, exchange))}
        if isinstance(result, str):  # JSON in and out: text is a JSON string, not HTML
            from wsgikit.http.request import Response

            provider = _router_of(exchange).json
            text = Response(provider.body(result), content_type=provider.mimetype)
            return (text, 201) if self.name == "create" else text
        if self.name == "create" and not isinstance(result, tuple) and not callable(result) and result is not None:
            return result, 201, self._location(result, exchange)
        return result

    def _page_url(self, page: int, exchange: Exchange) -> str:
        # What the path has goes before what the query has by the same name.
        values = {**exchange.request.args.to_dict(flat=False), "page": page, **_values(exchange)}
        return build_url(_router_of(exchange), _full(self.endpoint, exchange), values, exchange.environ)

    def _location(self, result: Any, exchange: Exchange) -> dict[str, str]:
        """Return the address of what was made, if it has a value of the key's name, or an `id`."""
        if self.item_endpoint is None or self.key is None:
            return {}
        for name in (self.key, "id"):
            value = result.get(name) if isinstance(result, dict) else getattr(result, name, None)
            if value is not None:
                endpoint = _full(self.item_endpoint, exchange)
                values = {**_values(exchange), self.key: value}
                return {"Location": build_url(_router_of(exchange), endpoint, values, exchange.environ)}
        return {}


def add_resource(
    router: Registry,
    rule: str,
    resource: type[Any] | Any,
    endpoint: str | None = None,
    key: str | None = None,
    **options: Any,
) -> None:
    """Add the rules of a resource; see `Router.resource`."""
    cls = resource if isinstance(resource, type) else type(resource)
    make: Callable[[], Any] = resource if isinstance(resource, type) else lambda: resource
    present = [name for name in ACTIONS if callable(getattr(cls, name, None))]
    where = f"resource {rule!r}"
    if not present:
        raise ConfigurationError(complaint(where, "class", f"one of the methods {', '.join(ACTIONS)}", cls.__name__))
    endpoint = endpoint or cls.__name__.lower()
    outer = frozenset(_variables(rule))
    key_rule = key or _key_of(cls, present, outer, where)
    item_rule = f"{rule.rstrip('/')}/{key_rule}" if key_rule else None
    key_name = _variables(key_rule)[-1] if key_rule else None
    for name in present:
        method, is_item = ACTIONS[name]
        own_rule = item_rule if is_item else rule
        if own_rule is None:
            raise ConfigurationError(
                complaint(where, name, "a parameter that tells items apart", "none", "Add one, or key=")
            )
        arguments = outer | {key_name} if is_item and key_name else outer
        action = Action(name, cls, make, frozenset(arguments), f"{endpoint}_{name}")
        action.key = key_name
        action.item_endpoint = f"{endpoint}_show" if "show" in present else None
        router.add_url_rule(own_rule, action.endpoint, action, methods=[method], **options)


def _key_of(cls: type[Any], present: list[str], outer: frozenset[str], where: str) -> str | None:
    """Return the last part of the items' rule, from the first parameter of a method that is about an item."""
    for name in present:
        if ACTIONS[name][1]:
            function = getattr(cls, name)
            hints = hints_of(function)
            for parameter in list(inspect.signature(function).parameters.values())[1:]:
                hint = hints.get(parameter.name, str)
                if parameter.name in outer or is_body_type(hint) or parameter.name == "body":
                    continue
                if name in _WITH_BODY and is_object_type(hint):
                    continue
                converter = CONVERTERS.get(hint)
                if converter is None:
                    remedy = "Annotate it as one of them, or pass key='<converter:name>'"
                    raise ConfigurationError(
                        complaint(where, f"{name}({parameter.name})", "int, float, str or UUID", hint, remedy)
                    )
                return f"<{converter}:{parameter.name}>"
    return None


def _variables(rule: str) -> list[str]:
    return [part.partition(">")[0].rpartition(":")[2] for part in rule.split("<")[1:]]


def _router_of(exchange: Exchange) -> Any:
    return exchange.environ[ROUTING].router


def _values(exchange: Exchange) -> dict[str, Any]:
    return dict(exchange.environ[ROUTING].values or {})


def _full(endpoint: str, exchange: Exchange) -> str:
    """Return the endpoint as the serving router names it: behind the names of the included routers around."""
    current = exchange.environ[ROUTING].endpoint or ""
    prefix = current.rpartition(".")[0]
    return f"{prefix}.{endpoint}" if prefix else endpoint
