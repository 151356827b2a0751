"""Keep the contexts that teach a difference: one response fully right, and one that is not."""

from collections.abc import Iterator

from training.preferences.rows import Context, Dropped

STAGE = "difficulty"


def difficulty(context: Context) -> Iterator[Context | Dropped]:
    """Yield the context if it is neither too easy nor too hard for those who answered."""
    scores = [response.score for response in context.responses if response.score is not None]
    right = sum(score == 1.0 for score in scores)
    if not scores:
        reason, detail = "no_response", "nobody answered"
    elif not right:
        reason, detail = "none_right", f"best of {len(scores)} responses: {max(scores):.2f}"
    elif right == len(scores):
        reason, detail = "all_right", f"all {right} responses score 1"
    else:
        yield context
        return
    yield Dropped(stage=STAGE, reason=reason, id=context.id, detail=detail)
