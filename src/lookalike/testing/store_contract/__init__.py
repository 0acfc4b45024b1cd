"""The contract of a store, a class for each subject; `testing.stores.StoreContract` has them all."""
