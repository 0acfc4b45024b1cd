"""Fine-tuning: networks trained end to end, evaluated in the same folds as the neighbours."""
