"""TLS to the reward server: whom it trusts, and who it says it is; with real certificates."""

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.stand_in.replies import unweighted_folder
from bench.stand_in.server import StandIn
from tests.contract.test_scorers import RIGHT, ask
from toolrm_guard.errors import ScorerUnavailable
from toolrm_guard.scorers.vllm import VllmScorer


@dataclass(frozen=True)
class Pair:
    certificate: str
    key: str


@dataclass(frozen=True)
class Secured:
    url: str
    folder: Path
    ca: str
    client: Pair


Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def issue(folder: Path, name: str, issuer: Signer | None) -> tuple[Pair, Signer]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signer_name, signer = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    pair = Pair(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    pem = serialization.Encoding.PEM
    Path(pair.certificate).write_bytes(certificate.public_bytes(pem))
    Path(pair.key).write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pair, (certificate, key)


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    """A server whose certificate our own authority signed, and which asks for one of ours."""
    ca, authority = issue(tmp_path, "ca", None)
    server, _ = issue(tmp_path, "server", authority)
    client, _ = issue(tmp_path, "client", authority)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca.certificate)
    context.load_cert_chain(server.certificate, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    listening = await StandIn().serve(tls=context)
    port = listening.sockets[0].getsockname()[1]
    yield Secured(f"https://127.0.0.1:{port}", unweighted_folder(tmp_path), ca.certificate, client)
    listening.close()


async def test_our_own_authority_and_certificate_open_the_connection(secured: Secured) -> None:
    pair = (secured.client.certificate, secured.client.key)
    scorer = VllmScorer(secured.url, folder=secured.folder, verify=secured.ca, client_cert=pair)
    [scores] = await scorer.score([ask(RIGHT)], None)
    assert len(scores) == 1
    await scorer.aclose()
    unverified = VllmScorer(secured.url, folder=secured.folder, verify=False, client_cert=pair)
    assert await unverified.score([ask(RIGHT)], None) == [scores]
    await unverified.aclose()


async def test_a_server_that_nobody_vouches_for_is_not_asked(secured: Secured) -> None:
    scorer = VllmScorer(secured.url, folder=secured.folder)
    with pytest.raises(ScorerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await scorer.score([ask(RIGHT)], None)
    await scorer.aclose()


async def test_a_server_that_wants_our_certificate_does_not_answer_without(
    secured: Secured,
) -> None:
    scorer = VllmScorer(secured.url, folder=secured.folder, verify=secured.ca)
    with pytest.raises(ScorerUnavailable):
        await scorer.score([ask(RIGHT)], None)
    await scorer.aclose()


async def test_the_environment_names_the_authorities(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLRM_GUARD_VLLM_CA_FILE", secured.ca)
    pair = (secured.client.certificate, secured.client.key)
    scorer = VllmScorer(secured.url, folder=secured.folder, client_cert=pair)
    assert await scorer.score([ask(RIGHT)], None)
    await scorer.aclose()
