"""Static files by a name that carries their hash, cached for a year, without a build step for users."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Hashed names where files were collected; plain names otherwise (tests, first start)."""

    manifest_strict = False
