"""The certificate that every server here gets for the jobs with TLS; there is none otherwise."""

import os
import ssl


def tls_files() -> tuple[str | None, str | None]:
    """Return the paths of the certificate and of its key, from SSL_CERTFILE and SSL_KEYFILE."""
    return os.environ.get("SSL_CERTFILE"), os.environ.get("SSL_KEYFILE")


def tls_context() -> ssl.SSLContext | None:
    """Return the same for servers that take a context."""
    certificate, key = tls_files()
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context
