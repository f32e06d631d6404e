"""Tests without a port: the application and its clients in one Trio run, on a virtual clock if you like."""

from .blocking import TestClient as TestClient
from .client import Client as Client
from .client import HandshakeRefused as HandshakeRefused
from .client import NothingReceived as NothingReceived
from .connect import connect as connect
from .session import WebSocketDenialResponse as WebSocketDenialResponse
from .session import WebSocketTestSession as WebSocketTestSession
