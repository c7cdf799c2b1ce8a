"""Is the tree whole? Reads sources only (ast), imports nothing of the library, prints what is missing, exits 1.

1. Every line ``"name": "module:Class"`` of the table MODELS in src/fairway/models/registry.py has its module and class,
   a mirrored test file, its name on the family's page docs/<family>.md, and its own ``cites = ("key", ...)`` whose
   keys stand in src/fairway/citations.bib.
2. Tests mirror sources: src/fairway/a/b.py is tested by tests/a/test_b.py.
3. Nothing in src unpickles: no pickle-like module, no torch.save, torch.load only with weights_only=True, no
   allow_pickle=True.

    python tools/check_tree.py [ROOT]
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}


def read_table(registry: Path) -> dict[str, str]:
    """The table MODELS of the registry, as written."""
    for node in ast.parse(registry.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == "MODELS" for t in targets):
            table = next((n for n in ast.walk(node) if isinstance(n, ast.Dict)), None)
            if table is not None:
                return ast.literal_eval(table)
    raise SystemExit(f'{registry}: expected a table MODELS = {{"name": "module:Class", ...}}, found none')


def own_cites(definition: ast.ClassDef) -> tuple[str, ...]:
    """The class attribute ``cites``, or () where the class has none of its own."""
    for node in definition.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == "cites" for t in targets):
            value = ast.literal_eval(node.value)
            return (value,) if isinstance(value, str) else tuple(value)
    return ()


def test_of(module: Path, root: Path) -> Path:
    """src/fairway/a/b.py -> tests/a/test_b.py, relative to the root."""
    inside = module.relative_to(root / "src/fairway")
    return Path("tests") / inside.parent / f"test_{inside.name.lstrip('_')}"


def check_model(name: str, target: str, root: Path, keys: set[str]) -> Iterator[str]:
    """What the model ``name`` lacks."""
    if not re.fullmatch(r"fairway\.models(\.\w+)+:\w+", target):
        yield f'expected "fairway.models.family.file:Class", got "{target}"'
        return
    dotted, _, cls = target.partition(":")
    module = root / "src" / Path(*dotted.split(".")).with_suffix(".py")
    if not module.is_file():
        yield f"no module {module.relative_to(root)}"
        return
    if not (root / test_of(module, root)).is_file():
        yield f"no test {test_of(module, root)}"

    page = root / "docs" / f"{module.parent.name}.md"
    if not page.is_file():
        yield f"no page {page.relative_to(root)}"
    elif not re.search(rf"""[`"']{re.escape(name)}[`"']""", page.read_text()):
        yield f"{page.relative_to(root)} does not mention `{name}`"

    classes = {n.name: n for n in ast.parse(module.read_text()).body if isinstance(n, ast.ClassDef)}
    if cls not in classes:
        yield f"no class {cls} in {module.relative_to(root)}"
        return
    cites = own_cites(classes[cls])
    if not cites:
        yield f'{cls} has no citation of its own: cites = ("key", ...)'
    yield from (f"citation {key} is not in src/fairway/citations.bib" for key in cites if key not in keys)


def check_models(root: Path) -> Iterator[str]:
    """Rule 1, for every line of the table."""
    bib = root / "src/fairway/citations.bib"
    keys = set(re.findall(r"@\w+\s*\{\s*([^,\s]+)\s*,", bib.read_text())) if bib.is_file() else set()
    for name, target in read_table(root / "src/fairway/models/registry.py").items():
        yield from (f"model {name}: {lack}" for lack in check_model(name, target, root, keys))


def check_mirror(root: Path) -> Iterator[str]:
    """Rule 2, for every source file but __init__.py and __main__.py."""
    for module in sorted((root / "src/fairway").rglob("*.py")):
        if not module.name.startswith("__") and not (root / test_of(module, root)).is_file():
            yield f"{module.relative_to(root)}: no test {test_of(module, root)}"


def pickling(node: ast.AST) -> str | None:
    """What in this node can unpickle, in words."""
    match node:
        case ast.Import(names=names):
            found = sorted(PICKLERS & {alias.name.partition(".")[0] for alias in names})
            return f"import {found[0]}" if found else None
        case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in PICKLERS:
            return f"import {module}"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="save")):
            return "torch.save"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load"), keywords=keywords):
            safe = any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in keywords)
            return None if safe else "torch.load without weights_only=True"
        case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
            return "allow_pickle=True"
    return None


def check_pickle(root: Path) -> Iterator[str]:
    """Rule 3, for every source file."""
    for module in sorted((root / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if found := pickling(node):
                where = f"{module.relative_to(root)}:{getattr(node, 'lineno', '?')}"
                yield f"{where}: {found}; weights go through safetensors, the rest through JSON"


def main(root: Path) -> int:
    """Print every failure; 1 if there was one."""
    failures = [*check_models(root), *check_mirror(root), *check_pickle(root)]
    for failure in failures:
        print(failure)
    print(f"check_tree: {len(failures)} failures" if failures else "check_tree: the tree is whole")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()))
