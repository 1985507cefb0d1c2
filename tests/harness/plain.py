"""Single questions over HTTP without TLS, by a client of their own each."""

import ssl

import httpx

#: for every client here: httpx would read all authorities for each, which takes longer than to ask
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def get(url: str) -> httpx.Response:
    return httpx.get(url, verify=NO_TLS, trust_env=False)


def post(url: str) -> httpx.Response:
    return httpx.post(url, verify=NO_TLS, trust_env=False)
