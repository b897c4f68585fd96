"""A shop that has left its own login: its customers sign in with Gatelodge, and keep their rows.

The table `customers` and all that refers to it stay. One column is new: `gatelodge_id`.
"""

import os
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from gatelodge.fastapi import Gatelodge, Notification, local_user


class Base(DeclarativeBase):
    """The tables of the shop."""


class Customer(Base):
    """A customer, as the shop has always known them."""

    __tablename__ = "customers"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str]
    hashed_password: Mapped[str | None]  # not needed any more once everybody has moved
    is_active: Mapped[bool] = mapped_column(default=True)
    is_verified: Mapped[bool] = mapped_column(default=False)
    gatelodge_id: Mapped[UUID | None] = mapped_column(unique=True)  # new


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str]
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"))


engine = create_engine(os.environ.get("SHOP_DATABASE", "sqlite:///shop.db"))


def get_session() -> Iterator[Session]:
    """Yield a session for one request."""
    with Session(engine) as session:
        yield session


auth = Gatelodge()
app = FastAPI(lifespan=auth.lifespan)
auth.install(app)

CurrentCustomer = Annotated[
    Customer,
    local_user(
        Customer,
        key="gatelodge_id",
        session=get_session,
        fill=lambda user: {"email": user.email or ""},
    ),
]


@app.get("/orders")
def list_orders(
    customer: CurrentCustomer, session: Annotated[Session, Depends(get_session)]
) -> list[str]:
    """List what a customer has ordered, before they moved and after."""
    return list(session.scalars(select(Order.what).where(Order.customer_id == customer.id)))


@auth.on("user.deleted")
def forget(what: Notification) -> None:
    """Forget the address of a customer who has deleted the account; the orders stay."""
    with Session(engine) as session:
        customer = session.scalar(select(Customer).where(Customer.gatelodge_id == what.uuid))
        if customer is not None:
            customer.email, customer.is_active = "", False
            session.commit()
