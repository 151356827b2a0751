"""A supervisor with two workers: each worker is a guarded graph, and so is the hand-over to it.

supervisor ──▶ ask_bank(request) ──▶ guarded worker over the bank's tools
└─▶ ask_mail(request) ──▶ guarded worker over the mailbox's tools
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, StructuredTool

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
    handovers = [
        _handover(
            "ask_bank",
            "Let the bank clerk look up balances, pay bills and manage cards.",
            best_of_n.build(model, bank, guard, n=n),
        ),
        _handover(
            "ask_mail",
            "Let the mail clerk find, write, move and delete mail.",
            best_of_n.build(model, mail, guard, n=n),
        ),
    ]
    return best_of_n.build(model, handovers, guard, n=n, checkpointer=checkpointer)


async def graph() -> Graph[Any, Any, Any, Any]:
    """Return the supervisor over a bank and a mailbox, for `langgraph dev`."""
    return await off_loop(
        lambda: build(default_model(), bank_tools(), mail_tools(), default_guard())
    )


def _handover(name: str, description: str, worker: Graph[Any, Any, Any, Any]) -> BaseTool:
    """Return the tool that lets a worker answer a request, in sync and in async runs."""

    def answer(request: str) -> str:
        return _said(worker.invoke(_asked(request)))

    async def aanswer(request: str) -> str:
        return _said(await worker.ainvoke(_asked(request)))

    return StructuredTool.from_function(answer, aanswer, name=name, description=description)


def _asked(request: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(request)]}


def _said(done: dict[str, Any]) -> str:
    return str(done["messages"][-1].text)
