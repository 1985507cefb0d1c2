"""The terms on which we speak TLS as a client."""

import ssl


def client_context() -> ssl.SSLContext:
    """Verifies servers by the system's authorities, or those of `SSL_CERT_FILE`.

    Python 3.13 asks more of authorities (RFC 5280, section 4.2.1.3: key usage) than many a
    company's own has, and than Python 3.12, OpenSSL or curl ask.
    """
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
