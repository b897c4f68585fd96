"""Every request's question: who is this, and may they?"""
