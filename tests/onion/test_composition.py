"""`build_stack`, `use`, `Stack`: how layers are put together."""

from __future__ import annotations

import functools

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import Stack, build_stack, use
from wsgikit.wsgi import STACK


class Tag(Middleware):
    """Adds a header. Secret: `secret_key`."""

    def __init__(self, app, *, value="tag", secret_key=None):
        super().__init__(app)
        self.value = value

    def after_request(self, exchange):
        exchange.headers.add("X-Tag", self.value)


class Named(Tag):
    def __init__(self, app, *, name="default"):
        super().__init__(app, value=name)


class Users(Middleware):
    requires = ("wsgikit.session",)


class Sessions(Middleware):
    provides = ("wsgikit.session",)


class Inside(Middleware):
    inside_of = ("Sessions",)


class Outside(Middleware):
    outside_of = ("Users",)


def app(environ, start_response):
    start_response("200 OK", [])
    return [b"app"]


def tags(stack, call):
    return call(stack).finish().get_all("X-Tag")


# ---------------------------------------------------------------------------- what a layer may be


def test_layers_are_listed_from_the_outside_in(call):
    stack = build_stack(app, use(Tag, value="outer"), use(Tag, value="inner", name="second"))
    assert tags(stack, call) == ["inner", "outer"]
    assert [layer.value for layer in stack.layers] == ["outer", "inner"]


def test_a_stack_without_layers_is_the_application(call):
    assert call(build_stack(app)).finish().content == b"app"


def test_none_and_false_are_left_out(call):
    debug = False
    stack = build_stack(app, None, use(Tag), debug and use(Tag), None)
    assert len(stack.layers) == 1


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        (use(Tag, value="v"), "Tag"),
        (Tag, "Tag"),
        (functools.partial(Tag, value="v"), "Tag"),
        (lambda app: Tag(app, value="v"), "Tag"),
        (use(functools.partial(Tag), value="v"), "Tag"),
        (use(ProxyFix, x_for=1), "ProxyFix"),
        (functools.partial(ProxyFix, x_for=2), "ProxyFix"),
        (use(WhiteNoise), "WhiteNoise"),
        (lambda app: ProxyFix(app), "<lambda>"),
    ],
    ids=["use", "class", "partial", "lambda", "use of partial", "ProxyFix", "partial ProxyFix", "WhiteNoise"]
    + ["lambda of others"],
)
def test_anything_that_takes_an_app_and_returns_one_is_a_layer(layer, shown, call):
    stack = build_stack(app, use(ContextMiddleware), layer, use(Named))
    assert call(stack, REMOTE_ADDR="127.0.0.1").finish().content == b"app"
    assert repr(stack) == f"<Stack ContextMiddleware > {shown} > Named > {__name__}.app>"


def test_a_function_that_returns_the_app_as_it_is_adds_no_layer(call):
    stack = build_stack(app, use(Tag), lambda app: app, use(Named))
    assert [type(layer) for layer in stack.layers] == [Tag, Named]


def test_a_layer_of_others_splits_the_fusion_and_nothing_else(call):
    stack = build_stack(app, use(Tag, value="a"), use(ProxyFix), use(Tag, value="b", name="inner"))
    assert tags(stack, call) == ["b", "a"]


def test_layers_of_others_may_stand_twice(call):
    stack = build_stack(app, use(ProxyFix), use(ProxyFix))
    assert stack.describe().splitlines()[:2] == ["→ ProxyFix", "  → ProxyFix #2"]


def test_the_same_class_twice_needs_a_name(call):
    stack = build_stack(app, use(Tag, value="a"), use(Tag, value="b", name="second"))
    assert tags(stack, call) == ["b", "a"]
    assert stack.find(Tag).value == "a"
    assert stack.find(Tag, "second").value == "b"


def test_a_name_is_given_to_a_factory_that_has_an_option_of_that_name(call):
    assert tags(build_stack(app, use(Named, name="one"), use(Named, name="two")), call) == ["two", "one"]


def test_classes_can_be_nested_by_hand(call):
    wrapped = Tag(Tag(app, value="inner"), value="outer")
    assert tags(wrapped, call) == ["inner", "outer"]
    assert len(wrapped._onion.layers) == 2


def test_a_stack_may_be_the_application_of_another(call):
    stack = build_stack(build_stack(app, use(Tag, value="inner")), use(Tag, value="outer"))
    assert tags(stack, call) == ["inner", "outer"]


# ---------------------------------------------------------------------------- the stack


def test_around_makes_a_stack_of_layers_nested_by_hand(call):
    stack = Stack.around(Sessions(Users(app)))
    assert repr(stack) == f"<Stack Sessions > Users > {__name__}.app>"
    assert call(stack).finish().content == b"app"
    assert Stack.around(stack) is stack


def test_around_checks_the_order_too():
    with pytest.raises(ConfigurationError, match="The order that works, outermost first: "):
        Stack.around(Users(Sessions(app)))


def test_describe_draws_the_onion_with_options_and_masks_secrets():
    stack = build_stack(app, use(Tag, value="v", secret_key="hush hush"), use(ProxyFix, x_for=1), use(Sessions))
    text = stack.describe()
    assert "hush" not in text
    lines = text.splitlines()
    assert lines[0].startswith("→ Tag  value='v'  secret_key=")
    assert [line.split("  ")[-1] for line in lines[1:]] == ["→ ProxyFix", "→ Sessions", f"● {__name__}.app"]


def test_find_returns_the_outermost_layer_of_a_class_or_a_base_of_it():
    stack = build_stack(app, use(Named), use(Tag))
    assert type(stack.find(Tag)) is Named
    assert stack.find(Sessions) is None
    assert isinstance(build_stack(app, use(ProxyFix)).find(ProxyFix), ProxyFix)


def test_close_closes_each_layer_inside_out_and_raises_the_first_error(log):
    class Pool(Middleware):
        def __init__(self, app, *, label, fails=False):
            super().__init__(app)
            self.label, self.fails = label, fails

        def close(self):
            log.append(self.label)
            if self.fails:
                raise OSError(self.label)

    stack = build_stack(
        app,
        use(Pool, label="a"),
        use(Pool, label="b", fails=True, name="b"),
        use(Pool, label="c", fails=True, name="c"),
    )
    with pytest.raises(OSError, match="^c$"):
        stack.close()
    assert log == ["c", "b", "a"]


def test_a_stack_is_a_context_manager_that_closes_it(log):
    class Pool(Middleware):
        def close(self):
            log.append("closed")

    with build_stack(app, Pool) as stack:
        assert isinstance(stack, Stack)
        assert log == []
    assert log == ["closed"]


def test_environ_holds_the_stack():
    environ = {}
    stack = build_stack(lambda environ, start_response: [environ[STACK]])
    assert stack(environ, None) == [stack]


# ---------------------------------------------------------------------------- what is refused, and how


def refused(*args):
    with pytest.raises(ConfigurationError) as caught:
        build_stack(*args)
    assert isinstance(caught.value, TypeError)
    return str(caught.value)


def test_an_app_that_can_not_be_called():
    assert refused("app") == (
        "build_stack: app: expected a WSGI application as the first argument, got 'app'. "
        "Write build_stack(app, use(…), …)."
    )


def test_a_layer_in_the_place_of_the_app():
    assert refused(use(Tag)).startswith(
        "build_stack: app: expected a WSGI application as the first argument, got use(Tag)"
    )


@pytest.mark.parametrize("layer", [1, "Tag", {"a": 1}], ids=["int", "str", "dict"])
def test_a_layer_that_can_not_be_called(layer):
    assert refused(app, use(Tag), layer) == (
        f"build_stack: layer 2: expected use(…) or a callable app -> app, got {layer!r}."
    )


def test_an_instance_in_the_place_of_a_class():
    assert refused(app, Tag(app)) == (
        "build_stack: layer 1: expected a class with its options, got 'an instance of Tag'. Write use(Tag, …)."
    )
    with pytest.raises(ConfigurationError, match=r"^use: layer: expected a class with its options"):
        use(Tag(app))


def test_a_list_that_was_not_unpacked():
    layers = [use(Tag)]
    assert refused(app, layers) == (
        "build_stack: layer 1: expected one layer, got [use(Tag)]. Unpack the list: build_stack(app, *layers)."
    )


def test_use_of_what_can_not_be_called():
    with pytest.raises(ConfigurationError) as caught:
        use("Tag")
    assert str(caught.value) == "use: factory: expected a class or function that takes an app, got 'Tag'."


def test_a_layer_that_returns_nothing():
    assert refused(app, use(lambda app: None)) == (
        "build_stack: <lambda>: result: expected a WSGI application, got None. "
        "Return the application, wrapped or as it is."
    )


def test_a_wrong_keyword_is_named_with_the_one_that_was_probably_meant():
    text = refused(app, use(Tag, secert_key="hush hush"))
    assert "build_stack: Tag" in text
    assert "secert_key" in text
    assert "secret_key" in text
    assert "Did you mean" in text
    assert "hush" not in text


def test_a_required_option_that_is_missing_is_named():
    class Needs(Middleware):
        def __init__(self, app, *, url):
            super().__init__(app)

    text = refused(app, use(Needs))
    assert "build_stack: Needs" in text
    assert "url" in text


def test_a_requirement_that_nobody_provides():
    assert refused(app, use(Tag), use(Users)) == (
        "build_stack: Users: needs environ['wsgikit.session'], and no layer outside it provides that. "
        "Add SessionMiddleware before it. The order that works, outermost first: [Tag, SessionMiddleware, Users]."
    )


def test_a_requirement_that_is_provided_too_far_inside():
    assert refused(app, use(Users), use(Tag), use(Sessions)) == (
        "build_stack: Users needs environ['wsgikit.session'], which Sessions provides to the layers inside it. "
        "The order that works, outermost first: [Sessions, Users, Tag]."
    )


def test_a_layer_that_must_stand_inside_another():
    assert refused(app, use(Inside), use(Sessions)) == (
        "build_stack: Inside must stand inside Sessions. The order that works, outermost first: [Sessions, Inside]."
    )


def test_a_layer_that_must_stand_outside_another():
    assert refused(app, use(Sessions), use(Users), use(Outside)) == (
        "build_stack: Outside must stand outside Users. "
        "The order that works, outermost first: [Sessions, Outside, Users]."
    )


def test_a_derived_class_stands_for_its_base_in_the_checks():
    class MySessions(Sessions):
        pass

    assert refused(app, use(Inside), use(MySessions)).startswith("build_stack: Inside must stand inside MySessions.")


def test_the_order_that_is_shown_works():
    assert len(build_stack(app, use(Sessions), use(Outside), use(Users)).layers) == 3


def test_the_same_class_twice_without_a_name():
    assert refused(app, use(Tag), use(Sessions), use(Tag)) == (
        "build_stack: Tag: stands in the stack twice, as layers 1 and 3. Give one of them a name=, or remove it."
    )


# ---------------------------------------------------------------------------- order, as classes declare it


class InsideByClass(Middleware):
    inside_of = (Sessions,)


class InsideOfNobody(Middleware):
    inside_of = ("SomebodyElsesMiddleware",)


class Misspelled(Middleware):
    inside_of = ("ErrorPagesMiddelware",)


class OneText(Middleware):
    inside_of = "Sessions"


def test_a_relation_may_name_the_class_itself():
    build_stack(app, use(Sessions), use(InsideByClass))
    with pytest.raises(ConfigurationError, match="InsideByClass must stand inside Sessions"):
        build_stack(app, use(InsideByClass), use(Sessions))


def test_a_relation_to_a_layer_that_is_not_installed_is_no_error():
    assert len(build_stack(app, use(InsideOfNobody)).layers) == 1


def test_a_misspelled_relation_is_refused_with_the_name_meant():
    with pytest.raises(ConfigurationError) as caught:
        build_stack(app, use(Misspelled))
    assert str(caught.value) == (
        "build_stack: Misspelled: inside_of: expected a known layer, got 'ErrorPagesMiddelware'. "
        "Did you mean 'ErrorPagesMiddleware'?"
    )


def test_a_relation_that_is_no_tuple_is_refused():
    with pytest.raises(ConfigurationError, match=r"OneText: inside_of: expected a tuple .* Write \('Sessions',\)"):
        build_stack(app, use(OneText))


def test_one_layer_can_be_exempt_from_the_order_but_not_from_what_it_requires():
    build_stack(app, use(Inside, check_order=False), use(Sessions))
    build_stack(app, use(Inside), use(Sessions, check_order=False))
    with pytest.raises(ConfigurationError, match=r"Users needs environ\['wsgikit.session'\]"):
        build_stack(app, use(Users, check_order=False), use(Sessions))


def test_an_unusual_order_that_works_is_a_note():
    from wsgikit import ErrorPagesMiddleware
    from wsgikit.onion.order import order_notes

    pages_outside = build_stack(app, use(ErrorPagesMiddleware), use(ContextMiddleware))
    assert order_notes([(type(layer).__name__, layer) for layer in pages_outside.layers]) == [
        "ContextMiddleware usually stands outside ErrorPagesMiddleware."
    ]
    usual = build_stack(app, use(ContextMiddleware), use(ErrorPagesMiddleware))
    assert order_notes([(type(layer).__name__, layer) for layer in usual.layers]) == []


def test_every_middleware_of_ours_has_its_place_in_the_usual_order():
    import wsgikit
    from wsgikit.onion.order import ORDER

    ours = {name for name in wsgikit.__all__ if name.endswith("Middleware") and name != "Middleware"}
    assert ours <= set(ORDER)
