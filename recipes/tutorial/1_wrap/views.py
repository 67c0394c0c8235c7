"""The new pages of the blog."""

from wsgikit import Router, request

router = Router(__name__)


@router.get("/")
def index():
    return "<h1>The blog</h1><p><a href='/archive'>Archive</a></p>"


@router.get("/hello/<name>")
def hello(name):
    return {"hello": name, "method": request.method}
