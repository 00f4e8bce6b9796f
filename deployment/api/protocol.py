"""HTTP whose headers end: uvicorn's own protocol takes headers without limit, from anybody, and keeps them."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_BYTES = 65_536
"""As many as common servers take of a request's line and headers."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers go on and on."""

    _head_bytes: int | None = 0
    """None once the headers have ended, until the next request begins."""

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers have ended."""
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > _MOST_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Count anew."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._head_bytes = None
        super().on_headers_complete()
