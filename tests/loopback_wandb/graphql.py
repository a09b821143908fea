"""Executes a GraphQL query over plain dicts, without a schema."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from graphql import language as ast

Node = dict[str, Any]  # field name -> value, or a function of the field's arguments


class GraphQLError(Exception):
    """Answered as a GraphQL error with this HTTP status."""

    def __init__(self, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.status = status


class Query:
    """One parsed request; `unknown` counts the fields that the dicts did not have."""

    def __init__(self, text: str, variables: dict | None, operation: str | None, unknown: Counter) -> None:
        document = ast.parse(text).definitions
        self.fragments = {d.name.value: d for d in document if isinstance(d, ast.FragmentDefinitionNode)}
        operations = [d for d in document if isinstance(d, ast.OperationDefinitionNode)]
        named = [o for o in operations if operation and o.name and o.name.value == operation]
        self.operation = (named or operations)[0]
        self.name = self.operation.name.value if self.operation.name else "anonymous"
        self.variables = dict(variables or {})
        for variable in self.operation.variable_definitions or ():
            if variable.default_value is not None:
                self.variables.setdefault(variable.variable.name.value, self.value(variable.default_value))
        self.unknown = unknown

    def run(self, query_root: Node, mutation_root: Node) -> Node:
        kind = self.operation.operation.value
        root = mutation_root if kind == "mutation" else query_root
        return self.resolve(root, self.operation.selection_set, kind)

    def resolve(self, node: Any, selections: ast.SelectionSetNode, path: str) -> Any:
        """The selected fields of a node, or of each node of a list."""
        if node is None:
            return None
        if isinstance(node, list | tuple):
            return [self.resolve(item, selections, path) for item in node]
        answer: Node = {}
        for field in self.fields(selections):
            name, alias = field.name.value, (field.alias or field.name).value
            if name not in node:
                self.unknown[f"{self.name}: {path}.{name}"] += 1
            value = node.get(name)
            if callable(value):
                value = value(**{a.name.value: self.value(a.value) for a in field.arguments or ()})
            if field.selection_set:
                value = self.resolve(value, field.selection_set, f"{path}.{name}")
            answer[alias] = merge(answer[alias], value) if alias in answer else value
        return answer

    def fields(self, selections: ast.SelectionSetNode) -> Iterator[ast.FieldNode]:
        """The fields of a selection, fragments opened up, @include and @skip obeyed."""
        for item in selections.selections:
            if not self.included(item):
                continue
            if isinstance(item, ast.FieldNode):
                yield item
            elif isinstance(item, ast.FragmentSpreadNode):
                yield from self.fields(self.fragments[item.name.value].selection_set)
            else:
                yield from self.fields(item.selection_set)

    def included(self, item: ast.SelectionNode) -> bool:
        for directive in item.directives or ():
            condition = all(self.value(a.value) for a in directive.arguments or () if a.name.value == "if")
            if (directive.name.value, condition) in (("include", False), ("skip", True)):
                return False
        return True

    def value(self, node: ast.ValueNode) -> Any:
        match node:
            case ast.VariableNode():
                return self.variables.get(node.name.value)
            case ast.IntValueNode():
                return int(node.value)
            case ast.FloatValueNode():
                return float(node.value)
            case ast.NullValueNode():
                return None
            case ast.ListValueNode():
                return [self.value(item) for item in node.values]
            case ast.ObjectValueNode():
                return {field.name.value: self.value(field.value) for field in node.fields}
            case _:  # string, boolean or enum
                return node.value


def merge(one: Any, other: Any) -> Any:
    """A field selected twice: the union of what was selected."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return other
    return {**one, **{key: merge(one.get(key), value) for key, value in other.items()}}


def connection(items: list[Node], first: int | None = None, after: str | None = None) -> Node:
    """A page of a list, in the shape GraphQL clients page through; the cursor is the position."""
    start = int(after or 0)
    page = items[start : start + (first or len(items) or 1)]
    end = start + len(page)
    return {
        "totalCount": len(items),
        "edges": [{"cursor": str(start + i + 1), "node": node} for i, node in enumerate(page)],
        "pageInfo": {"__typename": "PageInfo", "endCursor": str(end), "hasNextPage": end < len(items)},
    }


def paged(items: Callable[[], list[Node]]) -> Callable[..., Node]:
    """A field that pages through `items()`."""
    return lambda first=None, after=None, **_: connection(items(), first, after)
