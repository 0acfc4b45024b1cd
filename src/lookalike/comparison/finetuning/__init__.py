"""The other way to classify: a network trained end to end, judged in the folds of the neighbours."""
