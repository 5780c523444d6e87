"""`optkit schema`: JSON Schemas for editors and programs."""

from __future__ import annotations

import click


@click.command(
    epilog="""\b
Examples:
  optkit schema > recipe.schema.json
  optkit schema report > report.schema.json
In an editor with a YAML language server, start the recipe with:
  # yaml-language-server: $schema=recipe.schema.json"""
)
@click.argument("what", type=click.Choice(["recipe", "report"]), default="recipe")
def command(what: str) -> None:
    """Print the JSON Schema of recipes (default) or of report.json."""
    from optkit.cli.json_output import print_json
    from optkit.report.json_report import schema
    from optkit.workflow.schemas import recipe_schema

    print_json(recipe_schema() if what == "recipe" else schema())
