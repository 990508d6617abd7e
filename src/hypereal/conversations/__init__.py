"""Conversations that callers go on with by the id of the last answer, kept for a day where no vendor keeps them.

They are encrypted, each for its owner and id. Start at `conversations.py`.
"""

from hypereal.conversations.conversations import SIZE_BYTES_MAX, Conversation, Conversations

__all__ = ["SIZE_BYTES_MAX", "Conversation", "Conversations"]
