"""Backups of a data dir as one set: ledger, landing zone, book and rejected rows of one moment.
`take` makes one, `putback` restores one; `store` is the folder they lie in, `manifest` what a set
consists of."""
