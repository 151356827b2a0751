"""A supervisor with two workers: each worker is a guarded graph, and so is the hand-over to it.

supervisor ──▶ ask_bank(request) ──▶ guarded worker over the bank's tools
└─▶ ask_mail(request) ──▶ guarded worker over the mailbox's tools
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, tool

from graphs import best_of_n
from graphs.parts import Graph, bank_tools, default_guard, default_model, mail_tools, off_loop
from toolrm_guard import Budget, Guard


def build(
    model: BaseChatModel,
    bank: Sequence[Any],
    mail: Sequence[Any],
    guard: Guard,
    *,
    n: int | Budget = 1,
    checkpointer: Any = None,
) -> Graph[Any, Any, Any, Any]:
    """Return the graph of the supervisor.

    Args:
        model: Proposes the turns of all three.
        bank: Tools of the first worker.
        mail: Tools of the second.
        guard: Decides for all three; its records tell them apart by their tools.
        n: Candidates a turn.
        checkpointer: As for any graph; the workers use the supervisor's.
    """
    bank_worker = best_of_n.build(model, bank, guard, n=n)
    mail_worker = best_of_n.build(model, mail, guard, n=n)

    @tool
    async def ask_bank(request: str) -> str:
        """Let the bank clerk look up balances, pay bills and manage cards."""
        return await _answer(bank_worker, request)

    @tool
    async def ask_mail(request: str) -> str:
        """Let the mail clerk find, write, move and delete mail."""
        return await _answer(mail_worker, request)

    handovers: list[BaseTool] = [ask_bank, ask_mail]
    return best_of_n.build(model, handovers, guard, n=n, checkpointer=checkpointer)


async def graph() -> Graph[Any, Any, Any, Any]:
    """Return the supervisor over a bank and a mailbox, for `langgraph dev`."""
    return await off_loop(
        lambda: build(default_model(), bank_tools(), mail_tools(), default_guard())
    )


async def _answer(worker: Graph[Any, Any, Any, Any], request: str) -> str:
    done = await worker.ainvoke({"messages": [HumanMessage(request)]})
    return str(done["messages"][-1].text)
