"""The console's files for browsers, by names that hold their digests: kept for ever."""

from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.site import BASE

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"
_DIGEST_CHARACTERS = 12

router = APIRouter()


class StaticFiles:
    """The files of a folder, read once."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._names: dict[str, str] = {}
        self._contents: dict[str, tuple[bytes, str]] = {}
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            digest = sha256(content).hexdigest()[:_DIGEST_CHARACTERS]
            name = f"{path.stem}.{digest}{path.suffix}"
            self._names[path.name] = name
            self._contents[name] = (content, _TYPES[path.suffix])

    def url(self, name: str) -> str:
        """The URL of a file. Raises `KeyError` for one that is not there."""
        return f"{BASE}/static/{self._names[name]}"

    def content(self, name: str) -> tuple[bytes, str] | None:
        """The content and the media type by the name in the URL."""
        return self._contents.get(name)


STATIC = StaticFiles()


@router.get("/static/{name}")
async def static_file(name: str) -> Response:
    found = STATIC.content(name)
    if found is None:
        raise HTTPException(404)
    content, kind = found
    return Response(content, media_type=kind, headers={"cache-control": _FOR_EVER})
