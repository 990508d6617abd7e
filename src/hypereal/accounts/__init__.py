"""Accounts, users and keys: who is calling, and may they.

A data process has one `KeyCache`; operators and the account API have the functions of `users` and `keys`.
"""

from hypereal.accounts.cache import KeyCache, permit_address
from hypereal.accounts.credentials import NO_KEY, choose_credential
from hypereal.accounts.keys import (
    BODY_DAYS_DEFAULT,
    BODY_DAYS_MAX,
    Key,
    KeyChange,
    KeyTerms,
    NewKey,
    change_key,
    create_key,
    find_key,
    find_owner,
    list_keys,
    revoke_key,
    rotate_key,
)
from hypereal.accounts.principal import Principal
from hypereal.accounts.users import User, addresses_of, create_user, ensure_user, find_user, list_users, set_rate

__all__ = [
    "BODY_DAYS_DEFAULT",
    "BODY_DAYS_MAX",
    "NO_KEY",
    "Key",
    "KeyCache",
    "KeyChange",
    "KeyTerms",
    "NewKey",
    "Principal",
    "User",
    "addresses_of",
    "change_key",
    "choose_credential",
    "create_key",
    "create_user",
    "ensure_user",
    "find_key",
    "find_owner",
    "find_user",
    "list_keys",
    "list_users",
    "permit_address",
    "revoke_key",
    "rotate_key",
    "set_rate",
]
