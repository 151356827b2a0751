"""toolrm_guard: score, select and correct tool calls before they execute."""
