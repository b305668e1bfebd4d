"""A trained model that answers: bundles on disk, recommendations, filters, rules and explanations."""
