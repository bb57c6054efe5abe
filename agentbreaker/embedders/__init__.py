"""Ready-made embedders for ``Guard(embedder=...)``; none of them downloads anything, and each is light to import."""

from __future__ import annotations

from agentbreaker.embedders.local import SentenceTransformersEmbedder
from agentbreaker.embedders.openai_compatible import OpenAICompatibleEmbedder

__all__ = ["OpenAICompatibleEmbedder", "SentenceTransformersEmbedder"]
