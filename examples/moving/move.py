"""Moves the customers of the shop to Gatelodge, with their passwords, while nobody can sign in.

`python move.py --try` changes nothing, and says who could not move. If a run breaks off, the next
one goes on; whoever was moving at that moment is named.
"""

import asyncio
import os
import sys
import tempfile

from fastapi import FastAPI
from shop import Base, Customer, engine
from sqlalchemy import select
from sqlalchemy.orm import Session

from gatelodge.fastapi import Account, Gatelodge, Refused


async def move_all(auth: Gatelodge, *, trying: bool) -> int:
    """Move everybody who has not moved; return how many cannot."""
    refused = 0
    with Session(engine) as session:
        for customer in session.scalars(select(Customer).where(Customer.gatelodge_id.is_(None))):
            try:
                account = await move(auth, customer)
            except Refused as refusal:
                refused += 1
                print(f"{customer.email}: {refusal.refusal.message}", file=sys.stderr)
                continue
            if not trying:
                customer.gatelodge_id = account.uuid
                session.commit()
    return refused


async def move(auth: Gatelodge, customer: Customer) -> Account:
    """Make the account of a customer.

    Raises:
        Refused: the address or the hash cannot be used, or there is an account of this name.
    """
    account = await auth.users.create(
        f"customer-{customer.id.hex[:20]}",  # customers sign in with their address
        customer.email,
        password_hash=customer.hashed_password,
        email_verified=customer.is_verified,
    )
    if not customer.is_active:
        await auth.users.disable(account.subject)
    return account


async def main(*, trying: bool) -> int:
    """Move everybody, or try it with a database that is thrown away; return the exit code."""
    with tempfile.TemporaryDirectory() as nowhere:
        auth = Gatelodge(data_dir=nowhere, database="") if trying else Gatelodge()
        app = FastAPI(lifespan=auth.lifespan)
        auth.install(app)
        async with auth.lifespan(app):
            return 1 if await move_all(auth, trying=trying) else 0


if __name__ == "__main__":
    os.umask(0o077)
    Base.metadata.create_all(engine)
    sys.exit(asyncio.run(main(trying="--try" in sys.argv)))
