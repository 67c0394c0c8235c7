def test_an_unknown_host_is_refused(client):
    client.get("/", extra_environ={"HTTP_HOST": "evil.example"}, status=400)


def test_http_is_redirected_to_https(client):
    answer = client.get("/about", extra_environ={"HTTP_X_FORWARDED_PROTO": "http"}, status=308)
    assert answer.location == "https://blog.example.org/about"


def test_pages_have_security_headers_and_a_secure_cookie(client):
    answer = client.get("/login")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "Secure" in answer.headers["Set-Cookie"]


def test_an_error_is_no_traceback(client):
    assert "Traceback" not in client.get("/nowhere", status=404).text
