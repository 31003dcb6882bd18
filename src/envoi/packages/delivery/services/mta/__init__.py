"""The sender process: parts from the database to the wire, outcomes back (architecture §3.6, ADR 0022).

`process` runs; `parts` leases, `composing` makes messages, `settling` brings a journal into the database,
`journals` keeps account of senders and takes over dead ones, `progress` moves deliveries along.
"""
