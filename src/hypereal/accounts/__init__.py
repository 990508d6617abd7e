"""Accounts, users and keys: who is calling, and may they."""
