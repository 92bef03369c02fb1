"""Takes images down: finds them in stored results, forgets what held them, and proves that they are gone."""
