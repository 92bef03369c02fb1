"""Output for people: problems, progress, plans and results. Readable without colour; progress goes to stderr."""

from .absence import show_absence
from .build_progress import Watcher, counting
from .caches import show_cache, show_pruned
from .console import size
from .datasets import show_built, show_info, show_plan, show_portrait, show_proof, show_verified, show_why
from .differences import show_differences, show_unproved
from .exports import show_exported
from .fetched import show_fetched
from .left_out import show_left_out_image, show_unused_category
from .lint_findings import show_lint
from .mapping_review import show_review
from .models import show_evaluation, show_label_rule, show_modelled, show_predicted, show_written
from .problems import show_problems
from .review_loop import review_at_terminal
from .synsets import show_synsets
from .understood import show_understood

__all__ = [
    "Watcher",
    "counting",
    "review_at_terminal",
    "show_absence",
    "show_built",
    "show_cache",
    "show_differences",
    "show_evaluation",
    "show_exported",
    "show_fetched",
    "show_info",
    "show_label_rule",
    "show_left_out_image",
    "show_lint",
    "show_modelled",
    "show_plan",
    "show_portrait",
    "show_predicted",
    "show_problems",
    "show_proof",
    "show_pruned",
    "show_review",
    "show_synsets",
    "show_understood",
    "show_unproved",
    "show_unused_category",
    "show_verified",
    "show_why",
    "show_written",
    "size",
]
