"""The chat dialect: OpenAI Chat Completions (API reference, "Chat Completions")."""

from gateway.dialects.chat.dialect import ChatDialect

__all__ = ["ChatDialect"]
