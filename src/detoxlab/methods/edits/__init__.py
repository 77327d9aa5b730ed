"""Methods that change weights without gradient steps on them, or by the negation of such steps.

Each file is one of them. They leave low-rank factors as an adapter, or an edit.
"""
