"""Tokens that must be refused, and issuers with invalid or missing responses."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import threading
import time

from service import REASON, check


def part(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unpart(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def refused(service, token, what):
    for path in ["/api/v1/products", "/api/v1/products/os/streams/s1"]:
        response = service.ask("GET", path, token)
        check(response.status in (401, 429), f"{what} was answered {response.status}: {response.text[:200]}")


def forged_and_malformed(service, admin, _):
    header, claims, signature = admin.split(".")
    good, kid = unpart(claims), unpart(header)["kid"]
    secret = lambda key: part(hmac.new(key, f"{part({'alg': 'HS256', 'kid': kid})}.{claims}".encode(), hashlib.sha256).digest())
    attempts = {
        "no signature": f"{header}.{claims}.",
        "two parts": f"{header}.{claims}",
        "five parts": f"{header}.{claims}.{signature}.x.y",
        "alg none": f"{part({'alg': 'none', 'kid': kid})}.{claims}.",
        "a shared secret that is the kid": f"{part({'alg': 'HS256', 'kid': kid})}.{claims}.{secret(kid.encode())}",
        "other claims": f"{header}.{part(good | {'sub': 'x'})}.{signature}",
        "a public id": f"{header}.{part(good | {'jti': '00000000-0000-0000-0000-000000000000'})}.{signature}",
        "a kid with a NUL": f"{part({'alg': 'EdDSA', 'kid': chr(0) * 16})}.{claims}.{signature}",
        "a kid of SQL": f"{part({'alg': 'EdDSA', 'kid': chr(39) + '; drop table tokens; --'})}.{claims}.{signature}",
        "a kid of a megabyte": f"{part({'alg': 'EdDSA', 'kid': 'a' * 9000})}.{claims}.{signature}",
        "claims of lists": f"{header}.{part([[[]]])}.{signature}",
        "deep claims": f"{header}.{part(b'[' * 5000)}.{signature}",
        "bytes that are no text": f"{header}.{part(bytes(range(256)))}.{signature}",
        "dots": "." * 4000,
    }
    for what, token in attempts.items():
        if len(token) < 15_000:
            refused(service, token, what)
    check(service.ask("GET", "/api/v1/products", admin).status == 200, "the valid token was refused")
    log = (service.path / "log").read_text()
    check("drop table" not in log and "invalid byte sequence" not in log, "the log repeats an error of the database")


def leaked_key(service, admin, _):
    """A token that one key signed, with the ids of another key's token."""
    other = {"LOCKKEEPER_AUTH__SIGNING_KEY_FILE": str(service.path / "other-key.pem")}
    second = service.token("admin", "*", name="second", environment=other)
    header, _, _ = admin.split(".")
    _, claims, signature = second.split(".")
    refused(service, f"{header}.{claims}.{signature}", "another key's header")
    keys = service.command("key", "list").stdout.splitlines()
    check(len(keys) >= 2 and all("valid tokens" in key for key in keys), keys)
    kid = unpart(second.split(".")[0])["kid"]
    check(service.ask("GET", "/api/v1/products", second).status == 200, "the second key's token was refused")
    service.command("key", "revoke", kid, "--reason", "it leaked")
    refused(service, second, "a revoked key's token")


def other_streams(service, admin, _):
    """Uses a token for one stream on every route of another stream."""
    described = json.loads(service.ask("GET", "/api/v1/openapi.json").text)["paths"]
    stranger = service.token("admin", "os/elsewhere")
    values = {"product": "os", "stream": "s2", "version": "1.9", "arch": "x86_64", "scheme": "oci", "name": "x", "id": "1", "revision": "1"}
    requests = 0
    for path, item in described.items():
        if "{stream}" not in path:
            continue
        for name, value in values.items():
            path = path.replace("{" + name + "}", value)
        for method in item:
            if method in ("get", "put", "post", "patch", "delete"):
                response = service.ask(method.upper(), f"{path}?reason=x", stranger, {} if method != "get" else None, {"if-match": "*"})
                check(response.status == 403, f"{method} {path} was answered {response.status} to another stream's admin")
                requests += 1
    check(requests > 50, f"only {requests} operations were tried")


# Spellings of the stream os/s2, or of something similar, in a path.
FORMS = ["os/streams/s2", "os/streams/%732", "%6fs/streams/s2", "os/streams/S2", "os/streams/s2/", "os/streams/./s2", "os/streams/s1/../s2",
         "os/streams/s1%2f..%2fs2", "os/streams/s1%2fs2", "os/streams/s1%00s2", "os/streams/s2%00", "os/streams/s2%20", "os/streams//s2",
         "os/streams/s2;s1", "os/streams/s1,s2", "os/streams/s1%0as2", "os/streams/*", "os/streams/%2a", "*/streams/s2", "os%2fs1/streams/s2",
         "elsewhere/../os/streams/s2", "os/streams/s2%3fstream=s1", "os/streams/%ff", "os/streams/%EF%BD%932"]
PATTERNS = ["", " ", "os", "os/", "/s1", "/", "os/s*", "**", "*/", "/*", "os/s1/", "os/s1/s2", "OS/s1", "os /s1", "os/ s1", "os/s1\n", "os/s1,os/s2",
            "os/\u202es1", "\uff4fs/s1", "os/%73", "os/%2a", "../s1", "os/../*", "os\\s1", "os/s1\0", "os/" + "s" * 10_000, "*/*/*", "os|*"]


def patterns(service, admin, _):
    """Uses tokens for some streams on another stream in every spelling of its name, and issues tokens for malformed patterns."""
    for pattern in ["os/s1", "os/elsewhere", "other/*", "*/s1"]:
        stranger = service.token("admin", pattern)
        for form in FORMS:
            for method, path in [("GET", form), ("GET", f"{form}/releases"), ("POST", f"{form}/emergency-stop"), ("DELETE", f"{form}/emergency-stop")]:
                response = service.ask(method, f"/api/v1/products/{path}?{REASON}", stranger, headers={"if-match": "*"})
                check(400 <= response.status < 500, f"{method} {path} was answered {response.status} to a token for {pattern}")
                if form == FORMS[0]:
                    check(response.status == 403, f"{method} {path} was answered {response.status} to a token for {pattern}")
        # The token cannot issue a token for more streams.
        for wider in ["*", "*/*", "os/*", "os/s2", "*/s2"]:
            response = new_token(service, stranger, wider)
            check(response.status == 403, f"a token for {pattern} issued one for {wider}: {response.status} {response.text[:200]}")
        if pattern == "os/s1":
            check(service.ask("GET", "/api/v1/products/os/streams/s1", stranger).status == 200, "the token was refused on its own stream")
    for pattern in PATTERNS:
        response = new_token(service, admin, pattern)
        check(response.status == 422, f"the pattern {pattern!r:.60} was answered {response.status}: {response.text[:200]}")
    for pattern in ["", "os", "os/s*", "os/s1/s2", "os/\u202es1"]:
        created = service.command("token", "create", "--role", "viewer", "--streams", pattern, "--expires-in", "1h", "--name", "x", check_status=False)
        check(created.returncode != 0, f"token create accepted the pattern {pattern!r}")


def new_token(service, by, pattern):
    return service.ask("POST", f"/api/v1/tokens?{REASON}", by, {"name": "x", "role": "viewer", "streams": pattern, "expires_in": "PT1H"})


class Expiring:
    """A token with a lifetime of one second."""

    def __init__(self, service):
        self.token = service.token("admin", "*", name="expiring", lifetime="1s")
        # The service tolerates clocks that differ by up to 30 seconds.
        self.ends = time.monotonic() + 33
        self.was_valid = service.ask("GET", "/api/v1/products", self.token).status == 200


def expired_and_revoked(service, admin, _):
    check(service.expiring.was_valid, "the expiring token was never valid")
    created = new_token(service, admin, "*")
    check(created.status == 201, created.text)
    new = json.loads(created.text)
    check(service.ask("GET", "/api/v1/products", new["token"]).status == 200, "a new token was refused")
    revoked = service.ask("DELETE", f"/api/v1/tokens/{new['metadata']['id']}?{REASON}", admin)
    check(revoked.status == 200, revoked.text)
    refused(service, new["token"], "a revoked token")
    time.sleep(max(0, service.expiring.ends - time.monotonic()))
    refused(service, service.expiring.token, "an expired token")


def failures_are_limited_per_address(service, admin, _):
    statuses = [service.ask("GET", "/api/v1/products", "x.y.z", source="127.0.0.5").status for _ in range(200)]
    check(401 in statuses and 429 in statuses and set(statuses) <= {401, 429}, sorted(set(statuses)))
    check(service.ask("GET", "/api/v1/products", admin, source="127.0.0.5").status == 200, "a valid token was refused for other failures at its address")


def discovery(url, keys="{url}/keys"):
    return json.dumps({"issuer": url, "jwks_uri": keys.format(url=url)}).encode()


# The discovery document and the keys of each issuer, as a function of its address. None: no response for a while.
RESPONSES = {
    "nothing": lambda url: (b"", None),
    "a list": lambda url: (b"[]", None),
    "a number for keys": lambda url: (b"{\"keys\": 1}", None),
    "a deep document": lambda url: (b"[" * 100_000, None),
    "a large document": lambda url: (b"x" * 3_000_000, None),
    "bytes that are no text": lambda url: (b"\xff" * 1000, None),
    "a stalled document": lambda url: (None, None),
    "another issuer's document": lambda url: (discovery("https://other.example", url + "/keys"), None),
    "a file for keys": lambda url: (discovery(url, "file:///etc/passwd"), None),
    "deep keys": lambda url: (discovery(url), b"[" * 100_000),
    "large keys": lambda url: (discovery(url), b"{\"keys\": [" + b"1," * 1_500_000 + b"1]}"),
    "stalled keys": lambda url: (discovery(url), None),
    "a short key": lambda url: (discovery(url), json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}).encode()),
    "a key of small order": lambda url: (discovery(url), json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": part(bytes([1]) + bytes(31))}]}).encode()),
    "a secret as a key": lambda url: (discovery(url), json.dumps({"keys": [{"kty": "oct", "k": "A" * 43, "alg": "HS256"}]}).encode()),
}


class Issuers:
    """A server for issuers of tokens, each below its own path, with invalid responses or none."""

    def __init__(self):
        self.requested = {}
        issuers = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                _, place, path = self.path.split("/", 2)
                is_keys = path == "keys"
                issuers.requested.setdefault(place, set()).add("keys" if is_keys else "document")
                response = list(RESPONSES.values())[int(place)](f"{issuers.base}/{place}")[is_keys]
                if response is None:
                    time.sleep(8)
                    return
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(response)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def urls(self):
        return [f"{self.base}/{place}" for place in range(len(RESPONSES))]


def issuers_with_invalid_responses(service, admin, _):
    for place, (what, responses) in enumerate(RESPONSES.items()):
        url = f"{service.issuers.base}/{place}"
        claims = part({"iss": url, "aud": "lockkeeper", "sub": "x", "exp": 4_000_000_000})
        # The last signature is valid for any content under the key of small order.
        for signature in [b"x" * 64, b"", bytes([1]) + bytes(63)]:
            token = f"{part({'alg': 'EdDSA'})}.{claims}.{part(signature)}"
            response = service.ask("GET", "/api/v1/products", token)
            check(response.status in (401, 429, 503), f"{what}: {response.status} {response.text[:200]}")
            check(service.ask("GET", "/api/v1/products", admin).status == 200, "a token of this service was delayed by an issuer")
        has_document = responses(url)[0] == discovery(url)
        requested = service.issuers.requested.get(str(place), set())
        check("document" in requested and (not has_document or "keys" in requested), f"{what}: only {sorted(requested)} was requested")


ATTACKS = [forged_and_malformed, leaked_key, other_streams, patterns, issuers_with_invalid_responses, expired_and_revoked, failures_are_limited_per_address]
