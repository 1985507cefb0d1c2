"""Identity providers: OpenID Connect, and proxies that sign who has come.

    attempt ──▶ relying_party ──▶ issuer (metadata, public keys) ──▶ fetch
                      └──▶ tokens (pure)          sign_up: from claims to roles and accounts

Nothing here knows of pages.
"""
