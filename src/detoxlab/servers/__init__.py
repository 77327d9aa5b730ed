"""Servers: addresses that may stand in records, the choice of one, and the attempts of a request.

`completions` and the scorers at servers share it. It sends nothing, and imports nothing heavy.
"""

from detoxlab.servers.addresses import check_address, check_recordable
from detoxlab.servers.attempts import RETRIED, USUAL_RETRIES, Failed, Retries, asked_wait
from detoxlab.servers.endpoints import Endpoint, Endpoints

__all__ = [
    "RETRIED",
    "USUAL_RETRIES",
    "Endpoint",
    "Endpoints",
    "Failed",
    "Retries",
    "asked_wait",
    "check_address",
    "check_recordable",
]
