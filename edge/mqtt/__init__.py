"""The two ways to a broker: paho-mqtt over the network, and one in memory for tests and simulations.

paho keeps an unlimited queue, reconnects without jitter, and dies silently when a callback raises. So a client is used
for one connection only, its queue is bounded, its callbacks do nothing but put into the link's inbox, and its network
thread is watched: one that died, or that confirms nothing any more, is a lost connection.
"""

from edge.mqtt.client import Broker, PahoConnector, PahoSession
from edge.mqtt.memory import MemoryBroker, MemorySession
from edge.mqtt.tls import Tls

__all__ = ["Broker", "MemoryBroker", "MemorySession", "PahoConnector", "PahoSession", "Tls"]
