"""A bank: balances, money on its way, cards."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from toolrm_guard.demo.toolkits.toolkit import Toolkit, find, next_id, within
from toolrm_guard.tools import effect

AccountName = Literal["checking", "savings", "travel", "taxes", "gifts"]
Amount = Annotated[float, Field(description="Amount in dollars.")]
CardId = Annotated[str, Field(description="Card id, for example C70.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card; `limit` is in dollars a month."""

    limit: int
    blocked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One bill that was paid, in dollars."""

    payee: str
    amount: float
    account: str


def _balances() -> dict[str, float]:
    return {
        "checking": 1840.0,
        "savings": 5200.0,
        "travel": 765.25,
        "taxes": 1130.0,
        "gifts": 212.5,
    }


def _cards() -> dict[str, Card]:
    return {"C73": Card(limit=500), "C75": Card(limit=700), "C77": Card(limit=400)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bank(Toolkit):
    """Five accounts and three cards; money can go the wrong way."""

    balances: dict[str, float] = field(default_factory=_balances)
    cards: dict[str, Card] = field(default_factory=_cards)
    payments: dict[str, Payment] = field(default_factory=dict)

    def _withdraw(self, account: str, amount: float) -> str:
        """Take `amount` dollars out of `account`; return the account's key."""
        key = find(self.balances, account, "account")
        if not amount > 0:
            raise ValueError(f"The amount must be above 0, not {amount:g}.")
        if amount > self.balances[key]:
            raise ValueError(f"{key} has only {self.balances[key]:.2f} dollars, not {amount:.2f}.")
        self.balances[key] = round(self.balances[key] - amount, 2)
        return key

    @effect("read")
    def get_balance(
        self, account: Annotated[AccountName, Field(description="Account to look at.")]
    ) -> str:
        """Show how much money is on an account."""
        key = find(self.balances, account, "account")
        return f"{key}: {self.balances[key]:.2f} dollars."

    @effect("destructive")
    def transfer(
        self,
        source: Annotated[AccountName, Field(description="Account the money leaves.")],
        target: Annotated[AccountName, Field(description="Account the money goes to.")],
        amount: Amount,
    ) -> str:
        """Transfer money between two own accounts."""
        to = find(self.balances, target, "account")
        if find(self.balances, source, "account") == to:
            raise ValueError(f"Source and target are both {to}.")
        key = self._withdraw(source, amount)
        self.balances[to] = round(self.balances[to] + amount, 2)
        return f"Moved {amount:.2f} dollars from {key} to {to}."

    @effect("destructive")
    def pay_bill(
        self,
        payee: Annotated[str, Field(description="Who gets the money.")],
        amount: Amount,
        account: Annotated[AccountName, Field(description="Account that pays.")] = "checking",
    ) -> str:
        """Pay a bill to somebody else."""
        key = self._withdraw(account, amount)
        payment = Payment(payee=payee, amount=amount, account=key)
        self.payments[next_id(self.payments, "P")] = payment
        return f"Paid {amount:.2f} dollars to {payee}."

    @effect("write")
    def set_card_limit(
        self, card_id: CardId, limit: Annotated[int, Field(description="Dollars a month.")]
    ) -> str:
        """Set the monthly limit of a card."""
        key = find(self.cards, card_id, "card")
        within(limit, 0, 10_000, "limit")
        self.cards[key] = replace(self.cards[key], limit=limit)
        return f"{key} now has a limit of {limit} dollars."

    @effect("destructive")
    def block_card(self, card_id: CardId) -> str:
        """Block a card for good."""
        key = find(self.cards, card_id, "card")
        if self.cards[key].blocked:
            raise ValueError(f"{key} is already blocked.")
        self.cards[key] = replace(self.cards[key], blocked=True)
        return f"{key} is blocked."
