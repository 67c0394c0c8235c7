"""Mistakes that a type checker must find: each line with a comment is an error, none else is."""

from __future__ import annotations

from wsgikit import Router, RouterMiddleware, redirect, url_for, use

router = Router("shop", strict_slash=False)  # E: call


router.route("/a", method=["GET"])  # E: call
router.get("/a", methods=["GET"])  # E: call
router.route("/a", strict_slashes="no")  # E: argument


@router.get("/")
def index() -> str:
    return "x"


index(1)  # E: call
router.include("admin")  # E: argument
router.mount("/a", "app")  # E: argument
router.errorhandler("404")  # E: argument
url_for(1)  # E: argument
redirect("/", external="yes")  # E: argument
use(RouterMiddleware, routes=router)  # E: call
use(RouterMiddleware, router="shop")  # E: argument
