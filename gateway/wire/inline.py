"""Images given inline, the only kind that goes upstream: nothing is fetched for anyone.

Owns what counts as one. Must never look into the image itself. Source: RFC 2397; Moonshot, "Use
the Kimi vision model", whose servers take exactly this form.
"""

import re

_INLINE_IMAGE = re.compile(r"data:image/[\w.+-]+;base64,.", re.ASCII)


def is_inline_image(url: str) -> bool:
    """Whether a URL holds an image itself: `data:image/png;base64,…`."""
    return _INLINE_IMAGE.match(url) is not None
