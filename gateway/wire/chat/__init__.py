"""The chat dialect: OpenAI Chat Completions (API reference, "Chat Completions")."""

from gateway.wire.chat.dialect import ChatDialect

__all__ = ["ChatDialect"]
