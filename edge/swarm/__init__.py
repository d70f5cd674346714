"""Simulated nodes, a thousand of them in one process: to load a centre, and to account for every frame.

mqtt    a small MQTT client on asyncio; a thread per node would be too many
node    one simulated node: birth, health, counts, frames, updates, dropouts
run     the swarm: start, watch, drain, and the figures
"""
