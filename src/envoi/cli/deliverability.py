"""`envoi deliverability`: make and sign a feed of rules, for those who offer one to their instances."""

from pathlib import Path

import click

from envoi.cli.main import Context, emit_json, json_option, say


@click.group()
def deliverability() -> None:
    """Make and sign a feed of rules that instances take from an address."""


@deliverability.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def key(context: Context, file: Path, as_json: bool) -> None:
    """Make a signing key in FILE, which must not be there yet, and print the public key for the instances."""
    import base64
    import os

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from envoi.kernel.errors import Conflict

    made = Ed25519PrivateKey.generate()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Conflict(
            f"{file} is there already, and may be the key of a feed. Choose another name."
        ) from error
    with os.fdopen(handle, "wb") as out:
        out.write(
            made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    public = base64.b64encode(
        made.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    ).decode()
    if as_json:
        emit_json({"file": str(file), "public_key": public})
    else:
        say(f"The key is in {file}. Keep it secret; instances need the public key:")
        click.echo(public)


@deliverability.command()
@click.argument("document", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("to", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "key_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The signing key.",
)
@click.pass_obj
def sign(context: Context, document: Path, to: Path, key_file: Path) -> None:
    """Check DOCUMENT, a JSON file in the form that the guide shows, and write it signed into TO."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from envoi.kernel.errors import Invalid

    context.setup()
    from envoi.packages.delivery.services.deliverability import feed

    try:
        private = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except ValueError as error:
        raise Invalid(f"{key_file} is no signing key: make one by `envoi deliverability key`.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise Invalid(f"{key_file} is no Ed25519 key: make one by `envoi deliverability key`.")
    to.write_bytes(feed.sign(document.read_bytes(), private))
    say(f"{to} is signed. Offer it over https.")
