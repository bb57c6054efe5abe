"""One module per framework: each turns the framework's own events into messages and enforces the decision.

Nothing here is imported by ``import agentbreaker``; import the module of the framework in use, for example
``from agentbreaker.integrations.langgraph import LangGraphBreaker``.
"""
