"""Show plans, builds and datasets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from mlimg_build.quantities import counted

from .build_log import say
from .console import err, out, percent, size, table
from .fetched import fetched_line, show_outlook
from .left_out import show_left_out, show_unused_categories
from .pairs import show_pairs

if TYPE_CHECKING:
    from mlimg_build.compiler.build_result import Built
    from mlimg_build.dataset import Verification
    from mlimg_build.dataset.verification import Finding
    from mlimg_build.explain.label_proofs import Proof

NO_DATASET = {"dataset-missing", "not-a-dataset"}
RULES = 3  # rules without effect that a build names
MOST = 12  # categories listed on one line
BRANCH = 4  # columns before a branch of a tree

__all__ = ["show_built", "show_info", "show_plan", "show_portrait", "show_proof", "show_verified", "show_why"]


def show_plan(summary: dict[str, Any]) -> None:
    """Print what a build would do, and why."""
    part = "" if summary["fraction"] >= 1 else f", fraction {summary['fraction']:g}"
    if part:
        total = sum(summary["splits"].values())
        part += f": {summary['images']:,} of {total:,} images, as it takes whole shards"
    out.print(Text.assemble((f"{summary['name']} {summary['version']}", "bold"), f"{part}\n"))
    listed = table("source", "images", "statements", "passed over", right=("images", "statements"))
    for name, source in summary["sources"].items():
        listed.add_row(
            name, f"{source['images']:,}", f"{source['statements']:,}", _coded(source["passed_over"])
        )
    out.print(listed)
    for name, source in summary["sources"].items():
        if tars := source.get("tars"):
            more = f" to {tars['last']}" if tars["count"] > 1 else ""
            out.print(f"{name}: {tars['count']:,} tars, {tars['first']}{more}")
        if source["noted"]:
            out.print(f"{name}: used, but worth a look: {_coded(source['noted'])}")
    mapped = ", ".join(f"{count} {method}" for method, count in summary["mapping"].items())
    out.print(f"\ncategories  {summary['categories']:,}, {summary['implied_pairs']:,} implied pairs")
    out.print(f"mapped by   {mapped}")
    for way, merge in summary["merged"].items():
        out.print(
            f"merged      {way}: {merge['source_categories']:,} source categories in {merge['categories']:,} "
            f"categories, {merge['images']:,} images"
        )
    _show_pairs(summary)
    if summary["labels_below_confidence"]:
        out.print(f"not counted {summary['labels_below_confidence']:,} labels below min_confidence")
    _show_groups(summary)
    shards, cached = summary["shards"], summary["image_shards_cached"]
    held = "1 shard" if shards == 1 else f"{shards} shards"
    out.print(f"dataset     {summary['images']:,} images in {held}, {size(summary['bytes'])} at the source")
    out.print(f"cached      images of {cached} shards, labels of {summary['label_shards_cached']}")
    reading = f"{summary['images_to_read']:,} images and {size(summary['bytes_to_read'])} to read"
    todo = (
        f"{summary['tasks']} tasks, {reading}" if summary["tasks"] else "nothing but to assemble the dataset"
    )
    out.print(f"to do       {todo}")
    if ahead := summary["fetch"]:
        show_outlook(ahead)
    if training := summary["training"]:
        tuned = f", then transfer to {training['transfer']}" if training["transfer"] else ""
        out.print(
            f"then        train {training['model']} at {training['image_size']} px: {training['epochs']} epochs, "
            f"{training['steps']:,} steps of {training['batch_size']:,} images{tuned}"
        )
    for rule in summary["unused"]:
        out.print(f"no effect   {rule}")
    for what, reasons in summary["why"].items():
        for reason, count in reasons.items():
            out.print(f"because     {what} of {count} shards: {reason}")
    show_left_out(out, summary["left_out"])
    more = "mappings.csv of the lock, or write them with `mlimg lint --to FILE`"
    show_unused_categories(out, summary["unused_categories"], sum(summary["fates"].values()), more)


def _coded(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {code}" for code, count in counts.items())


def _notes(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how much of the sources was passed over, and how much was used and should be reviewed."""
    gone, kept = (
        sum(sum(source[which].values()) for source in sources.values()) for which in ("passed_over", "noted")
    )
    parts = []
    if gone:
        parts.append(
            "1 row, label or file of the sources was passed over"
            if gone == 1
            else f"{gone:,} rows, labels or files of the sources were passed over"
        )
    if kept:
        what = "1 row or file was used, and is" if kept == 1 else f"{kept:,} rows or files were used, and are"
        parts.append(f"{what} worth a look")
    return ", ".join(parts)


def _show_groups(summary: dict[str, Any]) -> None:
    """Print the splits in images and groups, with the shares that result from drawing whole groups."""
    groups, total = summary["groups"], sum(summary["splits"].values())
    if groups is None:
        shares = ", ".join(
            f"{name} {count:,} ({percent(count / total)})" for name, count in summary["splits"].items()
        )
        out.print(f"splits      {shares}")
        return
    for rule in dict.fromkeys(groups["by"].values()):
        sources = ", ".join(source for source, one in groups["by"].items() if one == rule)
        out.print(Text(f"groups      by {rule} in {sources}"))  # a pattern is not markup
    images = sum(summary["splits"].values())
    for split, count in summary["splits"].items():
        in_it = groups["splits"].get(split, 0)
        told = (
            f"{count:,} images ({percent(count / images)}), {in_it:,} {'group' if in_it == 1 else 'groups'}"
        )
        out.print(f"split       {split}: {told}")
    if groups["images_without"]:
        out.print(f"no group    {groups['images_without']:,} images, each draws its split alone")


def _show_pairs(summary: dict[str, Any]) -> None:
    """Print the pairs of co-occurring categories, and how many are left out and why."""
    if not summary["pair_list"]:
        return
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary["pairs_left_out"].items())
    left_out = f", left out: {reasons}" if reasons else ""
    out.print(f"go together {summary['pairs']:,} pairs of categories{left_out}\n")
    show_pairs(summary["pair_list"], where="cooccurrence.csv of the lock lists all")
    out.print()


def show_built(built: Built) -> None:
    """Print the path of the dataset on stdout, and what was done on stderr."""
    if built.seconds:
        rate = f", {built.read / built.seconds:,.0f} images/s" if built.read else ""
        workers = "1 worker" if built.workers == 1 else f"{built.workers} workers"
        say(
            f"read {built.read:,} images in {built.seconds:.1f} s with {workers}{rate}, "
            f"at most {size(built.peak_memory)} a worker"
        )
    else:
        say("everything was there already")
    if built.fetched is not None:
        say(fetched_line(built.fetched))
    if built.failed:
        listed = ", ".join(f"{count} {status}" for status, count in sorted(built.failed.items()))
        say(
            f"{sum(built.failed.values()):,} of {built.images:,} images have no bytes: {listed}; see {built.failures}"
        )
    if built.asked_again:
        verb = "of them was gone" if built.asked_again == 1 else "of them were gone"
        say(
            f"{built.asked_again:,} {verb} since the plan or could not be read: every run asks again, and the lock "
            "does not count this dataset as finished"
        )
    summary = built.summary
    more = f"{built.lock / 'mappings.csv'}"
    show_unused_categories(err, summary["unused_categories"], sum(summary["fates"].values()), more)
    show_left_out(err, summary["left_out"], str(built.left_out))
    if summary["labels_below_confidence"]:
        say(f"{summary['labels_below_confidence']:,} labels are below min_confidence and do not count")
    if built.copies["groups"] or built.copies["basis"] == "fraction":
        from mlimg_build.dataset import copies_in_words  # noqa: PLC0415  other commands need not load it

        say(f"copies: {copies_in_words(built.copies)}")
    if built.passed_over:
        say(f"{_notes(summary['sources'])}; see {built.passed_over}")
    for rule in summary["unused"][:RULES]:
        say(f"no effect: {rule}")
    if len(summary["unused"]) > RULES:
        say(f"and {len(summary['unused']) - RULES:,} more rules without effect; see `mlimg plan`")
    if built.proved is not None:
        proved, shards = built.proved
        rest = (
            ""
            if proved == shards
            else "; the lock knows no digest of the others, as nobody built them before"
        )
        say(f"{proved:,} of {shards:,} shards are proved to be those of the lock{rest}")
    say(f"{built.images:,} images, digest {built.digest}")
    out.print(str(built.dataset))


def show_why(told: dict[str, Any], whole: bool) -> None:
    """Print the origin of an image's labels: statement by statement for a `whole` image, else each chain in full."""
    about = f"{told['split']} row {told['row']}, {told['status']}, {told['width']} × {told['height']}"
    rights = ", ".join(text for text in (told["licence"], told["author"]) if text)
    tree = Tree(Text.assemble((told["image"], "bold"), f"  {about}{', ' + rights if rights else ''}"))
    if told["copies"] and not told["counts"]:
        first = told["copies"][0]
        text = f"it has the bytes of {first}, which counts in its place, with what is said of both"
        tree.add(Text.assemble(("copy", "yellow"), f"         {text}"))
    elif told["copies"]:
        others = ", ".join(told["copies"][1 : 1 + MOST])
        text = f"it counts for what has the same bytes: {others}{_more(len(told['copies']) - 1 - MOST)}"
        tree.add(Text.assemble(("copy", "yellow"), f"         {text}"))
    stated = [label for label in told["labels"] if label["rule"] == "stated" or not whole]
    for label in sorted(stated, key=lambda label: label["state"] != "present") if whole else stated:
        branch = tree.add(_headed(label))
        _chain(branch, label["chain"])
        implied = [
            other
            for other in told["labels"]
            if whole and other["via"] == label["wnid"] and other is not label
        ]
        if implied:
            names = ", ".join(other["name"] for other in implied)
            place = implied[0]["chain"][-1]["place"]
            branch.add(_line("implication", f"{label['state']} too: {names}", place))
    for clash in told["contradictions"]:
        branch = tree.add(
            Text.assemble(("contradiction", "yellow"), f"  {clash['text']}  ", (clash["place"], "dim"))
        )
        _chain(branch, [*clash["absent"], *clash["present"]])
    for text in told["unknown"]:
        tree.add(Text.assemble(("unknown", "yellow"), f"  {text}"))
    out.print(tree)


def show_portrait(told: dict[str, Any]) -> None:
    """Print the origin of a category and the rules that added its labels."""
    for one in told["categories"]:
        about = f"  {one['present']:,} images present, {one['absent']:,} absent"
        tree = Tree(Text.assemble((_with_sense(one, out.width - len(about)), "bold"), about))
        if one["gloss"]:
            tree.add(Text.assemble((f"{'gloss':<11} ", "cyan"), one["gloss"]))
        for origin in one["origins"]:
            narrower = "; its absence says nothing" if origin["narrower"] else ""
            tree.add(_line("mapping", f"{origin['source']}: {origin['text']}{narrower}", origin["place"]))
        if one["declared"]:
            tree.add(
                _line(
                    "declared", "no source category goes into it; the vocabulary asks for it", one["declared"]
                )
            )
        if one["own"]:
            tree.add(_line("own", "no noun of WordNet: the spec adds it", one["own"]))
        for what in ("above", "children"):
            if one[what]:
                listed = ", ".join(one[what][:MOST]) + _more(len(one[what]) - MOST)
                tree.add(
                    Text.assemble((f"{'below it' if what == 'children' else what:<11} ", "cyan"), listed)
                )
        for pair in one["pairs"]:
            text = (
                f"{pair['antecedent']} goes with {pair['consequent']}: {pair['together']:,} of {pair['images']:,} "
                f"images, at least {percent(pair['bound'])}"
            )
            tree.add(_line("pair", text, pair["place"]))
        for group in one["labels"]:
            through = ""
            if group["rule"] != "stated":
                listed = ", ".join(f"{name} {count:,}" for name, count in group["through"])
                through = f" through {listed}{_more(group['more'])}"
            text = f"{group['labels']:,} {group['state']} from {group['source']}{through}"
            tree.add(_line(group["rule"].replace("_", " "), text, group["place"]))
        out.print(tree)


def _more(count: int) -> str:
    return f" and {count:,} more" if count > 0 else ""


def _headed(label: dict[str, Any]) -> Text:
    colour = "bold green" if label["state"] == "present" else "bold red"
    certain = "" if label["confidence"] >= 1 else f" {label['confidence']:.9g}"
    head = f"{label['state']}{certain}"
    room = out.width - len(head) - BRANCH - 2
    return Text.assemble((head, colour), f"  {_with_sense(label, room)}")


def _with_sense(one: dict[str, Any], room: int) -> str:
    """Return the name and id of a category, with its sense if its name has several and the line has room for it."""
    called = f"{one['name']} {one['wnid']}"
    longer = f"{called} ({one['sense']})" if one["sense"] else called
    return longer if len(longer) <= room else called


def _chain(branch: Tree, chain: Iterable[dict[str, str]]) -> None:
    for step in chain:
        branch.add(_line(step["step"], step["text"], step["place"]))


def _line(step: str, text: str, place: str) -> Text:
    return Text.assemble((f"{step:<11} ", "cyan"), text, "  ", (place, "dim"))


def show_verified(path: Path, found: Verification) -> None:
    """Print what is wrong with a dataset, or that nothing is."""

    _findings(found.findings)
    if {finding.code for finding in found.findings} & NO_DATASET:
        err.print("hint: a build writes NAME.zarr into its --out; `mlimg info` shows what it holds")
        return
    verdict = "every digest is right" if found.ok else counted(len(found.findings), "finding", "findings")
    images, shards = counted(found.images, "image", "images"), counted(found.shards, "shard", "shards")
    out.print(f"{path}: {images}, {size(found.bytes)} in {shards}, {verdict}")
    if not found.ok:
        err.print("to mend it, run the build that made it with --repair")


def show_proof(proof: Proof) -> None:
    """Print which labels do not follow from their origin, or that all do."""
    _findings(proof.findings)
    listed = ", ".join(f"{rule} {count:,}" for rule, count in proof.by_rule.items())
    verdict = (
        "every one follows from its origin, and none is missing" if proof.ok else f"{proof.flaws:,} flaws"
    )
    out.print(f"{proof.labels:,} labels of {proof.images:,} images ({listed}): {verdict}")


def _findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        where = "/".join(str(part) for part in (finding.split, finding.shard) if part is not None)
        whose = f" {finding.image}" if finding.image else ""
        out.print(
            f"{finding.code}: {where}{whose}: {finding.message}"
            if where
            else f"{finding.code}: {finding.message}"
        )


def show_info(told: dict[str, Any]) -> None:
    """Print what a dataset holds."""
    from mlimg_build.dataset import copies_in_words  # noqa: PLC0415  other commands need not load it

    attributes, labels, categories = told["attributes"], told["labels"], told["categories"]
    named = " ".join(str(attributes[name]) for name in ("name", "version") if name in attributes)
    out.print(Text.assemble((told["path"], "bold"), f"  {named}\n"))
    failed = ", ".join(f"{count} {status}" for status, count in told["failed"].items())
    passed = [
        f"{count:,} {code} in {name}"
        for name, source in attributes.get("sources", {}).items()
        for code, count in source.get("passed_over", {}).items()
    ]
    left_out = attributes.get("left_out", {})
    rows = {
        "images": f"{told['images']:,} in {told['shards']} shards, {size(told['bytes'])}",
        "no bytes": failed or "none",
        "splits": ", ".join(
            f"{name} {part['images']:,}"
            + (f" ({part['counted']['images']:,} count)" if told["copies"]["not_counted"][name] else "")
            for name, part in told["splits"].items()
        ),
        "sources": ", ".join(f"{name} {count:,}" for name, count in told["sources"].items()),
        "copies": copies_in_words(told["copies"] if "exact" in told["copies"] else {}) or "not looked for",
        "labels": f"{labels['present']:,} present, {labels['absent']:,} absent",
        "by rule": ", ".join(f"{rule} {sum(states.values()):,}" for rule, states in labels["rules"].items()),
        "contradictions": f"{sum(told['contradictions'].values()):,}"
        + (f", and {between:,} between copies" if (between := told["copies"].get("contradictions")) else ""),
        "left out": ", ".join(f"{count:,} images {reason}" for reason, count in left_out.items())
        or "no image",
        "not counted": f"{attributes.get('labels_below_confidence', 0):,} labels below min_confidence",
        "passed over": ", ".join(passed) or "nothing",
        "categories": f"{categories['count']:,}, {categories['with_positives']:,} with images",
        "digest": told["digest"],
    }
    if wordnet := attributes.get("wordnet"):
        rows["WordNet"] = f"{wordnet['release']}, {wordnet['digest']}"
    if own := attributes.get("own"):
        rows["own"] = f"{own['categories']:,} categories of the spec's vocabulary, {own['digest']}"
    if {"spec_file", "spec_digest"} <= attributes.keys():
        rows["spec"] = f"{attributes['spec_file']}, {attributes['spec_digest']}"
    if groups := attributes.get("groups"):
        by = ", ".join(dict.fromkeys(groups["by"].values()))
        alone = f"; {groups['images_without']:,} images in none" if groups["images_without"] else ""
        torn = told["copies"].get("across_splits") if told["copies"].get("exact") == "merge" else 0
        but = (
            f"; but {torn:,} copied {'file counts' if torn == 1 else 'files count'} in one split only"
            if torn
            else ""
        )
        rows["groups"] = f"{groups['groups']:,}, each in one split, by {by}{alone}{but}"
    for name, text in rows.items():
        out.print(f"{name:15} {text}")
    listed = table("\nlargest categories", "\npresent", "\nabsent", right=("\npresent", "\nabsent"))
    for row in categories["top"]:
        listed.add_row(f"{row['name']} {row['wnid']}", f"{row['positives']:,}", f"{row['negatives']:,}")
    out.print(listed)
