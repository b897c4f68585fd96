"""Moves the customers of the shop to Gatelodge, with their passwords.

Run it as often as you like: whoever has moved is left alone.
"""

import asyncio
import os
import sys

from fastapi import FastAPI
from shop import Base, Customer, engine
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelodge.fastapi import Account, Gatelodge, Refused

auth = Gatelodge(sign_up="closed")  # until all have moved, nobody may take their addresses
app = FastAPI(lifespan=auth.lifespan)
auth.install(app)


async def move_all() -> int:
    """Move everybody who has not moved; return how many cannot."""
    refused = 0
    with Session(engine) as session:
        for customer in session.scalars(select(Customer).where(Customer.gatelodge_id.is_(None))):
            try:
                account = await move(customer)
            except Refused as refusal:
                refused += 1
                print(f"{customer.email}: {refusal.refusal.message}", file=sys.stderr)
                continue
            customer.gatelodge_id = account.uuid
            session.commit()
    return refused


async def move(customer: Customer) -> Account:
    """Make the account of a customer, or find the one that a run before has made.

    Raises:
        Refused: the address or the hash cannot be used.
    """
    username = f"customer-{customer.id.hex[:20]}"  # customers sign in with their address
    account = await auth.users.find(username=username)
    if account is None:
        account = await auth.users.create(
            username,
            customer.email,
            password_hash=customer.hashed_password,
            email_verified=customer.is_verified,
        )
    if not customer.is_active:
        await auth.users.disable(account.subject)
    return account


async def main() -> int:
    """Move everybody; return the exit code."""
    async with auth.lifespan(app):
        return 1 if await move_all() else 0


if __name__ == "__main__":
    os.umask(0o077)
    Base.metadata.create_all(engine)
    sys.exit(asyncio.run(main()))
