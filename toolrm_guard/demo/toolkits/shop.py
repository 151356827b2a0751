"""The back office of a shop: orders, stock, discounts."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from toolrm_guard.demo.toolkits.toolkit import Toolkit, find, within
from toolrm_guard.tools import effect

ProductId = Annotated[str, Field(description="Product id, for example cup-red.")]
OrderId = Annotated[str, Field(description="Order id, for example R5000.")]
Reason = Literal["damaged", "late", "wrong item", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product on sale; `discount_percent` is from 0 to 100."""

    price: float
    stock: int
    discount_percent: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order of a customer."""

    product: str
    pieces: int
    status: str
    refund_reason: str = ""


def _products() -> dict[str, Product]:
    return {
        "mug-blue": Product(price=12.0, stock=30),
        "mug-black": Product(price=13.0, stock=28),
        "tea-green": Product(price=6.5, stock=10),
        "tea-mint": Product(price=6.0, stock=4),
        "lamp-oak": Product(price=89.0, stock=3),
        "lamp-ash": Product(price=85.0, stock=2),
    }


def _orders() -> dict[str, Order]:
    return {
        "R5003": Order(product="mug-black", pieces=2, status="delivered"),
        "R5008": Order(product="lamp-oak", pieces=1, status="in transit"),
        "R5030": Order(product="mug-black", pieces=1, status="delivered"),
        "R5080": Order(product="tea-mint", pieces=6, status="packed"),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shop(Toolkit):
    """A shop whose products and order numbers are near twins."""

    products: dict[str, Product] = field(default_factory=_products)
    orders: dict[str, Order] = field(default_factory=_orders)

    @effect("read")
    def get_order(self, order_id: OrderId) -> str:
        """Show what an order holds and its status."""
        key = find(self.orders, order_id, "order")
        row = self.orders[key]
        return f"{key}: {row.pieces} x {row.product}, {row.status}."

    @effect("write")
    def set_discount(
        self,
        product_id: ProductId,
        percent: Annotated[float, Field(description="Discount in percent, from 0 to 100.")],
    ) -> str:
        """Set the discount of a product."""
        key = find(self.products, product_id, "product")
        within(percent, 0, 100, "percent")
        self.products[key] = replace(self.products[key], discount_percent=percent)
        return f"{key} is now {percent:g} percent off."

    @effect("write")
    def restock(
        self,
        product_id: ProductId,
        pieces: Annotated[int, Field(description="Number of pieces that arrived.")],
    ) -> str:
        """Add pieces of a product to the stock."""
        key = find(self.products, product_id, "product")
        within(pieces, 1, 10_000, "pieces")
        stock = self.products[key].stock + pieces
        self.products[key] = replace(self.products[key], stock=stock)
        return f"{key} now has {stock} pieces."

    @effect("destructive")
    def refund_order(
        self,
        order_id: OrderId,
        reason: Annotated[Reason, Field(description="Why it is refunded.")] = "other",
    ) -> str:
        """Pay the money of an order back to the customer."""
        key = find(self.orders, order_id, "order")
        if self.orders[key].status == "refunded":
            raise ValueError(f"{key} is already refunded.")
        self.orders[key] = replace(self.orders[key], status="refunded", refund_reason=reason)
        return f"{key} is refunded."

    @effect("destructive")
    def remove_product(self, product_id: ProductId) -> str:
        """Remove a product from the shop for good."""
        key = find(self.products, product_id, "product")
        del self.products[key]
        return f"{key} is removed."
