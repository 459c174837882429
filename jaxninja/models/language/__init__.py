"""What a model of running text has beside its page: costs, a cache, others' names."""
