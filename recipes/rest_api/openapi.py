"""An OpenAPI 3.1 document made from a router: its rules, and what the methods of its resources are annotated with."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter

from wsgikit import Router
from wsgikit.routing.resource import Action
from wsgikit.views import Page

PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}
PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["type", "title", "status"],
}
PAGE = {
    "page": {"type": "integer"},
    "pages": {"type": "integer"},
    "per_page": {"type": "integer"},
    "total": {"type": "integer"},
}


def describe(router: Router, title: str, version: str, conflicts: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]  # nothing is added to it
    """Return the document for the resources of a router.

    Args:
        conflicts: endpoints that may answer 409.
    """
    schemas: dict[str, Any] = {"Problem": PROBLEM}
    paths: dict[str, Any] = {}
    for rule in router.rules:
        action = router.view_functions.get(rule.endpoint)
        if isinstance(action, Action):
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            method = min(rule.methods - {"HEAD", "OPTIONS"}).lower()
            paths.setdefault(path, {})[method] = _operation(rule.rule, action, schemas, rule.endpoint in conflicts)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(rule: str, action: Action, schemas: dict[str, Any], may_conflict: bool) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": PATH_SCHEMAS.get(kind, {"type": "string"})}
        for kind, name in re.findall(r"<(?:(\w+)[^:<>]*:)?([^<>]+)>", rule)
    ]
    errors = {"406"} | ({"404"} if parameters else set()) | ({"409"} if may_conflict else set())
    for name, (hint, default) in action.query.items():
        is_required = default is inspect.Parameter.empty
        schema = _schema(hint, schemas)
        # A query has no null: what may be None may be left out.
        schema["anyOf"] = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
        if not schema["anyOf"]:
            del schema["anyOf"]
        parameters.append({"name": name, "in": "query", "required": is_required, "schema": schema})
        errors.add("400")
    operation: dict[str, Any] = {
        "operationId": action.endpoint,
        "summary": inspect.getdoc(action) or action.endpoint,
        "parameters": parameters,
    }
    if action.body is not None:
        content = {"application/json": {"schema": _schema(action.body[1], schemas)}}
        operation["requestBody"] = {"required": True, "content": content}
        errors |= {"400", "415", "422"}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = {
        **_success(action, schemas),
        **{code: {"description": "A problem", "content": problem} for code in sorted(errors)},
    }
    return operation


def _success(action: Action, schemas: dict[str, Any]) -> dict[str, Any]:
    if action.returns is type(None):
        return {"204": {"description": "Done"}}
    if get_origin(action.returns) is Page:
        items = {"type": "array", "items": _schema(get_args(action.returns)[0], schemas)}
        schema = {"type": "object", "properties": {"items": items, **PAGE}, "required": ["items", *PAGE]}
    else:
        schema = _schema(action.returns, schemas)
    code = "201" if action.name == "create" else "200"
    return {code: {"description": "Done", "content": {"application/json": {"schema": schema}}}}


def _schema(hint: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type; models go to the components and are referred to."""
    schema = TypeAdapter(hint).json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    name = schema.get("title")
    if schema.get("type") == "object" and name:
        schemas[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}
    return schema
