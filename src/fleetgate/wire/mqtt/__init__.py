"""MQTT 3.1.1 and 5 without sockets, clocks or threads; the same code is both ends of a connection.

Read in this order: `errors`, `primitives`, `topics`, `properties`, `packets` (the vocabulary), `codes`, `decoding`
and `encoding` (bytes to packets and back), `rules` (every limit, AWS IoT's and the standard's), `flow` and
`connection` (one connection), `session`, `retained` and `switchboard` (what a server keeps and who gets what).
"""
