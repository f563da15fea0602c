"""A page of a worker's HTTP server."""

from __future__ import annotations

import http.client


def page(port: int, path: str, timeout_seconds: float = 20.0) -> tuple[int, str]:
    """Status and text; 0 where nobody answers. (An httpx client costs more than a scrape.)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
