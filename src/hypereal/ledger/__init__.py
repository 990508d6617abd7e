"""Wallets, holds, leases, entries and usage rows. The protocol is docs/money.md."""
