"""A small OpenID provider for tests: it signs people in at once, and checks what a client has to do."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "pipeline", "s3cret-of-the-client"


class Provider:
    """`claims` are those of whoever signs in next; `alter` changes an ID token's claims before they are signed."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {"sub": "u1", "preferred_username": "ada", "groups": ["ops"]}
        self.userinfo: dict[str, Any] = {}
        self.alter: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.algorithm = "RS256"
        self.key, self.other = (RSAKey.generate_key(2048, {"kid": kid}) for kid in ("k1", "k2"))
        self.signing = self.key
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self._send(*outer.get(urlsplit(self.path).path))

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                given = {name: values[0] for name, values in form.items()}
                self._send(*outer.token(given, self.headers.get("Authorization", "")))

            def _send(self, status: int, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def get(self, path: str) -> tuple[int, Any]:
        if path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "keys"}
            found = {"issuer": self.url, **{name: f"{self.url}/{end}" for name, end in ends.items()}}
            more = {"id_token_signing_alg_values_supported": ["RS256", "HS256", "none"]}
            return 200, {**found, **more, "userinfo_endpoint": f"{self.url}/userinfo", **self.document}
        if path == "/keys":
            return 200, KeySet([self.key]).as_dict(private=False)
        return (200, self.userinfo) if path == "/userinfo" else (404, {})

    def sign_in(self, url: str) -> str:
        """What a browser does at the authorization endpoint: the address that it is sent back to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.url}/auth?") and query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256" and query["client_id"] == CLIENT
        assert "openid" in query["scope"].split() and len(query["state"]) > 20 and len(query["nonce"]) > 15
        code = hashlib.sha256(query["state"].encode()).hexdigest()
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        query = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = query and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == query["code_challenge"]
        known = authorization == "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if not query or not proved or not known or form.get("redirect_uri") != query["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        fixed = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": query["nonce"]}
        claims = {**fixed, **self.claims, **self.alter}
        header = {"alg": self.algorithm, "kid": self.signing.kid}
        signed = jwt.encode(header, claims, self.signing, algorithms=[self.algorithm])
        return 200, {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "id_token": signed}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
