"""The cache of prefixes against an oracle: whatever it finds is what was put in."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.scorers.prefix_cache import PrefixCache
from toolrm_guard.scorers.token_tree import Ids, TokenTree, common, grouped

IDS = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)
LAYERS, WIDTH = 2, 3


def state_of(tokens: Ids) -> torch.Tensor:
    """Keys and values that tell the whole prefix of each token apart."""
    values = [float(hash(tokens[: end + 1]) % 100_003) for end in range(len(tokens))]
    return torch.tensor(values).view(1, 1, 1, -1, 1).expand(LAYERS, 2, 1, -1, WIDTH).clone()


def empty(room: int) -> PrefixCache:
    return PrefixCache(room, torch.empty(LAYERS, 2, 1, 0, WIDTH))


def found(cache: PrefixCache, tokens: Ids) -> torch.Tensor:
    return torch.cat([state_of(())[:, :, :, :0], *cache.find(tokens)], dim=3)


@given(added=st.lists(IDS, max_size=12), asked=IDS)
def test_the_longest_known_prefix_is_found_whole(added: list[Ids], asked: Ids) -> None:
    cache = empty(10_000)
    for tokens in added:
        cache.add(tokens, state_of(tokens), range(len(tokens)))
    longest = max((common(tokens, asked) for tokens in added), default=0)
    assert torch.equal(found(cache, asked), state_of(asked[:longest]))
    prefixes = {tokens[: end + 1] for tokens in added for end in range(len(tokens))}
    assert cache.held == len(prefixes)  # each token once, whatever else begins with it


@given(added=st.lists(IDS, max_size=20), room=st.integers(0, 30))
def test_the_budget_holds_and_what_is_left_is_sound(added: list[Ids], room: int) -> None:
    cache = empty(room)
    for tokens in added:
        cache.add(tokens, state_of(tokens), range(len(tokens)))
        assert cache.held <= room
        for known in added:
            state = found(cache, known)
            assert torch.equal(state, state_of(known[: state.shape[3]]))


def test_what_was_used_least_lately_goes_first() -> None:
    cache = empty(6)
    for tokens in ((1, 1, 1), (2, 2, 2)):
        cache.add(tokens, state_of(tokens), range(3))
    cache.find((1, 1, 1))
    cache.add((3, 3, 3), state_of((3, 3, 3)), range(3))
    assert [found(cache, (k,) * 3).shape[3] for k in (1, 2, 3)] == [3, 0, 3]


def test_slots_are_read_in_the_order_of_the_tokens() -> None:
    cache = empty(10)
    shuffled = state_of((7, 8, 9))[:, :, :, [2, 0, 1]]
    cache.add((7, 8, 9), shuffled, [1, 2, 0])
    assert torch.equal(found(cache, (7, 8, 9)), state_of((7, 8, 9)))


def test_what_was_found_stays_when_its_node_is_split_or_forgotten() -> None:
    cache = empty(10)
    cache.add((1, 2, 3, 4), state_of((1, 2, 3, 4)), range(4))
    held = found(cache, (1, 2, 3, 4))
    cache.add((1, 2, 9), state_of((1, 2, 9)), range(3))
    cache.clear()
    assert torch.equal(held, state_of((1, 2, 3, 4)))
    assert cache.find((1, 2)) == []
    assert cache.held == 0


@given(st.lists(IDS, min_size=1, max_size=10))
def test_a_tree_holds_each_sequence_as_a_path(sequences: list[Ids]) -> None:
    tree = TokenTree()
    ends = [tree.add(sequence) for sequence in sequences]
    paths = [tree.path(end) for end in ends]
    assert [[tree.tokens[node] for node in path] for path in paths] == [*map(list, sequences)]
    assert len(tree.tokens) == len({s[:end] for s in sequences for end in range(1, len(s) + 1)})
    seen = tree.sees()
    for path in paths:
        assert seen[path[-1]].nonzero().flatten().tolist() == path
        assert [tree.depths[node] for node in path] == [*range(len(path))]


@given(st.lists(IDS, max_size=10), st.integers(1, 30))
def test_groups_hold_each_sequence_once_within_the_limit(
    sequences: Sequence[Ids], limit: int
) -> None:
    groups = grouped(sequences, limit)
    assert sorted(s for group in groups for s in group) == sorted(set(sequences))
    for group in groups:
        tree = TokenTree()
        for sequence in group:
            tree.add(sequence)
        assert len(tree.tokens) <= limit or len(group) == 1


@pytest.mark.parametrize(("left", "right", "length"), [((), (1,), 0), ((1, 2), (1, 2, 3), 2)])
def test_common_counts_what_is_alike_at_the_start(left: Ids, right: Ids, length: int) -> None:
    assert common(left, right) == common(right, left) == length
