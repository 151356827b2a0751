"""Ready-made LangGraph graphs on the public API; `langgraph.json` serves them."""
