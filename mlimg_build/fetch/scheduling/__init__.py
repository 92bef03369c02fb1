"""Who is asked next: queues of hosts, limits, pauses, attempts, and the rules of sites."""
