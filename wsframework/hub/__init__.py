"""Publishing to many clients, none of which can hold up another."""

from .hub import Hub as Hub
from .hub import HubStatistics as HubStatistics
from .overflow import Overflow as Overflow
from .receipt import Receipt as Receipt
