"""The engine: values, plans, keys, the store, the runner and the gates. Imports none of its siblings."""
