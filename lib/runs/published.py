"""The files of a published profile against the hashes that were published with them."""

from pathlib import Path

from lib.files import read_json, sha256
from lib.refusal import Refusal

HASHES = "hashes.json"  # of a published profile's files


def hashes_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a published profile but HASHES, by its path there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / HASHES)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def altered(folder: Path) -> list[str]:
    """The files that are not what was published, are missing, or were added."""
    stated, found = read_json(folder / HASHES), hashes_of(folder)
    return sorted(name for name in stated | found if stated.get(name) != found.get(name))


def check_published(folder: Path) -> None:
    """Raises Refusal unless every file of the profile, its runs' among them, is what was published."""
    if names := altered(folder):
        raise Refusal(
            f"{folder / names[0]} is not what was published (its SHA-256 is not the one in {HASHES}); restore it."
        )
