"""`huleedu tokens`: API tokens, made, listed and revoked."""

from typing import Annotated, Any

import typer

from huleedu_dagster.cli.common import Exit, HomeOption, Installation, JsonOption, fail, print_json
from huleedu_dagster.cli.tables import print_rows
from huleedu_dagster.domain.access import InvalidTokenNameError, Scope, hash_token, new_token
from huleedu_dagster.domain.actions import Action
from huleedu_dagster.ledger.records import ApiToken
from huleedu_dagster.ledger.tokens import TokenNameTakenError, UnknownTokenError

app = typer.Typer(no_args_is_help=True, help="API tokens: who may use the intake, and for what.")


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="What to call the token.")],
    scopes: Annotated[
        list[Scope], typer.Option("--scope", help="What it may be used for; may be repeated.")
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    secret = new_token()
    try:
        with Installation.at(home).ledger.write() as tx:
            token = tx.tokens.create(name, scopes, hash_token(secret))
            tx.actions.record(Action.TOKEN_CREATED, token_id=token.token_id)
    except TokenNameTakenError as error:
        fail(f"a token named {error} exists; revoke it or choose another name", Exit.USAGE)
    except InvalidTokenNameError as error:
        fail(str(error), Exit.USAGE)
    if as_json:
        row = _row(token)
        shown = {name: row[name] for name in ("token_id", "name", "scopes")}
        print_json({**shown, "token": secret})
    else:
        typer.echo(f"Keep this token; it cannot be shown again. Its id: {token.token_id}", err=True)
        typer.echo(secret)


@app.command("list")
def list_tokens(
    every: Annotated[bool, typer.Option("--all", help="Revoked tokens too.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List tokens: names, scopes and times, never a token."""
    with Installation.at(home).ledger.read() as tx:
        rows = [_row(it) for it in tx.tokens.all() if every or it.revoked_at is None]
    if as_json:
        print_json(rows)
    else:
        names = ("token_id", "name", "scopes", "created_at", "last_used_at", "revoked_at")
        shown = ({**row, "scopes": ", ".join(row["scopes"])} for row in rows)
        print_rows("API tokens", names, ([row[name] for name in names] for row in shown))


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="Id of the token, as `tokens list` shows it.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a token be refused from now on; the batches it registered stay."""
    try:
        with Installation.at(home).ledger.write() as tx:
            revoked = tx.tokens.revoke(token_id)
            if revoked:
                tx.actions.record(Action.TOKEN_REVOKED, token_id=token_id)
            token = tx.tokens.get(token_id)
    except UnknownTokenError:
        fail("there is no token of this id; `huleedu tokens list` shows the ids", Exit.USAGE)
    if as_json:
        print_json(_row(token))
    else:
        typer.echo(f"{token.name} {'is' if revoked else 'was already'} revoked")


def _row(token: ApiToken) -> dict[str, Any]:
    moments = {
        "created_at": token.created_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    }
    return {
        "token_id": token.token_id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        **{name: None if at is None else at.isoformat() for name, at in moments.items()},
    }
