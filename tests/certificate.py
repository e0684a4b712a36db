"""A certificate for localhost."""

import ssl
import subprocess
from pathlib import Path


def self_signed(folder: Path) -> Path:
    """Write a certificate that signs itself, and its key, into one file. Return the file."""
    key, certificate, both = (folder / name for name in ("key.pem", "certificate.pem", "localhost.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
