"""The guide to the critic and the cascade runs as it is written."""

import re
from pathlib import Path
from typing import Any

from tests.support.critics import Model
from tests.support.serving import serving
from toolrm_guard import Guard
from toolrm_guard.calls import Call, Candidate

GUIDE = Path(__file__).parents[2] / "docs" / "second-opinions.md"
TOOL = {
    "name": "save_item",
    "description": "Save an item.",
    "parameters": {"type": "object", "properties": {"quality": {"type": "integer"}}},
}


async def test_lite_first_the_critic_where_it_is_unsure_and_where_a_draft_is_sent_back() -> None:
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    with serving(Model(evaluation="The quality is 9.")) as served:
        names: dict[str, Any] = {}
        code = code.replace("http://localhost:8000", served.url).replace("band=0.3", "band=1.0")
        exec(compile(code, str(GUIDE), "exec"), names)
        guard: Guard = names["guard"]
        poor, good = (
            Candidate(calls=(Call(name="save_item", arguments={"quality": quality}),))
            for quality in (1, 9)
        )
        request = "Save the item with quality 9."
        passed = await guard.areview(request, [TOOL], [poor, good])
        sent_back = await guard.areview(request, [TOOL], [poor])
        await names["critic"].aclose()
    assert (passed.decision, passed.chosen) == ("execute", 1)
    assert sent_back.decision == "correct"
    assert "The quality is 9." in (sent_back.critique or "")
    assert names["cascade"].stats.escalated == 2
