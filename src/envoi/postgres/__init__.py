"""The embedded PostgreSQL: find the programs, keep a server, lend it, back it up, upgrade it.

Nothing of the product is imported here, and this file imports nothing at all, so that the keeper process
stays small. The public face is in `server` (acquire, external, Lease), `databases`, `backup`, `upgrade` and
`describe`; `errors.PostgresRefused` is the base of every refusal.
"""
